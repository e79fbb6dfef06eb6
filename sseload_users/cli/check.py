"""The command `check`: a few connections, three codes, and every step in words.

It is the first thing to run against a new server. Where it fails, it names the step, repeats
what the server said, and says where to look.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

import gevent
from gevent.event import Event
from locust.argument_parser import LocustArgumentParser

from sseload_users import options
from sseload_users.cli import check_findings as findings
from sseload_users.cli.check_conclusion import conclude, show_others
from sseload_users.cli.check_connection import CheckedConnection
from sseload_users.cli.check_diagnosis import diagnose_failures, diagnose_receipts
from sseload_users.cli.check_nodes import check_nodes
from sseload_users.cli.check_output import CheckOutput, StepFailed, span
from sseload_users.cli.check_places import place
from sseload_users.cli.check_publisher import CodeToSend, SentCode, make_publisher
from sseload_users.cli.check_requests import CheckedRequests
from sseload_users.cli.check_ways import check_polling
from sseload_users.core.codes import CodeShape, new_run_id
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.core.payload_sizes import PayloadSizes
from sseload_users.options import Options
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.run.channel_assignment import ChannelAssignment
from sseload_users.run.resources import Resources
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.http_request import HttpRequest, HttpResponse

#: Number of connections unless another is given, and the largest one.
_CONNECTIONS, _MAX_CONNECTIONS = 5, 100
#: Seconds to wait, after codes have come, for further copies and the end of sessions.
_AFTERMATH_S = 0.5


def main(arguments: Sequence[str]) -> int:
    """Check a server as the arguments say.

    Returns:
        0 if every connection received every code, 1 if a step failed, 2 for invalid arguments.
    """
    parsed = parser().parse_args(list(arguments))
    try:
        _check_number(parsed.connections)
        resources = Resources.of(_read(parsed), parsed.host or "")
        assignment = ChannelAssignment(resources.options, resources.target, resources.identities)
        resources.target.check(
            [*resources.identities, resources.sender], has_channels=assignment.has_channels
        )
        audience = assignment.of_one_channel(parsed.connections)
        if not resources.options.nodes:
            return _Check(resources, *audience).run()
        # In a run, the host has the health check and verifies users, if there is one.
        if parsed.host and _Check(resources, *audience).ask():
            return 1
        return check_nodes(resources, lambda own: _Check(own, *audience).run(asks=not parsed.host))
    except ConfigError as error:
        print(f"sseload: {clean(error)}", file=sys.stderr)
        return 2


def parser() -> LocustArgumentParser:
    """Return the command's parser."""
    made = LocustArgumentParser(
        prog="sseload check",
        description="Opens a few connections, broadcasts one code and then two at the same time, "
        "and prints each step.",
    )
    made.add_argument("-H", "--host", help="the server's URL")
    made.add_argument(
        "--connections",
        type=int,
        default=_CONNECTIONS,
        metavar="N",
        help=f"number of connections to open (default: {_CONNECTIONS})",
    )
    options.add_to(made)
    return made


def _read(parsed: argparse.Namespace) -> Options:
    given = Options.read(parsed)
    if given.observe:
        raise ConfigError("--observe is for a run: the check sends codes of its own.")
    return given


def _check_number(connections: int) -> None:
    if not 1 <= connections <= _MAX_CONNECTIONS:
        raise ConfigError(
            f"Invalid --connections {connections}: use a number from 1 to {_MAX_CONNECTIONS}; "
            "a run tests more."
        )


