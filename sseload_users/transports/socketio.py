"""Socket.IO (protocol 5, Engine.IO 4) over WebSocket: one connection of one listener."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import gevent

from sseload_users.transports import Closed, ConnectFailed, Event, OnMalformed, OnMessage
from sseload_users.transports.network import Endpoint, Network
from sseload_users.transports.packets import (
    acknowledged,
    assemble,
    cause,
    connect_packet,
    decode_ack,
    decode_event,
    disconnect_packet,
    event_prefix,
    head,
    heartbeat,
    said,
    words,
)
from sseload_users.transports.refusal import SHOWN, words_of
from sseload_users.transports.websocket import WebSocketTransport

_QUERY = {"EIO": "4", "transport": "websocket"}
_OPEN, _CLOSE, _PING, _PONG = b"0", b"1", b"2", b"3"
_QUIET = (_PONG, b"5", b"6")  # pong, upgrade and noop ask for nothing
_CONNECT, _DISCONNECT, _EVENT, _ACK, _CONNECT_ERROR = b"40", b"41", b"42", b"43", b"44"
_BINARY_EVENT, _BINARY_ACK = b"45", b"46"

_DISCONNECTED = Closed("server", "disconnected by server")
_MISSED = Closed("network", "heartbeat missed")
_TOO_LARGE = Closed("client", "message too large")
#: Seconds in which a ping that is there already is read, however late this side is itself.
_GRACE = 1.0


class SocketIOTransport(WebSocketTransport):
    """One connection to one namespace of a Socket.IO server.

    The payload of a message is the packet as it came; that of a binary event has its
    attachments behind it. The endpoint's ``hello`` are Engine.IO messages, sent once the
    server has acknowledged the namespace; ``confirm``, ``refuse`` and ``reply`` are asked
    about events of the namespace. What confirms is not handed on, all other events are.

    Args:
        endpoint: where and how to connect.
        network: what all connections share.
        on_message: gets each event of the namespace, in the hub.
        on_malformed: gets the cause, when a frame or a packet cannot be decoded.

    Attributes:
        on_ack: gets each acknowledgement's id and arguments, and its arrival, in the hub.
    """

    __slots__ = (
        "_acknowledged_ns",
        "_binary",
        "_binary_bytes",
        "_due",
        "_early",
        "_hand_on",
        "_heartbeat",
        "_namespace",
        "_overdue",
        "_pinged",
        "_prefix",
        "_refusal",
        "_timer",
        "_wanted",
        "on_ack",
    )

    kind: ClassVar[str] = "SIO"

    def __init__(
        self,
        endpoint: Endpoint,
        network: Network,
        on_message: OnMessage,
        on_malformed: OnMalformed,
    ) -> None:
        endpoint = dataclasses.replace(endpoint, url=_with_query(endpoint.url))
        super().__init__(endpoint, network, self._on_packet, on_malformed)
        self._namespace = endpoint.namespace.encode()
        self._prefix = event_prefix(endpoint.namespace)
        self._wanted = on_message
        self.on_ack: Callable[[int, list[Any], int], None] | None = None
        # Events that came before the subscription was there; handed on when listening begins.
        self._early: list[tuple[bytes, int]] = []
        self._hand_on: OnMessage = self._keep
        self._acknowledged_ns = 0
        # The server's words, should it turn out that it refuses.
        self._refusal: tuple[str, str] | None = None
        # How many attachments are due, and those that came after their packet; None for one
        # that nobody wants.
        self._due = 0
        self._binary: list[bytes] | None = None
        self._binary_bytes = 0
        # Seconds that may pass between two pings, and when the last one came.
        self._heartbeat = 0.0
        self._pinged = 0.0
        self._overdue = False
        self._timer: Any = None

    @staticmethod
    def event(payload: bytes) -> Event | None:
        """An event's name and the list of its arguments; None for what is no event.

        Raises:
            Malformed: "bad packet" or "bad JSON".
        """
        return decode_event(payload)

    def subscribe(self) -> None:
        """Open Engine.IO, join the namespace, and wait for what confirms it.

        Raises:
            ConnectFailed: at "subscribe": refused, by whatever packet; closed; the time is
                over.
        """
        try:
            self._open_engine()
            self._join()
        except ConnectFailed as failed:
            if self._refusal is None or failed.cause == "left":
                raise
            why, text = self._refusal
            raise ConnectFailed("subscribe", why, said=text) from failed

    def listen(self) -> Closed:
        """Hand every event to ``on_message`` until the session ends; say how it ended."""
        if self._arrival is None or self._closed is not None:
            return super().listen()
        self._await_ping(self._heartbeat)
        try:
            return super().listen()
        finally:
            self._await_no_ping()

    def _open_engine(self) -> None:
        try:
            opening, _ = self.receive()
        except ConnectFailed as failed:
            if not failed.cause.startswith("protocol error"):
                raise
            # Engine.IO on Node answers by HTTP once more, where it wants another version.
            raise ConnectFailed("subscribe", "bad handshake answer", failed.cause) from failed
        longest = heartbeat(opening)
        if longest is None:
            detail = opening[:200].decode(errors="replace")
            raise ConnectFailed("subscribe", "bad handshake answer", detail)
        self._heartbeat = longest
        self._pinged = time.monotonic()

    def _join(self) -> None:
        endpoint, early = self.endpoint, self._early
        confirmed_ns = 0
        looked_at = kept_bytes = 0
        greeted = False
        self.send(connect_packet(endpoint.namespace, endpoint.auth))
        while not (self._acknowledged_ns and (confirmed_ns or endpoint.confirm is None)):
            self._on_packet(*self.receive())
            if self._acknowledged_ns and not greeted:
                greeted = True
                for text in endpoint.hello:
                    self.send(text)
            if len(early) == looked_at:
                continue
            payload, arrived_ns = early[-1]
            if endpoint.refuse is not None and (why := endpoint.refuse(payload)) is not None:
                self._refusal = None
                raise ConnectFailed("subscribe", why, said=self._words(payload))
            if endpoint.confirm is not None and not confirmed_ns and endpoint.confirm(payload):
                confirmed_ns = arrived_ns
                early.pop()
                continue
            self._look_for_error(payload)
            looked_at += 1
            kept_bytes += len(payload)
            if kept_bytes > endpoint.max_message:
                raise ConnectFailed("subscribe", "never acknowledged")
        self.subscribed_ns = max(self._acknowledged_ns, confirmed_ns)

    def _look_for_error(self, payload: bytes) -> None:
        """An ``error`` event is a refusal, if no acknowledgement follows."""
        data = said(payload)
        if isinstance(data, list) and data[:1] == ["error"]:
            self._note_refusal(data[1] if len(data) > 1 else None)

    def _note_refusal(self, data: object) -> None:
        if self._refusal is None:
            why = cause(words(data)) or "connection rejected by server"
            self._refusal = (why, words_of(data)[:SHOWN])

    def _say_goodbye(self) -> None:
        if self._acknowledged_ns:
            self.send(disconnect_packet(self.endpoint.namespace))
        super()._say_goodbye()

    def _catch_up(self, held: deque[tuple[bytes, int]]) -> None:
        self._hand_on = self._wanted
        early, self._early = self._early, []
        for payload, arrived_ns in early:
            self._wanted(payload, arrived_ns)
        super()._catch_up(held)

    def _keep(self, payload: bytes, arrived_ns: int) -> None:
        self._early.append((payload, arrived_ns))

    # In the hub

    def _on_packet(self, payload: bytes, arrived_ns: int) -> None:
        """Take an Engine.IO message. The hot path: once for each message."""
        if not self._due and payload.startswith(self._prefix):
            self._hand_on(payload, arrived_ns)
        elif self._due:
            self._on_attachment(payload, arrived_ns)
        elif payload == _PING:
            self._pinged = time.monotonic()
            self._overdue = False
            self.send(_PONG.decode())
        elif payload[:1] == b"4":
            self._on_socketio(payload, arrived_ns)
        elif payload == _CLOSE:
            self.end(_DISCONNECTED)
        elif payload not in _QUIET:
            self._on_malformed("bad packet")

    def _on_socketio(self, payload: bytes, arrived_ns: int) -> None:
        parts = head(payload)
        if parts is None:
            self._on_malformed("bad packet")
            return
        self._due, namespace = parts
        kind = payload[:2]
        if kind in (_ACK, _BINARY_ACK):
            self._binary = None
            if namespace == self._namespace:
                self._on_answer(payload, arrived_ns)
        elif self._due:
            wanted = kind == _BINARY_EVENT and namespace == self._namespace
            self._binary = [payload] if wanted else None
            self._binary_bytes = len(payload)
        elif namespace != self._namespace:
            return
        elif kind in (_EVENT, _BINARY_EVENT):
            self._hand_on(payload, arrived_ns)
        elif kind == _CONNECT:
            self._on_connected(payload, arrived_ns)
        elif kind == _DISCONNECT:
            self.end(_DISCONNECTED)
        else:
            data = said(payload)
            self._note_refusal(data)
            self.end(dataclasses.replace(_DISCONNECTED, reason=words_of(data)[:SHOWN]))

    def _on_connected(self, payload: bytes, arrived_ns: int) -> None:
        if not acknowledged(payload):
            # Socket.IO 2 sends no session id, and takes no ``auth``.
            self._refusal = ("bad handshake answer", payload[:200].decode(errors="replace"))
            self.end(Closed("client", "bad handshake answer"))
        elif not self._acknowledged_ns:
            self._acknowledged_ns = arrived_ns

    def _on_answer(self, payload: bytes, arrived_ns: int) -> None:
        found = decode_ack(payload) if self.on_ack is not None else None
        if found is not None and self.on_ack is not None:
            self.on_ack(*found, arrived_ns)

    def _on_attachment(self, payload: bytes, arrived_ns: int) -> None:
        binary = self._binary
        self._due -= 1
        if binary is None:
            return
        binary.append(payload)
        self._binary_bytes += len(payload)
        if self._binary_bytes > self.endpoint.max_message:
            self.end(_TOO_LARGE)
        elif not self._due:
            self._binary = None
            self._hand_on(assemble(binary), arrived_ns)

    def _await_ping(self, seconds: float) -> None:
        # One timer for each connection, which starts anew for what is left of its time: a ping
        # costs no timer.
        self._await_no_ping()
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._timer.start(self._check_heartbeat)

    def _await_no_ping(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _check_heartbeat(self) -> None:
        left = self._pinged + self._heartbeat - time.monotonic()
        if left > 0:
            self._await_ping(left)
        elif not self._overdue:
            # After a stall of this side timers come first; what waits unread comes then.
            self._overdue = True
            self._await_ping(_GRACE)
        else:
            self.end(_MISSED)


def _with_query(url: str) -> str:
    """The URL, with Engine.IO's parameters where it lacks them."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url  # it is refused where it is connected to
    given = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    lacking = [f"{name}={value}" for name, value in _QUERY.items() if name not in given]
    query = "&".join([parts.query, *lacking] if parts.query else lacking)
    return urlunsplit(parts._replace(query=query))
