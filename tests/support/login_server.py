"""A WebSocket server whose users log in; it records what each of them did."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.support.socket_servers import read_until, serving
from tests.support.wire import acceptance_of, frame

#: A response: status, headers, body.
Response = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        method: its method.
        path: its path, without the query.
        query: the first value of each name in the query.
        headers: headers by name in lower case.
        body: the body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def bearer(self) -> str:
        """The bearer token; empty if there is none."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


def json_response(value: object, status: int = 200, **headers: str) -> Response:
    """Return a response with JSON."""
    return status, headers, json.dumps(value).encode()


@dataclass
class LoginServer:
    """A server that broadcasts codes to its WebSockets, and asks for a login.

    Its routes are ``POST /login`` with ``{"name"}``, which returns ``{"access_token"}``;
    ``/ws?token=``; and ``POST /publish`` with a bearer token. A token is valid for one WebSocket.

    Args:
        route: answers requests before these routes; returns None for those that it does not
            know. For an upgrade, None accepts if the token is valid.
        lifetime: number of codes for which a token is valid; 0 for no limit.

    Attributes:
        requests: number of requests by path and status.
        connected: users of the WebSockets that were accepted.
        published: users of the codes that were accepted.
    """

    route: Callable[[Request], Response | None] = lambda _: None
    lifetime: int = 0
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    connected: list[str] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    _users: dict[str, str] = field(default_factory=dict)
    _uses: Counter[str] = field(default_factory=Counter)
    _listeners: list[socket.socket] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; return the server's URL."""
        with serving(self._handle) as port:
            yield f"http://127.0.0.1:{port}"

    def new_token(self, user: str) -> str:
        """Return a new token of a user."""
        token = secrets.token_hex(12)
        self._users[token] = user
        return token

    def user_of(self, token: str) -> str | None:
        """Return the user of a token; None if it is not valid."""
        return self._users.get(token)

    @property
    def tokens(self) -> list[str]:
        """All valid tokens."""
        return [*self._users]

    def broadcast(self, body: bytes) -> None:
        """Send a text to all WebSockets."""
        for each in self._listeners:
            with contextlib.suppress(OSError):
                each.sendall(frame(0x81, body))

    def _handle(self, connection: socket.socket) -> None:
        connection.settimeout(60)
        while head := read_until(connection, b"\r\n\r\n"):
            request = _parse(head.decode(), connection)
            with self._lock:
                response = self.route(request) or self._respond(request)
                self.requests[request.path, response[0]] += 1
                if response[0] == 101:
                    chosen = "".join(f"{name}: {value}\r\n" for name, value in response[1].items())
                    accepted = acceptance_of(head).removesuffix(b"\r\n")
                    connection.sendall(accepted + chosen.encode() + b"\r\n")
                    connection.sendall(frame(0x81, b'{"type":"connected"}'))
                    self._listeners.append(connection)
                    break
            status, headers, body = response
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            connection.sendall(
                f"HTTP/1.1 {status} Said\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass

    def _respond(self, request: Request) -> Response:
        match request.path:
            case "/health":
                return json_response({})
            case "/login":
                name = json.loads(request.body)["name"]
                return json_response({"access_token": self.new_token(name)})
            case "/ws":
                return self.accept(self._users.pop(request.query.get("token", ""), None))
            case "/publish":
                return self.take(request, self._user_for_code(request.bearer))
        return json_response({"error": "not found"}, 404)

    def accept(self, user: str | None) -> Response:
        """Accept a WebSocket of a user; refuse it if there is none."""
        if user is None:
            return json_response({"error": "no login"}, 401)
        self.connected.append(user)
        return 101, {}, b""

    def take(self, request: Request, user: str | None) -> Response:
        """Broadcast a code of a user; refuse it if there is none."""
        if user is None:
            return json_response({"error": "token expired"}, 401)
        self.published.append(user)
        self.broadcast(request.body)
        return json_response({"ok": True})

    def _user_for_code(self, token: str) -> str | None:
        self._uses[token] += 1
        if self.lifetime and self._uses[token] > self.lifetime:
            self._users.pop(token, None)
        return self.user_of(token)


def _parse(head: str, connection: socket.socket) -> Request:
    first, *lines = head.strip().split("\r\n")
    method, url, _ = first.split(" ", 2)
    fields = (re.split("(: ?)", each, maxsplit=1) for each in lines)
    headers = {name.lower(): value for name, _, value in fields}
    length = int(headers.get("content-length", "0"))
    body = connection.recv(length, socket.MSG_WAITALL) if length else b""
    query = {name: value for name, (value, *_) in parse_qs(urlsplit(url).query).items()}
    return Request(method, urlsplit(url).path, query, headers, body)
