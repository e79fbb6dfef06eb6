"""What all connections that codes are pushed to have in common: beginning, faults, end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sseload_users.core.clock import wall_ns
from sseload_users.demo.faults import FaultPlan
from sseload_users.demo.hub import Hub, Subscription
from sseload_users.demo.messages import Format
from sseload_users.demo.options import Settings
from sseload_users.demo.record import Recorder
from sseload_users.demo.wire import TooFarBehindError, Wire


@dataclass(eq=False, slots=True)
class Context:
    """What the parts of one server share.

    Attributes:
        stop_hard: end the process at once, as if killed; told why.
        handshakes: how many have come; the next one's ordinal is one more.
        listeners: how many of the connections have ever been subscribed.
        open: every push connection that has not ended.
    """

    settings: Settings
    plan: FaultPlan
    recorder: Recorder
    hub: Hub
    stop_hard: Callable[[str], None]
    handshakes: int = 0
    listeners: int = 0
    open: dict[PushConnection, None] = field(default_factory=dict)

    def user_id(self, username: str) -> int | None:
        """A known user's number, from 1; None for an unknown one."""
        users = self.settings.users
        return users.index(username) + 1 if username in users else None


class PushConnection:
    """A connection that codes are pushed to, from the answered handshake on.

    Args:
        context: the server.
        wire: the connection.
        ordinal: its number in the record.
        username: as the client gave it.

    Attributes:
        silent: it gets no more codes, though it stays open.
        doomed: it ends after its codes.
    """

    #: The transport's name in the record.
    transport = ""

    def __init__(self, context: Context, wire: Wire, ordinal: int, username: str) -> None:
        self.context = context
        self.wire = wire
        self.ordinal = ordinal
        self.silent = False
        self.doomed = False
        self._listens = False
        self._by = ""
        self._code: int | None = None
        self._subscriptions: dict[str, Subscription] = {}
        context.open[self] = None
        context.recorder.write(
            "opened",
            connection=ordinal,
            transport=self.transport,
            username=username,
            ns=wall_ns(),
        )
        wire.on_end = self._ended

    def subscribe(self, form: Format, namespace: str = "", after: int | None = None) -> None:
        """Send it codes from now on; see ``Hub.subscribe``."""
        if not self._listens:
            self._listens = True
            self.context.listeners += 1
            self.doomed = self.context.plan.drops(self.context.listeners)
        subscribed = self.context.hub.subscribe(self, form, namespace, after)
        self._subscriptions[namespace] = subscribed

    def unsubscribe(self, namespace: str = "") -> None:
        """Send it no more codes."""
        subscription = self._subscriptions.pop(namespace, None)
        if subscription is not None:
            self.context.hub.unsubscribe(subscription)

    def drop(self) -> None:
        """End it, or silence it, as the faults say."""
        how = self.context.plan.faults.drop_how
        self._note_drop(how)
        if how == "silent":
            self.silent = True
        elif how == "reset":
            self.ending("server")
            self.wire.reset()
        else:
            self.hang_up(self.context.plan.faults.drop_code)

    def hang_up(self, code: int) -> None:
        """End it in order, with a close code where the transport has one."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop all timers; called once, when it has ended."""

    def ending(self, by: str, code: int | None = None) -> None:
        """Note who ends it, the first time; from now on codes do not reach it."""
        if not self._by:
            self._by, self._code = by, code
        for namespace in list(self._subscriptions):
            self.unsubscribe(namespace)

    def _note_drop(self, how: str) -> None:
        self.context.recorder.write("dropped", connection=self.ordinal, how=how, ns=wall_ns())

    def _ended(self, error: Exception | None) -> None:
        if isinstance(error, TooFarBehindError):
            self._note_drop("too far behind")
            self.ending("server")
        self.ending("network" if error is not None else "client")
        self.stop()
        self.context.hub.forget(self)
        self.context.open.pop(self, None)
        self.context.recorder.write(
            "closed", connection=self.ordinal, by=self._by, code=self._code, ns=wall_ns()
        )