class _Check:
    """One check.

    Args:
        resources: target, options, network and users.
        users: the users of the connections to open.
        channel: the channel that all of them subscribe to; None if there are no channels.
    """

    def __init__(
        self, resources: Resources, users: Sequence[Identity], channel: str | None
    ) -> None:
        self._resources = resources
        self._target, self._options = resources.target, resources.options
        self._users, self._channel = users, channel
        self._output = CheckOutput(self._target, self._redact)
        self._requests = CheckedRequests(resources, self._output)
        self._before = before = BeforeRequests(resources.network, self._options.connect_timeout)
        self._shape = CodeShape(new_run_id(), self._target.profile.code_template)
        self._sizes = PayloadSizes.parse(self._options.payload_bytes)
        self._codes: list[str] = []
        self._news = Event()
        self._connections = [
            CheckedConnection(
                self._target,
                identity,
                before,
                self._codes,
                self._news,
                # The others make the same requests.
                *([] if index else [self._tell_before]),
            )
            for index, identity in enumerate(self._users)
        ]
        self._publisher = make_publisher(
            resources, before, resources.sender, channel, self._output, self._connections
        )

    def ask(self) -> int:
        """Make the requests before connecting and print how they went; return the exit status."""
        try:
            self._ask()
        except StepFailed as failed:
            self._output.failure(failed)
            return 1
        return 0

    def run(self, *, asks: bool = True) -> int:
        """Take every step and print how it went; return the exit status.

        Args:
            asks: whether to make the requests before connecting.
        """
        try:
            self._output.step("profile", self._about())
            if asks:
                self._ask()
            self._connect()
            self._settle()
            self._publisher.open()
            self._broadcast()
        except StepFailed as failed:
            self._output.failure(failed)
            show_others(self._output, self._connections)
            return 1
        finally:
            self._publisher.close()
            gevent.joinall([gevent.spawn(each.close) for each in self._connections])
        show_others(self._output, self._connections)
        check_polling(self._target, self._users, self._before, self._output)
        conclude(self._output, self._target.profile, self._codes, self._connections, self._users)
        return 0

    # Steps

    def _ask(self) -> None:
        self._requests.health(self._users[0])
        self._requests.verify(self._users)

    def _about(self) -> str:
        about = self._target.public()
        return (
            f"{about['profile']} at {about['host']}: {about['transport']} at {about['connect']}, "
            f"codes in by {about['ingest']}, as {self._resources.sender.username or 'nobody'}"
            + ("" if self._channel is None else f", in channel {clean(self._channel)}")
        )

    def _connect(self) -> None:
        """Open all connections; the first one alone, so that its failure is the only one."""
        first, *others = self._connections
        errors = [self._try_to_connect(first)]
        if errors[0] is None:
            opening = [gevent.spawn(self._try_to_connect, each) for each in others]
            gevent.joinall(opening)
            errors += [each.get() for each in opening]
        failed = [each for each in errors if each is not None]
        if failed:
            self._fail_to_connect(failed, len(errors))
        many = len(self._connections)
        opened, it = ("", "it") if many == 1 else (f"{many} connections ", "each")
        confirmed = f", and the server confirmed {it}" if first.confirmed else ""
        agreed = f", with {first.negotiated}" if first.negotiated else ""
        took = span([each.connect_ms for each in self._connections])
        self._output.step(
            "connect", f"{opened}subscribed at {first.place}{agreed}{confirmed}, in {took}"
        )

    def _fail_to_connect(self, failed: Sequence[ConnectFailed], tried: int) -> NoReturn:
        error = failed[0]
        said = f"{error.operation}: {self._output.cause(error.cause, error.detail)}"
        if tried > 1:
            said = f"{len(failed)} of {tried} connections: {said}"
        hint = diagnose_failures(failed) or self._output.hint(
            error.operation, error.cause, error.detail
        )
        raise StepFailed("connect", said, hint)

    def _try_to_connect(self, connection: CheckedConnection) -> ConnectFailed | None:
        try:
            connection.open()
        except ConnectFailed as error:
            return error
        return None

    def _settle(self) -> None:
        within_s, why = self._options.settle, "--settle"
        if self._target.profile.spec.subscribes_within > within_s:
            within_s, why = self._target.profile.spec.subscribes_within, "subscribes_within"
        if within_s:
            gevent.sleep(within_s)
            self._output.step("settle", f"waited {within_s:g} s ({why})")

    def _broadcast(self) -> None:
        """Send one code, and then two at the same time; wait for each."""
        (alone,) = self._send(1)
        for each in alone.before:
            self._output.step("send", each)
        if alone.cause is not None:
            raise StepFailed(
                "send", alone.said, self._output.hint("ingest", alone.cause, alone.server_text)
            )
        self._output.step("send", alone.said)
        self._receive([alone])
        gevent.sleep(_AFTERMATH_S)
        self._check_sessions([alone])
        pair = self._send(2)
        refused = [each for each in pair if each.cause is not None]
        if refused:
            self._tell_refused(refused)
        else:
            self._output.step("send", "2 codes at the same time: both accepted")
        accepted = [each for each in pair if each.cause is None]
        if accepted:
            self._receive(accepted)
        gevent.sleep(_AFTERMATH_S)
        self._check_sessions([alone, *accepted])
        self._check_receipts([alone, *accepted], at_end=True)

    def _send(self, many: int) -> list[SentCode]:
        """Send codes at the same time; return them in order."""
        sequence = len(self._codes)
        size_of = (lambda _: 0) if self._sizes is None else self._sizes.size_of
        sending = [
            gevent.spawn(
                self._publisher.send, CodeToSend(partial(self._mint, number), size_of(number))
            )
            for number in range(sequence + 1, sequence + 1 + many)
        ]
        return [each.get() for each in gevent.joinall(sending)]

    def _mint(self, sequence: int, sent_ns: int) -> str:
        text = self._shape.mint(sequence, sent_ns)
        self._codes.append(text)
        return text

    def _tell_refused(self, refused: Sequence[SentCode]) -> None:
        first = refused[0]
        assert first.cause is not None  # noqa: S101
        which = "neither was accepted" if len(refused) > 1 else "one was not accepted"
        said = f"2 codes at the same time: {which}: {first.said}"
        hint = self._output.hint("ingest", first.cause, first.server_text)
        if not first.cause.startswith("HTTP 429"):
            raise StepFailed("send", said, hint)
        self._output.step("send", f"warning: {said}")
        self._output.advice("Leave more time between codes in a run: a longer --duration.")

    def _receive(self, sent: Sequence[SentCode]) -> None:
        """Wait until all connections have received some codes, and print how it went."""
        texts = [each.text for each in sent]

        def waiting() -> bool:
            return any(
                connection.closed is None and not all(map(connection.has, texts))
                for connection in self._connections
            )

        self._wait_while(waiting)
        if any(each.received.overlooked for each in self._connections):
            # A message that the profile reads may be on its way behind it.
            gevent.sleep(_AFTERMATH_S)
        if not all(each.has(text) for each in self._connections for text in texts):
            self._check_sessions(sent)
        self._check_receipts(sent, at_end=False)
        sent_ns = {each.text: each.sent_ns for each in sent}
        self._output.step("receive", findings.receipt(sent_ns, self._arrivals))

    def _wait_while(self, waiting: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._options.delivery_timeout
        while waiting():
            self._news.clear()
            if not self._news.wait(max(0.0, deadline - time.monotonic())):
                return

    # Findings

    @property
    def _arrivals(self) -> list[findings.Arrivals]:
        return [each.arrivals for each in self._connections]

    def _check_receipts(self, sent: Sequence[SentCode], *, at_end: bool) -> None:
        """Check what came of some codes.

        Args:
            sent: the codes.
            at_end: whether no further code will be sent. Before that, a code that only some
                connections have is no failure yet: the next codes may show a pattern.

        Raises:
            StepFailed: not every connection has every code.
        """
        self._check_overlooked()
        texts = [each.text for each in sent]
        loss = findings.loss(texts, self._arrivals)
        some = any(any(each.values()) for each in self._arrivals)
        if loss is None or (some and not at_end):
            return
        waited = f"within {self._options.delivery_timeout:g} s"
        if not some:
            raise StepFailed(
                "receive", f"the code was accepted, but did not come {waited}", loss.hint
            )
        said = f"{loss.lost} of {loss.owed} copies did not come {waited}: {loss.pattern}"
        timeout_s = self._options.delivery_timeout
        found = diagnose_receipts(sent, self._arrivals, self._users, timeout_s)
        raise StepFailed("receive", said, loss.hint if found is None else found)

    def _check_overlooked(self) -> None:
        for connection in self._connections:
            for each in connection.received.overlooked:
                # Messages of another kind may repeat the code.
                if all(code in connection.received.arrivals for code in each.codes):
                    continue
                shown = self._output.excerpt(each.payload)
                if len(each.codes) > 1:
                    raise StepFailed(
                        "receive",
                        f"{len(each.codes)} codes came in one message, of which the profile reads "
                        f"{len(each.found)}: {shown}",
                        findings.batch_hint(each.payload, each.codes),
                    )
                where, hint = place(self._target.profile.transport, each.payload, each.codes)
                raise StepFailed(
                    "receive",
                    "the code came in a message, but not where the profile looks for it"
                    f"{where}: {shown}",
                    hint,
                )

    def _check_sessions(self, sent: Sequence[SentCode]) -> None:
        """Check that no session has ended.

        Args:
            sent: the codes that have been sent.

        Raises:
            StepFailed: one has.
        """
        ended = [each for each in self._connections if each.closed is not None]
        if not ended:
            return
        closed, many = ended[0].closed, len(self._connections)
        assert closed is not None  # noqa: S101
        if len(ended) == many:
            which = "the session" if many == 1 else f"all {many} sessions"
        else:
            which = f"{len(ended)} of {many} sessions"
        complete = all(each.has(code.text) for each in ended for code in sent)
        step, when = ("stay", "after") if complete else ("receive", "before")
        what = "the code" if len(sent) == 1 else "all codes"
        said = f"{which} ended {when} {what} came: "
        said += self._output.cause(closed.cause, closed.reason)
        hint = self._output.hint("session", closed.cause, closed.reason)
        if len(ended) < many and len({each.username for each in self._users}) == 1:
            hint = (
                "All connections are the same user: if the server allows a user only some "
                f"sessions, give more users with --users-file, or use --connections 1. {hint}"
            ).rstrip()
        raise StepFailed(step, said, hint)

    def _tell_before(self, request: HttpRequest, response: HttpResponse) -> None:
        # Not its text, which may be a page with secrets.
        self._output.step("before", f"{request.method} {request.safe_url}: HTTP {response.status}")

    def _redact(self, text: str) -> str:
        # Servers repeat what they were sent, and what they gave themselves.
        for each in self._connections:
            text = each.redact(text)
        return self._publisher.redact(text)
