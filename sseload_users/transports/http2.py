"""HTTP/2 for event streams (RFC 9113): the streams of one connection; no sockets.

h2 owns the protocol; as with WebSocket frames, work is only saved: a whole DATA frame without
flags is sliced out of the bytes, and its length is given back to the server's flow control
windows. Every other frame goes to h2, except GOAWAY: h2 takes no frames after it, but the
server may still send on the streams that it has not refused (RFC 9113 §6.8).
"""

from __future__ import annotations

from collections.abc import Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import WindowUpdateFrame

from sseload_users.transports import Closed, ConnectFailed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.http2_stream import Http2Stream
from sseload_users.transports.lag import ShareStamp
from sseload_users.transports.request_head import request_target
from sseload_users.transports.sse_handshake import stream_headers

#: How a session closes if a frame is invalid.
BAD_FRAME = Closed("client", "protocol error: bad HTTP/2 frame")

_HEADER_BYTES = 9
_DATA, _GOAWAY = 0x0, 0x7
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


class Http2Session:
    """One HTTP/2 connection with its streams.

    Args:
        send: sends bytes without waiting.
        share: makes the stamp of what lies before the last bytes of a read.

    Attributes:
        ready: whether the server has said how many streams it takes.
        on_ready: called once it has, or once the connection has ended.
        leaving: how streams close when the connection ends, if the server has announced that: it
            takes no new ones. None otherwise.
        closed: how the connection has ended; None while it is open.
    """

    def __init__(self, send: Callable[[bytes], object], share: ShareStamp) -> None:
        self.ready = False
        self.on_ready: Callable[[], None] = lambda: None
        self.leaving: Closed | None = None
        self.closed: Closed | None = None
        self._send = send
        self._share = share
        self._left = b""
        self._unacknowledged = 0
        # Within a block of headers, there are no frames but CONTINUATION (RFC 9113 §6.10).
        self._in_headers = False
        # By the bytes of their numbers, as they are in frames.
        self._streams: dict[bytes, Http2Stream] = {}
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding=None)
        )
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=True, initial_values={codes.ENABLE_PUSH: 0, codes.INITIAL_WINDOW_SIZE: _WINDOW}
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW - _DEFAULT_WINDOW)

    @property
    def room(self) -> int:
        """How many more streams the server takes now."""
        if self.leaving is not None or self.closed is not None:
            return 0
        return self._h2.remote_settings.max_concurrent_streams - len(self._streams)

    @property
    def streams(self) -> int:
        """The number of streams that are open."""
        return len(self._streams)

    def open(self, endpoint: Endpoint, *, compression: bool) -> Http2Stream:
        """Request an event stream; return it.

        Args:
            endpoint: method, URL, headers and body of the request.
            compression: whether to offer content codings, as a browser does.

        Raises:
            ConnectFailed: at "handshake": the URL or a header is not allowed in HTTP.
        """
        number = self._h2.get_next_available_stream_id()
        try:
            headers = _headers(endpoint, compression=compression)
            self._h2.send_headers(number, headers, not endpoint.body)
        except (h2.exceptions.ProtocolError, UnicodeError, ValueError):
            raise ConnectFailed(
                "handshake", "bad request", "a header or the URL is not allowed in HTTP"
            ) from None
        stream = Http2Stream(number, endpoint.body)
        self._streams[stream.key] = stream
        self._send_bodies()
        self._flush()
        return stream

    def cancel(self, stream: Http2Stream) -> None:
        """End a stream from this side; the others go on."""
        if self._streams.pop(stream.key, None) is None:
            return
        try:
            self._h2.reset_stream(stream.number, h2.errors.ErrorCodes.CANCEL)
        except h2.exceptions.ProtocolError:
            return  # the server has ended it, too
        self._flush()

    def end(self, closed: Closed, error: Exception | None = None) -> None:
        """End all streams: the connection has ended.

        Args:
            closed: how; what the server has announced comes first.
            error: what has broken the connection, if something has.
        """
        if self.closed is not None:
            return
        self.closed = self.leaving or closed
        streams, self._streams = [*self._streams.values()], {}
        self.on_ready()
        for index, each in enumerate(streams):
            how = self.closed
            if how is BAD_FRAME and index:
                how = Closed(how.by, how.cause)  # one invalid frame counts once
            each.end(how, None if self.leaving else error)

    def feed(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        """Decode the next bytes, at least one.

        Args:
            data: the bytes of one read.
            arrived_ns: when the newest of them arrived (wall clock, ns).
            empty_ns: before when none of them had arrived; None if that is not known.
        """
        data = self._left + data
        at, size, streams = 0, len(data), self._streams
        # The stamp of what lies before the last bytes of this read, for whichever stream.
        shared_ns: int | None = None
        while size - at >= _HEADER_BYTES and self.closed is None:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            end = at + _HEADER_BYTES + length
            if length > self._h2.max_inbound_frame_size:  # h2 would wait for all of it
                self.end(BAD_FRAME)
                return
            if end > size:
                break
            stamp_ns = arrived_ns
            if end < size and data[at + 3] == _DATA:
                if shared_ns is None:
                    shared_ns = self._share(arrived_ns, empty_ns)
                stamp_ns = shared_ns
            stream = streams.get(data[at + 5 : at + 9])
            # Type and flags are zero for a plain DATA frame.
            if (
                stream is not None
                and stream.is_open
                and not self._in_headers
                and data[at + 3 : at + 5] == b"\0\0"
            ):
                self._unacknowledged += length
                stream.unacknowledged += length
                if length:
                    payload = data[at + _HEADER_BYTES : end]
                    stream.take(payload, stamp_ns, empty_ns)
                if stream.unacknowledged >= _UPDATE:
                    self._update_window(stream)
            elif data[at + 3] == _GOAWAY and not self._in_headers:
                self._take_goaway(data[at + _HEADER_BYTES : end])
            else:
                if data[at + 3] in _HEADER_FRAMES:
                    self._in_headers = not data[at + 4] & _END_HEADERS
                self._decode_by_h2(data[at:end], stamp_ns, empty_ns)
            at = end
        self._left = data[at:]
        if self._unacknowledged >= _UPDATE:
            size, self._unacknowledged = self._unacknowledged, 0
            self._send(WindowUpdateFrame(0, window_increment=size).serialize())

    def _update_window(self, stream: Http2Stream) -> None:
        """Give back to the server what the fast path has read of a stream (RFC 9113 §6.9)."""
        size = stream.give_back()
        if size:
            self._send(WindowUpdateFrame(stream.number, window_increment=size).serialize())

    def _take_goaway(self, payload: bytes) -> None:
        """Take the announcement that the connection will end (RFC 9113 §6.8)."""
        if len(payload) < 8:
            self.end(BAD_FRAME)
            return
        last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        code = int.from_bytes(payload[4:8], "big")
        self.leaving = Closed("server", f"connection ended by HTTP/2: {_name(code)}")
        for each in [*self._streams.values()]:
            if each.number > last:
                each.is_unprocessed = True
                self._end_stream(each, self.leaving)

    def _decode_by_h2(self, frame: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        try:
            for event in self._h2.receive_data(frame):
                self._take(event, arrived_ns, empty_ns)
            self._send_bodies()
        except h2.exceptions.ProtocolError:
            self.end(BAD_FRAME)
        self._flush()

    def _take(self, event: h2.events.Event, arrived_ns: int, empty_ns: int | None) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged) and not self.ready:
            self.ready = True
            self.on_ready()
            return
        number: int | None = getattr(event, "stream_id", None)
        stream = self._streams.get((number or 0).to_bytes(4, "big"))
        if isinstance(event, h2.events.DataReceived) and number is not None:
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            headers = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
            if not stream.take_head(headers, arrived_ns, empty_ns):
                self.end(BAD_FRAME)
        elif isinstance(event, h2.events.DataReceived):
            if event.data:
                stream.take(bytes(event.data), arrived_ns, empty_ns)
        elif isinstance(event, h2.events.StreamEnded):
            self._end_stream(stream, _END)
        elif isinstance(event, h2.events.StreamReset):
            self._end_stream(
                stream, Closed("server", f"stream reset: {_name(event.error_code or 0)}")
            )

    def _end_stream(self, stream: Http2Stream, closed: Closed) -> None:
        self._streams.pop(stream.key, None)
        stream.end(closed)

    def _send_bodies(self) -> None:
        """Send as much of the requests' bodies as the server's windows let through."""
        for stream in self._streams.values():
            while stream.unsent:
                window = self._h2.local_flow_control_window(stream.number)
                size = min(window, self._h2.max_outbound_frame_size, len(stream.unsent))
                if size <= 0:
                    break
                part, stream.unsent = stream.unsent[:size], stream.unsent[size:]
                self._h2.send_data(stream.number, part, end_stream=not stream.unsent)

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


def _name(code: int) -> str:
    """Return an error code's name (RFC 9113 §7)."""
    try:
        return h2.errors.ErrorCodes(code).name
    except ValueError:
        return str(code)
