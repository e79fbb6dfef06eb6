"""One event stream over HTTP/2 (RFC 9113), on a connection of its own; no sockets.

h2 owns the protocol; as with WebSocket frames, work is only saved: a whole DATA frame without
flags is sliced out of the bytes, and its length is given back to the server's flow control
window. Every other frame goes to h2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import h11
from hyperframe.frame import WindowUpdateFrame

from sseload_users.transports import Closed, ConnectFailed, OnMessage
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.handshake_response import HandshakeResponse
from sseload_users.transports.request_head import request_target
from sseload_users.transports.sse_handshake import StreamResponse, stream_headers

#: How a session closes if a frame is invalid.
BAD_FRAME = Closed("client", "protocol error: bad HTTP/2 frame")

_HEADER_BYTES = 9
#: HEADERS, PUSH_PROMISE and CONTINUATION, and the flag of the last one (RFC 9113 §6).
_HEADER_FRAMES, _END_HEADERS = (0x1, 0x5, 0x9), 0x4
#: The window that the server may fill before an update, in bytes, and when to update it.
_WINDOW, _UPDATE = 1 << 20, 1 << 18
_DEFAULT_WINDOW = 65535
#: Headers that have no place in HTTP/2 (RFC 9113 §8.2.2), or another form.
_OF_HTTP_1 = frozenset(
    {b"connection", b"host", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_END = Closed("server", "end of stream")
_CUT = Closed("network", "connection closed")


class Content(Protocol):
    """Takes the bytes of a response's body.

    Attributes:
        on_message: gets each message.
        ended: whether decoding has stopped.
    """

    on_message: OnMessage
    ended: bool

    def feed(
        self, data: bytes, arrived_ns: int, empty_ns: int | None, *, followed: bool = False
    ) -> None:
        """Decode the next bytes; see `EventStream.feed`."""


class Http2Stream(StreamResponse):
    """A request for an event stream, its response, and the decoder of its body.

    Args:
        endpoint: method, URL, headers and body of the request.
        send: sends bytes without waiting.
        compression: whether to offer content codings, as a browser does.

    Attributes:
        response: the response, as far as it has arrived.
        complete: whether nothing more will come that belongs to the response.
        at_end: how the session has closed if the connection ends now.

    Raises:
        ConnectFailed: at "handshake": the URL or a header is not allowed in HTTP.
    """

    def __init__(
        self, endpoint: Endpoint, send: Callable[[bytes], object], *, compression: bool
    ) -> None:
        self.response = HandshakeResponse(h11.Connection(h11.CLIENT), 200)
        self.complete = False
        self.at_end = _CUT
        self._send = send
        self._left = b""
        self._unacknowledged = 0
        # Within a block of headers, there are no frames but CONTINUATION (RFC 9113 §6.10).
        self._in_headers = False
        self._content: Content | None = None
        self._on_close: Callable[[Closed], None] = lambda _: None
        # What has arrived of the body before there was anything to decode it.
        self._early: list[bytes] = []
        self._unsent = endpoint.body
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding=None)
        )
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=True, initial_values={codes.ENABLE_PUSH: 0, codes.INITIAL_WINDOW_SIZE: _WINDOW}
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW - _DEFAULT_WINDOW)
        self._id = self._h2.get_next_available_stream_id()
        self._own = self._id.to_bytes(4, "big")
        try:
            self._h2.send_headers(
                self._id, _headers(endpoint, compression=compression), not self._unsent
            )
        except (h2.exceptions.ProtocolError, UnicodeError, ValueError):
            raise ConnectFailed(
                "handshake", "bad request", "a header or the URL is not allowed in HTTP"
            ) from None
        self._send_body()
        self._flush()

    # As a decoder

    @property
    def on_message(self) -> OnMessage:
        """Gets each message."""
        assert self._content is not None  # noqa: S101
        return self._content.on_message

    @on_message.setter
    def on_message(self, on_message: OnMessage) -> None:
        assert self._content is not None  # noqa: S101
        self._content.on_message = on_message

    @property
    def ended(self) -> bool:
        """Whether decoding has stopped; set it to stop in the middle of a read."""
        return self.complete if self._content is None else self._content.ended

    @ended.setter
    def ended(self, ended: bool) -> None:
        if self._content is not None:
            self._content.ended = ended

    def decode(
        self,
        content: Content,
        on_close: Callable[[Closed], None],
        arrived_ns: int,
        empty_ns: int | None,
    ) -> None:
        """Decode the body from now on.

        Args:
            content: gets its bytes.
            on_close: called once, when the stream ends or is invalid.
            arrived_ns: when the newest bytes so far arrived (wall clock, ns).
            empty_ns: before when none of them had arrived.
        """
        self._content, self._on_close = content, on_close
        early, self._early = b"".join(self._early), []
        if early:
            content.feed(early, arrived_ns, empty_ns)
        if self.complete:
            self._close(self.at_end)

    def feed(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        """Decode the next bytes, at least one.

        Args:
            data: the bytes of one read.
            arrived_ns: when the newest of them arrived (wall clock, ns).
            empty_ns: before when none of them had arrived; None if that is not known.
        """
        data = self._left + data
        at, size, content = 0, len(data), self._content
        while size - at >= _HEADER_BYTES and not self.ended:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            end = at + _HEADER_BYTES + length
            if length > self._h2.max_inbound_frame_size:  # h2 would wait for all of it
                self._end(BAD_FRAME)
                return
            if end > size:
                break
            # Type and flags are zero for a plain DATA frame.
            if (
                content is not None
                and not self._in_headers
                and data[at + 3 : at + 5] == b"\0\0"
                and data[at + 5 : at + 9] == self._own
            ):
                self._unacknowledged += length
                payload = data[at + _HEADER_BYTES : end]
                if payload:
                    content.feed(payload, arrived_ns, empty_ns, followed=end < size)
            else:
                if data[at + 3] in _HEADER_FRAMES:
                    self._in_headers = not data[at + 4] & _END_HEADERS
                self._decode_by_h2(data[at:end], arrived_ns, empty_ns, followed=end < size)
            at = end
        self._left = data[at:]
        if self._unacknowledged >= _UPDATE:
            self._update_windows()

    def _update_windows(self) -> None:
        """Give back to the server what the fast path has read (RFC 9113 §6.9)."""
        size, self._unacknowledged = self._unacknowledged, 0
        updates = (WindowUpdateFrame(each, window_increment=size) for each in (0, self._id))
        self._send(b"".join(each.serialize() for each in updates))

    def _decode_by_h2(
        self, frame: bytes, arrived_ns: int, empty_ns: int | None, *, followed: bool
    ) -> None:
        try:
            for event in self._h2.receive_data(frame):
                self._take(event, arrived_ns, empty_ns, followed=followed)
            self._send_body()
        except h2.exceptions.ProtocolError:
            self._end(BAD_FRAME)
        self._flush()

    def _take(
        self, event: h2.events.Event, arrived_ns: int, empty_ns: int | None, *, followed: bool
    ) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self._take_head([(bytes(name), bytes(value)) for name, value in event.headers or ()])
        elif isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, self._id)
            self._take_data(bytes(event.data or b""), arrived_ns, empty_ns, followed=followed)
        elif isinstance(event, h2.events.StreamEnded):
            self._end(_END)
        elif isinstance(event, h2.events.StreamReset):
            self._end(Closed("server", f"stream reset: {_name(event.error_code)}"))
        elif isinstance(event, h2.events.ConnectionTerminated):
            closed = Closed("server", f"connection ended by HTTP/2: {_name(event.error_code)}")
            self.at_end = closed
            if (event.last_stream_id or 0) < self._id:
                self._end(closed)

    def _take_head(self, fields: list[tuple[bytes, bytes]]) -> None:
        try:
            status = int(dict(fields)[b":status"])
            self.response.take_head(status, [each for each in fields if each[0][:1] != b":"])
        except (LookupError, ValueError, h11.LocalProtocolError):
            self._end(BAD_FRAME)

    def _take_data(
        self, data: bytes, arrived_ns: int, empty_ns: int | None, *, followed: bool
    ) -> None:
        if self._content is None:
            if self.response.refused:
                self.complete = self.response.take_body(data) or self.complete
            else:
                self._early.append(data)
        elif data:
            self._content.feed(data, arrived_ns, empty_ns, followed=followed)

    def _end(self, closed: Closed) -> None:
        self.complete, self.at_end = True, closed
        if self._content is not None:
            self._close(closed)

    def _close(self, closed: Closed) -> None:
        if not self.ended:
            self.ended = True
            self._on_close(closed)

    def _send_body(self) -> None:
        """Send as much of the request's body as the server's window lets through."""
        while self._unsent and not self.complete:
            room = self._h2.local_flow_control_window(self._id)
            size = min(room, self._h2.max_outbound_frame_size, len(self._unsent))
            if size <= 0:
                return
            part, self._unsent = self._unsent[:size], self._unsent[size:]
            self._h2.send_data(self._id, part, end_stream=not self._unsent)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._send(data)


def _headers(endpoint: Endpoint, *, compression: bool) -> list[tuple[bytes, bytes]]:
    """Return the request's headers, those of HTTP/2 first (RFC 9113 §8.3.1)."""
    fields = [
        (name.lower(), value) for name, value in stream_headers(endpoint, compression=compression)
    ]
    own = {
        b":method": endpoint.method.encode(),
        b":scheme": endpoint.url.partition(":")[0].lower().encode(),
        b":authority": dict(fields)[b"host"],
        b":path": request_target(endpoint.url).encode(),
    }
    return [*own.items(), *(each for each in fields if each[0] not in _OF_HTTP_1)]


def _name(code: object) -> str:
    """Return an error code's name (RFC 9113 §7)."""
    return str(getattr(code, "name", code))
