"""From bytes to messages: the types that all transports share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: A transport, as a target profile names it.
TransportName: TypeAlias = Literal["websocket", "socketio", "sse"]

#: A revision of Engine.IO: 3 for Socket.IO 2, 4 for Socket.IO 3 and later.
Revision: TypeAlias = Literal[3, 4]
#: How Socket.IO's packets are written, as its packages name it.
ParserName: TypeAlias = Literal["json", "msgpack"]
#: How Engine.IO's packets are carried, as Socket.IO's clients name it.
CarrierName: TypeAlias = Literal["polling", "websocket"]

#: Called in the hub with the payload and the arrival (wall clock, ns) of each whole message.
#: It must not block. If it raises, the session ends.
OnMessage = Callable[[bytes, int], None]

#: Called in the hub for each frame, packet or message that cannot be decoded, with a short,
#: countable cause for the report ("invalid UTF-8", "bad packet").
OnMalformed = Callable[[str], None]


class ConnectFailed(Exception):  # noqa: N818 - no error of this program
    """A connect attempt failed or was refused.

    Args:
        operation: the step that failed: "before", "resolve", "connect", "tls", "handshake" or
            "subscribe".
        cause: a short, countable cause without addresses or numbers that differ from
            one connection to the next ("connection refused", "HTTP 503", "timed out").
        detail: the system's message or another explanation for the log; the server's text
            by default.
        server_text: what the server sent with its refusal.
        final: whether the protocol's client does not try again on its own after this.
    """

    def __init__(
        self,
        operation: str,
        cause: str,
        detail: str = "",
        *,
        server_text: str = "",
        final: bool = False,
    ) -> None:
        detail = detail or server_text
        super().__init__(f"{operation}: {cause}" + (f" ({detail})" if detail else ""))
        self.operation = operation
        self.cause = cause
        self.detail = detail
        self.server_text = server_text
        self.final = final


class StayAway(ConnectFailed):
    """The server wants this client not to come again, and nothing is wrong.

    Args:
        cause: a short, countable cause.
    """

    def __init__(self, cause: str) -> None:
        super().__init__("handshake", cause, final=True)


class NotConnected(ConnectionError):  # noqa: N818 - no error of this program
    """There is no connection for a request; the message is a short, countable cause."""


class Malformed(Exception):  # noqa: N818 - no error of this program
    """A message that cannot be decoded.

    Args:
        cause: a short, countable cause ("bad JSON", "bad packet").
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """The content of one message.

    Attributes:
        name: the event's name in Socket.IO and event streams; empty for plain WebSocket.
        data: the text of a WebSocket message (bytes if it is not UTF-8), an event stream's
            ``data``, or the list of a Socket.IO event's arguments.
    """

    name: str
    data: object


#: The cause with which the server's end of an event stream ends a session.
END_OF_STREAM = "end of stream"


@dataclass(frozen=True, slots=True)
class Closed:
    """How a session ended.

    Attributes:
        by: "server" (by a close frame, a packet or the end of a body), "client" (this side
            left or gave up), or "network" (reset, timed out, or ended without goodbye).
        cause: a short, countable cause ("closed by server: 1011", "connection reset",
            "no close frame", "protocol error: masked frame", "heartbeat missed").
        code: the WebSocket close code, if there was one.
        reason: the server's own text, if there was one.
        planned: whether the server announced an orderly end by a message.
        final: whether the protocol's client does not reconnect on its own after this.
    """

    by: Literal["server", "client", "network"]
    cause: str
    code: int | None = None
    reason: str = ""
    planned: bool = False
    final: bool = False

    @property
    def is_orderly(self) -> bool:
        """Whether the server ended the session as it does without an error.

        By a close frame with a normal status (RFC 6455 §7.4.1: 1000, 1001, and 1012 for a service
        that restarts), by the end of an event stream, or by a message that announces it.
        """
        return self.planned or (
            self.by == "server" and (self.code in (1000, 1001, 1012) or self.cause == END_OF_STREAM)
        )
