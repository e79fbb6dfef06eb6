"""How a message reaches a listener: the parts that all transports share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: A transport, as a target profile names it.
TransportName: TypeAlias = Literal["websocket", "socketio", "sse"]

#: Called in the hub for each whole message: its payload and its arrival (wall clock, ns).
#: It must neither block nor raise.
OnMessage = Callable[[bytes, int], None]

#: Called in the hub for each frame, packet or message that cannot be decoded, with a short
#: cause ("invalid UTF-8", "bad packet") that is counted in the report.
OnMalformed = Callable[[str], None]


class ConnectFailed(Exception):  # noqa: N818 - mostly the server's doing
    """A connection that could not be made, or was refused before it was subscribed.

    Args:
        operation: the step that failed: "resolve", "connect", "tls", "handshake" or
            "subscribe".
        cause: a short, countable cause without addresses or numbers that differ from
            one connection to the next ("connection refused", "HTTP 503", "timed out").
        detail: the system's message or another explanation for the log; the server's text
            by default.
        server_text: what the server sent with its refusal.
    """

    def __init__(
        self, operation: str, cause: str, detail: str = "", *, server_text: str = ""
    ) -> None:
        detail = detail or server_text
        super().__init__(f"{operation}: {cause}" + (f" ({detail})" if detail else ""))
        self.operation = operation
        self.cause = cause
        self.detail = detail
        self.server_text = server_text


class Malformed(Exception):  # noqa: N818 - the message is
    """A message that cannot be decoded.

    Args:
        cause: a short, countable cause ("bad JSON", "bad packet").
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """What one message says, before anybody looks for a code in it.

    Attributes:
        name: Socket.IO's or server-sent events' event name; empty for plain WebSocket.
        data: the text of a WebSocket message or an event stream's ``data`` (bytes where a
            WebSocket message is not UTF-8), or the list of a Socket.IO event's arguments.
    """

    name: str
    data: object


@dataclass(frozen=True, slots=True)
class Closed:
    """How a session ended.

    Attributes:
        by: "server" (it said so: a close frame, an end of stream), "client" (this side
            left or gave up), "network" (reset, timed out, gone without a word).
        cause: a short, countable cause ("closed by server: 1011", "connection reset",
            "no close frame", "protocol error: masked frame", "heartbeat missed").
        code: the WebSocket close code, where there was one.
        reason: the server's own words, where there were any.
    """

    by: Literal["server", "client", "network"]
    cause: str
    code: int | None = None
    reason: str = ""
