"""How a message reaches a listener: the parts that all transports share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

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
        detail: what the system said, or whatever else the log should have.
        said: the server's own words; they stand in for the detail.
    """

    def __init__(self, operation: str, cause: str, detail: str = "", *, said: str = "") -> None:
        detail = detail or said
        super().__init__(f"{operation}: {cause}" + (f" ({detail})" if detail else ""))
        self.operation = operation
        self.cause = cause
        self.detail = detail
        self.said = said


class Malformed(Exception):  # noqa: N818 - the message is
    """A message that cannot be decoded.

    Args:
        cause: a short, countable cause ("bad JSON", "bad packet").
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Event:
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


class Transport(Protocol):
    """One connection of one listener, used from the listener's own greenlet.

    ``connect`` then ``listen``; ``leave`` may come from any greenlet at any time.
    """

    #: Locust's request type: "WS", "SIO" or "SSE".
    kind: ClassVar[str]
    #: When ``connect`` began, and when the last answer it needed arrived (wall clock, ns);
    #: their difference is the connect time.
    started_ns: int
    subscribed_ns: int

    @staticmethod
    def event(payload: bytes) -> Event | None:
        """What a payload that ``on_message`` was given says; None if it is no event.

        Pure, and asked once for all copies of a broadcast.

        Raises:
            Malformed: it cannot be decoded.
        """

    def connect(self) -> None:
        """Connect and subscribe; return when the server owes this session codes.

        Raises:
            ConnectFailed: at whatever step it failed, the connect timeout included.
        """

    @property
    def congested(self) -> bool:
        """Whether a message that is sent now would wait here for earlier ones."""

    def listen(self) -> Closed:
        """Hand every message to ``on_message`` until the session ends; say how it ended."""

    def send(self, text: str) -> bool:
        """Send a text message; whether that can be done."""

    def keep_alive(self, message: bytes) -> None:
        """Answer a message in which no code was found, if the endpoint has an answer."""

    def leave(self) -> None:
        """Close from this side: a best-effort goodbye, without waiting for an answer."""
