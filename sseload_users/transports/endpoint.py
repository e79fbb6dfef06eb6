"""Where and how one connection connects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sseload_users.transports import ConnectFailed

_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how one connection connects; a target profile makes it.

    Attributes:
        url: ``ws://`` or ``wss://`` for WebSocket and Socket.IO, ``http://`` or
            ``https://`` for server-sent events.
        headers: further request headers, in order. ``Host``, ``Origin`` and ``Cookie``
            replace what would be sent by default.
        subprotocols: WebSocket subprotocols to offer; the server must choose one.
        hello: text frames to send after the handshake.
        confirm: says whether a message confirms the subscription; without it the
            handshake does.
        refuse: the cause, if a message refuses the subscription.
        reply: what to answer to a keep-alive message, or None. Only asked about messages
            in which no code was found.
        max_message: bytes; a larger message ends the session: "message too large".
        namespace: Socket.IO's namespace to join.
        auth: what Socket.IO sends along with the wish to join, as JSON.
        last_event_id: of the session before, where an event stream is to go on from.
        slow: it reads slowly, as the network says.
    """

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    subprotocols: tuple[str, ...] = ()
    hello: tuple[str, ...] = field(default=(), repr=False)
    confirm: Callable[[bytes], bool] | None = None
    refuse: Callable[[bytes], str | None] | None = None
    reply: Callable[[bytes], str | None] | None = None
    max_message: int = 1 << 20
    namespace: str = "/"
    auth: Mapping[str, object] | None = field(default=None, repr=False)
    last_event_id: str = ""
    slow: bool = False


def origin(url: str) -> tuple[str, int, bool]:
    """The host, the port and whether TLS is asked for.

    Raises:
        ConnectFailed: at "resolve", for a URL that names no host or no known scheme.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConnectFailed("resolve", "bad URL", f"{url}: {error}") from error
    if not host or parts.scheme not in _PORTS:
        raise ConnectFailed("resolve", "bad URL", url)
    return host, port or _PORTS[parts.scheme], parts.scheme in ("wss", "https")
