"""HTTP/1.1 requests of one connection, one after another, answered in the hub.

h11 owns the protocol (RFC 9110, RFC 9112). A TCP connection is kept alive as long as the server
keeps it; otherwise the next request opens another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import gevent
import h11

from sseload_users.transports.content_coding import BadContent, decoded_content
from sseload_users.transports.handshake_response import HEAD_BYTES
from sseload_users.transports.inflation import Inflation
from sseload_users.transports.stamped_socket import StampedSocket

_CLOSED = "connection closed"


class InvalidAnswer(ConnectionError):  # noqa: N818 - no error of this program
    """An answer that is not valid HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request.

    Attributes:
        status: the HTTP status.
        headers: names in lower case, and values.
        body: the whole body.
        arrived_ns: when its last bytes arrived (wall clock, ns).
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    arrived_ns: int

    def header(self, name: bytes) -> str:
        """Return a header's value; empty if there is none."""
        values = (value for key, value in self.headers if key == name)
        return b", ".join(values).decode(errors="replace")


class RequestChannel:
    """Makes requests, one at a time.

    Args:
        connect: opens a connection; it may wait, and runs in a greenlet of its own.
        on_answer: called, in the hub, with each response. It must neither block nor raise.
        on_failure: called, in the hub or a greenlet, if a request gets no valid response, with
            the error. There are no more answers then.
        repeats: whether to repeat a request on a new connection if a kept-alive one was closed
            before any answer, as browsers do.
        max_body: largest body of a response, in bytes, and of what it is decoded to.
        inflation: counts bodies that come compressed.

    Attributes:
        connection: the current TCP connection; None if there is none.
    """

    __slots__ = (
        "_body",
        "_closed",
        "_connect",
        "_heard",
        "_http",
        "_inflation",
        "_max_body",
        "_on_answer",
        "_on_failure",
        "_opener",
        "_pending",
        "_repeats",
        "_response",
        "_reused",
        "_size",
        "connection",
    )

    def __init__(
        self,
        connect: Callable[[], StampedSocket],
        on_answer: Callable[[Answer], None],
        on_failure: Callable[[Exception], None],
        *,
        repeats: bool,
        max_body: int,
        inflation: Inflation,
    ) -> None:
        self._connect = connect
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._repeats = repeats
        self._max_body = max_body
        self._inflation = inflation
        self.connection: StampedSocket | None = None
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self._pending: tuple[h11.Request, bytes] | None = None
        self._opener: gevent.Greenlet[..., None] | None = None
        self._response: h11.Response | None = None
        self._body: list[bytes] = []
        self._size = 0
        # Whether this connection has answered before, and whether it has begun to answer now.
        self._reused = self._heard = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._pending is not None

    def request(self, head: h11.Request, body: bytes = b"") -> None:
        """Make a request without waiting; the previous one must have been answered."""
        self._pending = head, body
        if self.connection is None:
            self._reopen()
        else:
            self._write(self.connection)

    def close(self) -> None:
        """Close the connection; nothing is called any more."""
        self._closed = True
        self._pending = None
        if self._opener is not None and self._opener is not gevent.getcurrent():
            self._opener.kill(block=False)
        self._drop()

    def _reopen(self) -> None:
        self._opener = gevent.spawn(self._open)

    def _open(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer gets it
            self._fail(error)
            return
        if self._closed:
            connection.close()
            return
        self.connection = connection
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self._reused = False
        connection.watch(self._on_bytes, self._on_end)
        self._write(connection)

    def _write(self, connection: StampedSocket) -> None:
        assert self._pending is not None  # noqa: S101
        head, body = self._pending
        self._response, self._body, self._size, self._heard = None, [], 0, False
        data = self._http.send(head) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        if not connection.send_now(data):
            self._on_end(None)

    # In the hub

    def _on_bytes(self, data: bytes, arrived_ns: int, _: int | None) -> None:
        if self._pending is None:
            self._drop()  # nobody asked
            return
        self._heard = True
        try:
            self._http.receive_data(data)
            self._advance(arrived_ns)
        except h11.RemoteProtocolError as error:
            self._fail(InvalidAnswer(f"bad answer: {error}"[:200]))

    def _advance(self, arrived_ns: int) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                self._response = event
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
                self._size += len(event.data)
                if self._size > self._max_body:
                    self._fail(ConnectionError("message too large"))
                    return
            elif isinstance(event, h11.EndOfMessage):
                self._complete(arrived_ns)
                return
            elif not isinstance(event, h11.InformationalResponse):
                return

    def _complete(self, arrived_ns: int) -> None:
        response, self._pending = self._response, None
        assert response is not None  # noqa: S101
        answer = Answer(
            response.status_code, tuple(response.headers), b"".join(self._body), arrived_ns
        )
        if coding := answer.header(b"content-encoding"):
            try:
                answer = replace(answer, body=self._decoded(answer.body, coding))
            except ConnectionError as error:
                self._fail(error)
                return
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._reused = True
        else:
            self._drop()
        self._on_answer(answer)

    def _decoded(self, body: bytes, coding: str) -> bytes:
        """Return the content of a body.

        Raises:
            ConnectionError: it cannot be decoded, or is too large.
        """
        try:
            content = decoded_content(body, coding, self._max_body + 1)
        except BadContent as error:
            raise InvalidAnswer("bad compressed data") from error
        if len(content) > self._max_body:
            raise ConnectionError("inflated message too large")
        self._inflation.count(len(body), len(content))
        return content

    def _on_end(self, error: Exception | None) -> None:
        arrived_ns = 0 if self.connection is None else self.connection.arrived_ns
        self._drop()
        if error is not None and not isinstance(error, OSError):
            self._fail(error)  # a callback raised it
        if self._pending is None:
            return  # the server need not keep an idle connection
        if error is None and self._response is not None:
            # This ends a body that has no length.
            try:
                self._http.receive_data(b"")
                self._advance(arrived_ns)
            except h11.RemoteProtocolError:
                pass
            if self._pending is None:
                return
        if self._reused and self._repeats and not self._heard:
            self._reopen()
        else:
            self._fail(ConnectionError(_CLOSED) if error is None else error)

    def _fail(self, error: Exception) -> None:
        if not self._closed:
            self.close()
            self._on_failure(error)

    def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()
