"""One listening connection of a check, and what it received."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import gevent
from gevent.event import Event

from sseload_users.run.before_requests import BeforeRequests, OnResponse
from sseload_users.targets import Emitting, Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import Closed, Malformed
from sseload_users.transports.endpoint import Confirm, Endpoint, Send
from sseload_users.transports.registry import transport_for
from sseload_users.transports.transport import Transport
from sseload_users.users.session_requests import SessionRequests

#: Most messages without a code that are kept.
_MAX_OTHERS = 5


@dataclass(slots=True)
class Carrier:
    """A message with codes.

    Attributes:
        payload: the message.
        found: codes that the profile finds.
        codes: codes that are in it.
    """

    payload: bytes
    found: tuple[str, ...]
    codes: tuple[str, ...]


@dataclass(slots=True)
class Received:
    """What a connection received.

    Attributes:
        arrivals: arrivals of each code (wall clock, ns), by its text, in the order of the first.
        carrier: the first message of which the profile finds all codes.
        overlooked: messages with codes that the profile does not find.
        others: the first messages without a code of this check.
        malformed: causes of what could not be decoded.
    """

    arrivals: dict[str, list[int]] = field(default_factory=dict)
    carrier: Carrier | None = None
    overlooked: list[Carrier] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)


class CheckedConnection:
    """A connection that listens for the codes of a check.

    Args:
        target: where and how to connect.
        identity: the user that connects.
        before: makes the requests before connecting; has the network.
        codes: texts of the codes that have been sent so far.
        news: set whenever something arrives or the session ends.
        on_response: called with each response to a request before connecting.

    Attributes:
        received: what it received.
        closed: how its session ended; None while it is open.
        place: its URL, without the query, which may contain secrets.
        confirmed: whether the server confirms subscriptions.
        connect_ms: how long connecting took.
    """

    def __init__(
        self,
        target: Target,
        identity: Identity,
        before: BeforeRequests,
        codes: list[str],
        news: Event,
        on_response: OnResponse = lambda *_: None,
    ) -> None:
        self.received = Received()
        self.closed: Closed | None = None
        self.place = ""
        self.confirmed = False
        self.connect_ms = 0.0
        self._target = target
        self._network = before.network
        self._codes = codes
        self._news = news
        self._type = transport_for(target.profile.transport)
        self._requests = SessionRequests(target, identity, before, on_response=on_response)
        self._identity = identity
        # Codes that it sent itself and that do not have to come back.
        self._exempt: set[str] = set()
        self._transport: Transport | None = None
        self._listening: gevent.Greenlet[..., None] | None = None

    def open(self) -> None:
        """Connect and start to listen.

        Raises:
            ConnectFailed: the attempt failed.
        """
        transport = self._transport = self._requests.connect(self._make_transport)
        self.connect_ms = max(transport.subscribed_ns - transport.started_ns, 0) / 1e6
        self._listening = gevent.spawn(self._listen, transport)

    def close(self) -> None:
        """Leave, if it is connected."""
        self._requests.end()
        if self._transport is not None and self._listening is not None:
            self._transport.leave()
            self._listening.join(2)

    @property
    def arrivals(self) -> Mapping[str, Sequence[int]]:
        """Arrivals of each code; one that does not have to come back has none."""
        return {**self.received.arrivals, **dict.fromkeys(self._exempt, ())}

    @property
    def negotiated(self) -> str:
        """What was negotiated, such as "HTTP/2 and gzip"; empty if there is nothing to say."""
        version = "" if self._transport is None else self._transport.http_version
        found = (f"HTTP/{version}" if version else "", self.compression)
        return " and ".join(filter(None, found))

    @property
    def compression(self) -> str:
        """The compression that was negotiated; empty if there is none."""
        return "" if self._transport is None else self._transport.compression

    def emit(self, emitting: Emitting, code: str, channel: str | None, payload_bytes: int) -> bool:
        """Emit a code; return whether it was written."""
        frame = emitting.frame(
            code, self._identity, self._requests.captured, channel, payload_bytes
        )
        if self._transport is None or not self._transport.send(frame):
            return False
        if not emitting.echo:
            self._exempt.add(code)
        return True

    def has(self, code: str) -> bool:
        """Whether it received a code, or a message with it in an unexpected place.

        A code that it sent itself does not have to come back, unless the profile says so.
        """
        return (
            code in self._exempt
            or code in self.received.arrivals
            or any(code in each.codes for each in self.received.overlooked)
        )

    def redact(self, text: str) -> str:
        """Return a text of the server's with the secrets removed."""
        return self._requests.redact(text)

    def _make_transport(self, endpoint: Endpoint) -> Transport:
        self.place = endpoint.url.partition("?")[0]
        confirm = endpoint.confirm
        if confirm is not None:
            self.confirmed = True
            endpoint = replace(endpoint, confirm=self._overhear(confirm))
        on_message = self._requests.resumption.taking(self._on_message)
        return self._type(endpoint, self._network, on_message, self.received.malformed.append)

    def _overhear(self, confirm: Confirm) -> Confirm:
        """Return the same function; messages that do not confirm are kept to be shown."""

        def confirms(payload: bytes, arrived_ns: int, send: Send) -> int | None:
            confirmed_ns = confirm(payload, arrived_ns, send)
            if confirmed_ns is None:
                self._keep(payload)
            return confirmed_ns

        return confirms

    def _listen(self, transport: Transport) -> None:
        self.closed = transport.listen()
        self._news.set()

    def _on_message(self, payload: bytes, arrived_ns: int) -> None:
        malformed = self.received.malformed
        before, texts = len(malformed), list[str]()
        try:
            message = self._type.parse(payload)
            if message is not None:
                texts = self._target.reader.codes_in(message, malformed.append)
        except Malformed as error:
            malformed.append(error.cause)
        found = tuple(text for text in texts if text in self._codes)
        there = tuple(text for text in self._codes if text.encode() in payload)
        for text in found:
            self.received.arrivals.setdefault(text, []).append(arrived_ns)
        if set(there) - {*found}:
            self.received.overlooked.append(Carrier(payload, found, there))
        elif found:
            self.received.carrier = self.received.carrier or Carrier(payload, found, found)
        elif len(malformed) == before:
            self._keep(payload)
        self._news.set()

    def _keep(self, payload: bytes) -> None:
        if len(self.received.others) < _MAX_OTHERS:
            self.received.others.append(payload)
