"""Where and how one connection connects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from operator import attrgetter
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from sseload_users.transports import CarrierName, Closed, ConnectFailed, ParserName, Revision
from sseload_users.transports.cookies import Cookies

#: Sends a text or binary message without waiting.
Send: TypeAlias = Callable[[str | bytes], object]
#: Answers a payload, as far as its messages require that. It is called in the hub: it must
#: neither block nor raise.
Reply: TypeAlias = Callable[[bytes, Send], None]
#: Takes a payload and its arrival (wall clock, ns) while a connection subscribes, and sends what
#: that requires; returns when the subscription was complete (wall clock, ns), or None if it is
#: not. It is called in the connection's greenlet and may block. It raises `ConnectFailed`.
Confirm: TypeAlias = Callable[[bytes, int, Send], int | None]

#: A version of HTTP, as a target profile names it.
HttpVersion: TypeAlias = Literal["auto", "1.1", "2"]

_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}


# Nobody changes one. But each connect makes one, and a frozen one takes three times as long.
@dataclass(slots=True)
class Endpoint:
    """Where and how one connection connects; a target profile makes it.

    Attributes:
        url: ``ws://`` or ``wss://`` for WebSocket and Socket.IO, ``http://`` or
            ``https://`` for server-sent events.
        method: of the request for an event stream.
        body: of that request; empty if there is none.
        http: its version: "auto" offers 2 and 1.1 with TLS and is 1.1 without, as in browsers.
        multiplex: how many event streams at most share an HTTP/2 connection.
        headers: further request headers, in order. ``Host``, ``Origin`` and ``Cookie``
            replace the default ones.
        subprotocols: WebSocket subprotocols to offer; the server must choose one.
        hello: messages to send after the handshake.
        confirm: takes each message until the subscription is complete; None if it is after the
            handshake.
        refuse: returns a cause if a message refuses the subscription, else None.
        end: returns how a message ends the session, else None; asked about every message after the
            subscription. None if the profile has no such messages.
        reply: answers a message that requires it; asked about every message. None if the
            profile has no replies.
        max_message: size limit in bytes; a larger message ends the session with the cause
            "message too large".
        namespace: Socket.IO namespace to join.
        auth: Socket.IO's connect payload, sent as JSON.
        engine: the revision of Engine.IO: 3 for Socket.IO 2, 4 for Socket.IO 3 and later.
        parser: how Socket.IO's packets are written: as text with JSON, or by msgpack.
        transports: how Engine.IO is carried: at first by the first of these; from polling it goes
            over to WebSocket if that is there, too.
        last_event_id: ID of the last event of the previous session, from which an event
            stream resumes; empty if there is none.
        slow: whether to read at the network's slow rate.
        turn: which of the host's addresses comes first; see `AddressTurns.order`.
        jar: takes the cookies that answers to handshakes set; None if they are not kept.
    """

    url: str = field(repr=False)
    method: str = "GET"
    body: bytes = field(default=b"", repr=False)
    http: HttpVersion = "auto"
    multiplex: int = 1
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    subprotocols: tuple[str, ...] = ()
    hello: tuple[str | bytes, ...] = field(default=(), repr=False)
    confirm: Confirm | None = None
    refuse: Callable[[bytes], str | None] | None = None
    end: Callable[[bytes], Closed | None] | None = None
    reply: Reply | None = None
    max_message: int = 1 << 20
    namespace: str = "/"
    auth: Mapping[str, object] | None = field(default=None, repr=False)
    engine: Revision = 4
    parser: ParserName = "json"
    transports: tuple[CarrierName, ...] = ("websocket",)
    last_event_id: str = ""
    slow: bool = False
    turn: int | None = None
    jar: Cookies | None = field(default=None, repr=False)

    def of_connection(
        self,
        headers: tuple[tuple[str, str], ...],
        jar: Cookies | None,
        turn: int | None,
        *,
        slow: bool,
    ) -> Endpoint:
        """Return the endpoint of one connection; see the attributes.

        `dataclasses.replace` would take twice as long, for each connect.
        """
        values = [*_values(self)]
        values[_HEADERS], values[_JAR], values[_TURN], values[_SLOW] = headers, jar, turn, slow
        return Endpoint(*values)


_NAMES = [each.name for each in fields(Endpoint)]
_values = attrgetter(*_NAMES)
_HEADERS, _JAR, _TURN, _SLOW = map(_NAMES.index, ("headers", "jar", "turn", "slow"))


@lru_cache(maxsize=1024)
def parse_origin(url: str) -> tuple[str, int, bool]:
    """Return a URL's host, its port, and whether it requires TLS.

    Raises:
        ConnectFailed: at "resolve": the URL has no host or an unknown scheme.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConnectFailed("resolve", "bad URL", f"{url}: {error}") from error
    if not host or parts.scheme not in _PORTS:
        raise ConnectFailed("resolve", "bad URL", url)
    return host, port or _PORTS[parts.scheme], parts.scheme in ("wss", "https")
