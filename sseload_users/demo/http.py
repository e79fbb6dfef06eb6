"""HTTP/1.1 on one socket: requests, answers, and the switch to a push connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

import h11

from sseload_users.demo.client_socket import ClientSocket, Settle
from sseload_users.demo.messages import dump

#: The largest accepted request body, in bytes.
_BODY_BYTES = 1 << 20


@dataclass(eq=False, slots=True)
class Exchange:
    """One request and the means to answer it once, now or later.

    Attributes:
        path: decoded, without the query.
        query: the first value of each parameter.
        headers: by lower-case name; the last value of repeated ones.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    http11: bool
    socket: ClientSocket
    _http: HttpConnection

    def answer(self, status: int, value: object, *headers: tuple[str, str]) -> None:
        """Answer with JSON."""
        self.send(status, "application/json", dump(value) + "\n", *headers)

    def send(
        self,
        status: int,
        kind: str,
        text: str,
        *headers: tuple[str, str],
        settle: Settle = lambda _: None,
    ) -> None:
        """Answer with text of a content type; see `ClientSocket.write` for ``settle``."""
        data = text.encode()
        self._http.answer(status, data, *_sized(kind, data), *headers, settle=settle)

    def send_chunked(self, status: int, kind: str, text: str) -> None:
        """Answer with text in one chunk, without a Content-Length (RFC 9112 §7.1)."""
        headers = (("Transfer-Encoding", "chunked"), ("Content-Type", kind))
        self._http.answer(status, text.encode(), *headers)

    def switch(self, *headers: tuple[str, str]) -> bytes:
        """Answer 101, leave HTTP, and return the bytes received after the request."""
        self._http.send(
            h11.InformationalResponse(
                status_code=101, headers=_raw(headers), reason=b"Switching Protocols"
            )
        )
        return self._http.leave()

    def stream(self, *headers: tuple[str, str]) -> None:
        """Answer 200 with an open-ended body, and leave HTTP.

        The caller writes the body: in HTTP/1.1 chunks, or plain if ``http11`` is false.
        """
        self._http.send(h11.Response(status_code=200, headers=_raw(headers), reason=b"OK"))
        self._http.leave()


class HttpConnection:
    """The server's side of HTTP/1.1 on one socket.

    Args:
        socket: the connection.
        handle: called with each request; the next one waits for its answer.
    """

    def __init__(self, socket: ClientSocket, handle: Callable[[Exchange], None]) -> None:
        self._socket = socket
        self._handle = handle
        self._state = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = b""
        socket.on_bytes = self._receive

    def answer(
        self,
        status: int,
        body: bytes,
        *headers: tuple[str, str],
        settle: Settle = lambda _: None,
    ) -> None:
        """Answer the current request; the headers must give the length of the body."""
        if self._socket.gone:
            settle(False)
            return
        events: list[h11.Event] = [
            h11.Response(status_code=status, headers=_raw(headers), reason=_reason(status))
        ]
        if self._request is None or self._request.method != b"HEAD":
            events.append(h11.Data(data=body))
        events.append(h11.EndOfMessage())
        self._socket.write(b"".join(self._state.send(event) or b"" for event in events), settle)
        if self._state.our_state is h11.MUST_CLOSE:
            self._socket.close()
        elif self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
            self._advance()

    def send(self, event: h11.InformationalResponse | h11.Response) -> None:
        """Write the head of a response."""
        self._socket.write(self._state.send(event) or b"")

    def leave(self) -> bytes:
        """Stop reading requests, and return the bytes received after the last one."""
        self._socket.on_bytes = _discard
        return self._state.trailing_data[0]

    def _receive(self, data: bytes) -> None:
        self._state.receive_data(data)
        self._advance()

    def _advance(self) -> None:
        try:
            while True:
                event = self._state.next_event()
                if isinstance(event, h11.Request):
                    self._request, self._body = event, b""
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > _BODY_BYTES:
                        self._fail(413, "Request body larger than 1 MiB")
                        return
                elif isinstance(event, h11.EndOfMessage):
                    self._complete()
                    # The answer has advanced already, or is still to come.
                    return
                else:
                    return
        except h11.RemoteProtocolError as error:
            self._fail(error.error_status_hint, "Invalid HTTP request")

    def _complete(self) -> None:
        """Pass a complete request to the handler."""
        if self._request is None:
            return
        try:
            exchange = self._exchange(self._request)
        except ValueError:
            self._fail(400, "Invalid request target")
            return
        self._handle(exchange)

    def _fail(self, status: int, sentence: str) -> None:
        if self._state.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = dump({"error": sentence}).encode()
            self.answer(status, body, *_sized("application/json", body), ("Connection", "close"))
        self._socket.close()

    def _exchange(self, request: h11.Request) -> Exchange:
        target = urlsplit(request.target.decode("ascii", "replace"))
        query = parse_qs(target.query, keep_blank_values=True)
        return Exchange(
            method=request.method.decode("ascii"),
            path=unquote(target.path),
            query={name: values[0] for name, values in query.items()},
            headers={n.decode("ascii"): v.decode("latin-1") for n, v in request.headers},
            body=self._body,
            http11=request.http_version >= b"1.1",
            socket=self._socket,
            _http=self,
        )


def _sized(kind: str, body: bytes) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", kind), ("Content-Length", str(len(body))))


def _raw(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]


def _reason(status: int) -> bytes:
    try:
        # In upper case, as Werkzeug writes it.
        return HTTPStatus(status).phrase.upper().encode("ascii")
    except ValueError:
        return b"UNKNOWN"


def _discard(_: bytes) -> None:
    pass
