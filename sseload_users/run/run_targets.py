"""The targets of a process's users, and what belongs to each: code shapes and code finders."""

from __future__ import annotations

from collections.abc import Callable

from sseload_users.core.codes import CodeShape
from sseload_users.core.ledger import Ledger
from sseload_users.core.observed_codes import ObservedCodes
from sseload_users.run.code_finder import CodeFinder, FindCodes
from sseload_users.run.operation_counters import OperationCounters
from sseload_users.run.resources import Resources
from sseload_users.targets import Target
from sseload_users.transports import ParsedMessage


class RunTargets:
    """The targets of one process's users in one run; each is made once.

    Args:
        resources: the run's resources.
        run_id: the run's identity.
        ledger: the account.
        operations: counts messages that have no code of this run.
        on_size: called with the size of a message with a code, in bytes.
        observed: the messages that others send; None in a run that sends its own codes.
    """

    def __init__(
        self,
        resources: Resources,
        run_id: str,
        ledger: Ledger,
        operations: OperationCounters,
        on_size: Callable[[int], None],
        observed: ObservedCodes | None = None,
    ) -> None:
        self._options = resources.options
        self._run_id = run_id
        self._ledger = ledger
        self._operations = operations
        self._on_size = on_size
        self._observed = observed
        self._targets: dict[tuple[str, str], Target] = {}
        self._finders: dict[tuple[Target, object], CodeFinder] = {}
        self._shapes: dict[str, CodeShape] = {}

    def target(self, profile: str | None, host: str | None) -> Target:
        """Return the target of the users of one class.

        Args:
            profile: its profile; None for the one that the options name.
            host: its URL.

        Raises:
            ConfigError: there is no such profile, or the host is not a URL.
        """
        key = (profile or self._options.target, host or "")
        if key not in self._targets:
            self._targets[key] = self._options.make_target(key[1], key[0])
        return self._targets[key]

    def shape(self, target: Target) -> CodeShape:
        """Return the shape of this run's codes at a target."""
        template = target.profile.code_template
        if template not in self._shapes:
            self._shapes[template] = CodeShape(self._run_id, template)
        return self._shapes[template]

    def finder(
        self,
        target: Target,
        parse: Callable[[bytes], ParsedMessage | None],
        own: FindCodes | None = None,
    ) -> CodeFinder:
        """Return what finds codes in messages: one for all connections to a target.

        A broadcast has the same bytes for all: the first connection that reads it decodes it
        for the others.

        Args:
            target: knows where a message has its code.
            parse: the transport's parser of messages.
            own: a user class's method that finds the codes instead.
        """
        key = (target, getattr(own, "__func__", None))
        if key not in self._finders:
            self._finders[key] = CodeFinder(
                target,
                self.shape(target),
                parse,
                ledger=self._ledger,
                operations=self._operations,
                on_size=self._on_size,
                own=own,
                observed=self._observed,
            )
        return self._finders[key]
