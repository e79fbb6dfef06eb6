"""Socket.IO as a transport: one namespace of a server, over Engine.IO."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from sseload_users.transports import (
    Closed,
    ConnectFailed,
    Malformed,
    OnMalformed,
    OnMessage,
    ParsedMessage,
)
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.engine_transport import DISCONNECTED, OLD_SERVER, EngineTransport
from sseload_users.transports.engineio import BINARY_MESSAGE
from sseload_users.transports.msgpack_parser import is_packed, pack, unpack
from sseload_users.transports.network import Network
from sseload_users.transports.packets import (
    connect_packet,
    disconnect_packet,
    error_message,
    event_prefix,
    is_connect_acknowledgement,
    join_attachments,
    packet_data,
    parse_acknowledgement,
    parse_header,
    parse_packet,
    requested_acknowledgement,
)
from sseload_users.transports.recovery import (
    event_offset,
    recovery_id,
    recovery_of,
    recovery_text,
    with_recovery,
)
from sseload_users.transports.server_text import MAX_TEXT, countable_cause, data_text

_CONNECT, _DISCONNECT, _EVENT, _ACK, _CONNECT_ERROR = b"40", b"41", b"42", b"43", b"44"
# Socket.IO 2 puts every client into the default namespace, unasked and without a session ID.
_UNASKED = _CONNECT
_BINARY_EVENT, _BINARY_ACK = b"45", b"46"

_TOO_LARGE = Closed("client", "message too large")


class SocketIOTransport(EngineTransport):
    """One connection to one namespace of a Socket.IO server; each event is a message.

    The payload of a message is the packet as it arrived, followed by its attachments if it is
    a binary event. The endpoint's ``hello`` are Engine.IO messages, sent once the server has
    acknowledged the namespace; ``confirm``, ``refuse`` and ``reply`` get the events of the
    namespace. All events are handed over but the one that confirms.

    Args:
        endpoint: where and how to connect.
        network: shared by all connections.
        on_message: gets each event of the namespace, in the hub.
        on_malformed: gets a cause for each frame or packet that cannot be decoded, in the hub.

    Attributes:
        on_acknowledgement: gets each acknowledgement's ID and arguments, and its arrival (wall
            clock, ns), in the hub; None to ignore them.
    """

    __slots__ = (
        "_acknowledged_ns",
        "_attachments_due",
        "_binary",
        "_binary_bytes",
        "_early",
        "_last_event",
        "_listener",
        "_namespace",
        "_on_event",
        "_prefix",
        "_recovery_id",
        "_refusal",
        "_resumed",
        "on_acknowledgement",
    )

    kind: ClassVar[str] = "SIO"

    def __init__(
        self,
        endpoint: Endpoint,
        network: Network,
        on_message: OnMessage,
        on_malformed: OnMalformed,
    ) -> None:
        super().__init__(endpoint, network, on_message, on_malformed)
        self._on_message = self._on_packet
        if endpoint.engine == 3:
            self._on_message = self._on_old_packet
        if endpoint.parser == "msgpack":
            self._on_message = self._on_packed
        # What the server restores a session by (connection state recovery), the last event of
        # this one with an offset, and whether the server has restored it.
        self._recovery_id = ""
        self._last_event = b""
        self._resumed = False
        self._namespace = endpoint.namespace.encode()
        self._prefix = event_prefix(endpoint.namespace)
        self._listener = on_message
        self.on_acknowledgement: Callable[[int, list[Any], int], None] | None = None
        # Events that arrived before the subscription; handed over when listening begins.
        self._early: list[tuple[bytes, int]] = []
        self._on_event: OnMessage = self._keep
        self._acknowledged_ns = 0
        # Cause and text of a refusal, should the connect attempt fail.
        self._refusal: tuple[str, str] | None = None
        # How many attachments are to follow, and their packet with those that have arrived;
        # None if the packet is not wanted.
        self._attachments_due = 0
        self._binary: list[bytes] | None = None
        self._binary_bytes = 0

    @staticmethod
    def parse(payload: bytes) -> ParsedMessage | None:
        """Return an event's name and the list of its arguments; None if this is no event.

        Raises:
            Malformed: "bad packet" or "bad JSON".
        """
        return parse_packet(payload)

    def _subscribe(self) -> None:
        """Open Engine.IO, connect to the namespace, and wait for the confirmation.

        Raises:
            ConnectFailed: at "subscribe": refused, closed, or timed out.
        """
        try:
            self._open_engine()
            self._join()
        except ConnectFailed as failed:
            if self._refusal is None:
                raise
            cause, text = self._refusal
            raise ConnectFailed("subscribe", cause, server_text=text) from failed

    def _join(self) -> None:
        endpoint, early = self.endpoint, self._early
        confirmed_ns = 0
        checked = kept_bytes = 0
        hello_sent = False
        waiting: deque[tuple[bytes, int]] = deque()
        # Servers of Socket.IO 2 put every client into the default namespace by themselves.
        if endpoint.engine == 4 or endpoint.namespace != "/":
            auth = with_recovery(endpoint.auth, endpoint.last_event_id)
            self.send(connect_packet(endpoint.namespace, auth))
        while not (self._acknowledged_ns and (confirmed_ns or endpoint.confirm is None)):
            self._on_message(*self._receive())
            if len(early) > checked:
                payload = early[-1][0]
                if endpoint.refuse is not None and (cause := endpoint.refuse(payload)) is not None:
                    self._refusal = None
                    raise ConnectFailed("subscribe", cause, server_text=self._text_of(payload))
                self._note_error_event(payload)
                waiting.append(early[-1])
                checked += 1
                kept_bytes += len(payload)
                if kept_bytes > endpoint.max_message:
                    raise ConnectFailed("subscribe", "never acknowledged")
            if not self._acknowledged_ns:
                continue  # nothing may be sent to the namespace
            if not hello_sent:
                hello_sent = True
                for message in endpoint.hello:
                    self.send(message)
            while waiting:
                each = waiting.popleft()
                self._answer(each[0])
                if endpoint.confirm is None or confirmed_ns:
                    continue
                confirmed_ns = endpoint.confirm(*each, self.send) or 0
                if confirmed_ns:
                    early.remove(each)
                    checked -= 1
        self.subscribed_ns = max(self._acknowledged_ns, confirmed_ns)

    def _note_error_event(self, payload: bytes) -> None:
        """Keep an ``error`` event: it is a refusal unless an acknowledgement follows."""
        data = packet_data(payload)
        if isinstance(data, list) and data[:1] == ["error"]:
            self._note_refusal(data[1] if len(data) > 1 else None)

    def _note_refusal(self, data: object) -> None:
        if self._refusal is None:
            cause = countable_cause(error_message(data)) or "connection rejected by server"
            self._refusal = (cause, data_text(data)[:MAX_TEXT])

    def _say_goodbye(self) -> None:
        if self._acknowledged_ns:
            self.send(disconnect_packet(self.endpoint.namespace))
        super()._say_goodbye()

    @property
    def last_event_id(self) -> str:
        """What the next session has to tell the server to have this one's state restored."""
        if not self._recovery_id:
            return self.endpoint.last_event_id
        offset = event_offset(self._last_event)
        if offset is None and self._resumed:
            _, offset = recovery_of(self.endpoint.last_event_id)
        return recovery_text(self._recovery_id, offset)

    def send(self, message: str | bytes) -> bool:
        """Send a packet without waiting, from the hub or any greenlet.

        Args:
            message: the packet as the default parser writes it; bytes are sent as they are.

        Returns:
            Whether it was accepted: not if the connection is broken or its backlog is full.
        """
        packs = self.endpoint.parser == "msgpack"
        if packs and isinstance(message, str) and message.startswith("4"):
            message = pack(message)
        return super().send(message)

    def _hand_over(self, held: deque[tuple[bytes, int]]) -> None:
        if self._resumed:
            self._report("resumed")
        # Only where the server may restore the session does it matter which event was the last.
        listener = self._remember if self._recovery_id else self._listener
        self._on_event = self._answering(listener)
        early, self._early = self._early, []
        for payload, arrived_ns in early:
            listener(payload, arrived_ns)
        super()._hand_over(held)

    def _remember(self, payload: bytes, arrived_ns: int) -> None:
        # An offset is a text at the end; what requests an acknowledgement has none.
        if payload.endswith(b'"]') or b'"]\0' in payload:
            self._last_event = payload
        self._listener(payload, arrived_ns)

    def _keep(self, payload: bytes, arrived_ns: int) -> None:
        self._early.append((payload, arrived_ns))

    # In the hub

    def _on_packet(self, payload: bytes, arrived_ns: int) -> None:
        """Handle an Engine.IO message. The hot path: runs for each message."""
        if not self._attachments_due and payload.startswith(self._prefix):
            self._on_event(payload, arrived_ns)
        elif self._attachments_due:
            self._on_attachment(payload, arrived_ns)
        elif payload[:1] == b"4":
            self._on_socketio(payload, arrived_ns)
        else:
            self._on_engine_packet(payload)

    def _on_old_packet(self, payload: bytes, arrived_ns: int) -> None:
        """Handle a message of Engine.IO 3: anything is a sign of life, and bytes have a type."""
        if self._heartbeat is not None:
            self._heartbeat.hear()
        self._on_packet(payload.removeprefix(BINARY_MESSAGE), arrived_ns)

    def _on_packed(self, payload: bytes, arrived_ns: int) -> None:
        """Handle a message of the msgpack parser."""
        if not is_packed(payload):
            self._on_packet(payload, arrived_ns)
            return
        try:
            parts = unpack(payload)
        except Malformed as error:
            self._on_malformed(error.cause)
            return
        for part in parts:
            self._on_packet(part, arrived_ns)

    def _on_socketio(self, payload: bytes, arrived_ns: int) -> None:
        header = parse_header(payload)
        if header is None:
            self._on_malformed("bad packet")
            return
        self._attachments_due, namespace = header
        kind = payload[:2]
        if kind in (_ACK, _BINARY_ACK):
            self._binary = None
            if namespace == self._namespace:
                self._on_ack(payload, arrived_ns)
        elif self._attachments_due:
            wanted = kind == _BINARY_EVENT and namespace == self._namespace
            self._binary = [payload] if wanted else None
            self._binary_bytes = len(payload)
        elif namespace != self._namespace:
            if payload == _UNASKED and self.endpoint.engine == 4:
                self._on_connected(payload, arrived_ns)
        elif kind in (_EVENT, _BINARY_EVENT):
            self._on_event(payload, arrived_ns)
            self._acknowledge(payload)
        elif kind == _CONNECT:
            self._on_connected(payload, arrived_ns)
        elif kind == _DISCONNECT:
            self._hang_up()
            self.end(DISCONNECTED, by="data")
        else:
            data = packet_data(payload)
            self._note_refusal(data)
            refused = dataclasses.replace(DISCONNECTED, reason=data_text(data)[:MAX_TEXT])
            self._hang_up()
            self.end(refused, by="data")

    def _on_connected(self, payload: bytes, arrived_ns: int) -> None:
        data = packet_data(payload)
        if self.endpoint.engine == 4 and not is_connect_acknowledgement(data):
            # Socket.IO 2 sends no session ID, and accepts no ``auth``.
            self._refusal = (OLD_SERVER, payload[:200].decode(errors="replace"))
            self._hang_up()
            self.end(Closed("client", OLD_SERVER))
        elif not self._acknowledged_ns:
            self._acknowledged_ns = arrived_ns
            self._recovery_id = recovery_id(data)
            before, _ = recovery_of(self.endpoint.last_event_id)
            self._resumed = before != "" and before == self._recovery_id

    def _on_ack(self, payload: bytes, arrived_ns: int) -> None:
        if self.on_acknowledgement is None:
            return
        found = parse_acknowledgement(payload)
        if found is not None:
            self.on_acknowledgement(*found, arrived_ns)

    def _on_attachment(self, payload: bytes, arrived_ns: int) -> None:
        binary = self._binary
        self._attachments_due -= 1
        if binary is None:
            return
        binary.append(payload)
        self._binary_bytes += len(payload)
        if self._binary_bytes > self.endpoint.max_message:
            self.end(_TOO_LARGE, by="data")
        elif not self._attachments_due:
            self._binary = None
            self._on_event(join_attachments(binary), arrived_ns)
            self._acknowledge(binary[0])

    def _acknowledge(self, event: bytes) -> None:
        """Acknowledge an event that requests it, as a client with a handler for it does."""
        answer = requested_acknowledgement(event, self._namespace)
        if answer is not None:
            self.send(answer)
