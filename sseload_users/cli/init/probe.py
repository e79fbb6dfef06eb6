"""Watch a server: connect a few clients, hand a code in, and keep every message."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import gevent
from gevent.event import Event

from sseload_users.cli.check_connection import CheckedConnection
from sseload_users.cli.check_output import CheckOutput
from sseload_users.cli.check_publisher import CodeToSend, SentCode, make_publisher
from sseload_users.cli.init.draft import Draft
from sseload_users.cli.init.message import Message
from sseload_users.cli.locate import content_of
from sseload_users.core.codes import DEFAULT_TEMPLATE, CodeShape, new_run_id
from sseload_users.options import Options
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.run.channel_assignment import ChannelAssignment
from sseload_users.run.resources import Resources
from sseload_users.transports import Closed

#: A text that is in no message: while it watches, the profile finds no code.
_NOTHING = "(?!)"
#: Seconds within which a connection must be subscribed, and a code must come.
_CONNECT_S, _DELIVERY_S = 5.0, 3.0


class Probe:
    """A few clients of a server, connected as a draft says.

    With --channels, they are in these in turn; otherwise, all are the same user.

    Args:
        draft: its [connect] and what comes before it; its [code] is ignored.
        options: how to reach the server.
        host: the server's URL.
        folder: where the draft is written for the time of the probe.
    """

    def __init__(self, draft: Draft, options: Options, host: str, folder: Path) -> None:
        self._options = replace(options, connect_timeout=_CONNECT_S)
        self._host = host
        self._folder = folder
        self._shape = CodeShape(new_run_id(), DEFAULT_TEMPLATE)
        self._codes: list[str] = []
        self._news = Event()
        self._connections: list[CheckedConnection] = []
        self._draft = draft
        self._resources = self._load(draft)
        self._assignment = ChannelAssignment(
            self._options, self._resources.target, self._resources.identities
        )

    def open(self, many: int) -> None:
        """Connect further clients.

        Raises:
            ConnectFailed: one cannot connect.
        """
        before = BeforeRequests(self._resources.network, _CONNECT_S)
        for _ in range(many):
            connection = CheckedConnection(
                self._resources.target,
                self._assignment.identity(len(self._connections), self._resources.identities[0]),
                before,
                self._codes,
                self._news,
            )
            connection.open()
            self._connections.append(connection)

    def send(
        self, draft: Draft, many: int = 1, *, channel: str | None = None, wanted: int | None = None
    ) -> list[SentCode]:
        """Hand codes in at the same time, as a draft's [ingest] says; wait until they come.

        Args:
            draft: the draft.
            many: the number of codes.
            channel: the channel that they go to; None without channels.
            wanted: how many clients must get them; None for all.

        Returns:
            What became of each.

        Raises:
            StepFailed: no code can be handed in.
        """
        resources = self._load(draft)
        before = BeforeRequests(resources.network, _CONNECT_S)
        output = CheckOutput(resources.target, self.redact)
        publisher = make_publisher(
            resources, before, resources.sender, channel, output, self._connections
        )
        try:
            publisher.open()
            first = len(self._codes) + 1
            sending = [
                gevent.spawn(publisher.send, CodeToSend(partial(self._mint, number)))
                for number in range(first, first + many)
            ]
            sent = [each.get() for each in gevent.joinall(sending)]
        finally:
            publisher.close()
        # A redirect may have been the answer, whatever the page behind it says.
        handed_in = [each.text for each in sent if each.cause is None or each.redirected]
        wanted = len(self._connections) if wanted is None else wanted
        self.wait(lambda: all(self.reached(each) >= wanted for each in handed_in))
        return sent

    def wait(self, enough: Callable[[], bool], seconds: float = _DELIVERY_S) -> None:
        """Wait for messages until there are enough, or the time is up."""
        deadline = time.monotonic() + seconds
        while not enough() and (left := deadline - time.monotonic()) > 0:
            self._news.clear()
            self._news.wait(left)

    def reached(self, code: str) -> int:
        """Return the number of clients that have a message with a code."""
        return sum(self.who_has(code))

    def who_has(self, code: str) -> list[bool]:
        """Return for each client whether it has a message with a code."""
        return [each.has(code) for each in self._connections]

    @property
    def messages(self) -> list[Message]:
        """What the clients received, by client, the messages without a code first."""
        kind = self._resources.target.profile.transport
        found = []
        for number, connection in enumerate(self._connections):
            for payload in connection.received.others:
                content = content_of(kind, payload)
                if content is not None:
                    found.append(Message(number, content))
            for each in connection.received.overlooked:
                content = content_of(kind, each.payload)
                if content is not None:
                    found.append(Message(number, content, each.codes))
        return found

    @property
    def closed(self) -> Sequence[Closed]:
        """How sessions ended that are no longer open."""
        return [each.closed for each in self._connections if each.closed is not None]

    @property
    def compression(self) -> str:
        """The compression that was negotiated; empty if there is none."""
        return next((each.compression for each in self._connections), "")

    def redact(self, text: str) -> str:
        """Return a text of the server's without secrets."""
        for each in self._connections:
            text = each.redact(text)
        return text

    def close(self) -> None:
        """Disconnect all clients."""
        gevent.joinall([gevent.spawn(each.close) for each in self._connections])

    def _load(self, draft: Draft) -> Resources:
        watching = Draft({**draft.tables, "code": {"regex": _NOTHING}})
        for name in ("lines", "separator", "concatenated", "confirm"):
            watching.tables.pop(name, None)
        path = self._folder / "draft.toml"
        path.write_text(watching.toml(""), encoding="utf-8")
        options = replace(
            self._options, target=str(path), value=(*self._options.value, *draft.values.items())
        )
        return Resources.of(options, self._host)

    def _mint(self, sequence: int, sent_ns: int) -> str:
        text = self._shape.mint(sequence, sent_ns)
        self._codes.append(text)
        return text
