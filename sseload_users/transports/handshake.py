"""The WebSocket handshake as websocket-client makes it, and what it leaves to others."""

from __future__ import annotations

from typing import Any

import h11
from websocket import WebSocketException

from sseload_users.transports import ConnectFailed
from sseload_users.transports.refusal import HEAD_BYTES, Answer
from sseload_users.transports.stamped_socket import StampedSocket


class BodyAhead(WebSocketException):
    """The answer's head is over, and its body is asked for: it refuses."""


class Head:
    """A connection as websocket-client sees it: no more of it than a handshake's answer's head.

    Args:
        arrival: the connection.

    Attributes:
        data: what has been read.
    """

    __slots__ = ("_arrival", "data")

    def __init__(self, arrival: StampedSocket) -> None:
        self._arrival = arrival
        self.data = bytearray()

    def recv(self, size: int) -> bytes:
        """See `Arrival.recv`.

        Raises:
            WebSocketException: the head is over, or too long.
        """
        if self.data.endswith((b"\n\r\n", b"\n\n")):
            # websocket-client knows no limit, neither of size nor of time, and no chunks.
            raise BodyAhead
        data = self._arrival.recv(size)
        self.data += data
        if len(self.data) > HEAD_BYTES:
            raise WebSocketException("the answer is too long")
        return data

    def close(self) -> None:
        """Stay open: what the server says is yet to be read. Whoever opened it closes it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._arrival, name)


def header_options(headers: tuple[tuple[str, str], ...]) -> dict[str, object]:
    """Headers as websocket-client takes them: some replace its own, the rest are added.

    There is no ``Origin`` but one that was given: only browsers must send it (RFC 6455 §4.1),
    and servers refuse those that they do not know.
    """
    options: dict[str, object] = {"suppress_origin": True}
    further: list[str] = []
    cookies: list[str] = []
    for name, value in headers:
        match name.lower():
            case "host" | "origin" as own:
                options[own] = value
                if own == "origin":
                    options["suppress_origin"] = False
            case "cookie":
                cookies.append(value)
            case _:
                further.append(f"{name}: {value}")
    if further:
        options["header"] = further
    if cookies:
        options["cookie"] = "; ".join(cookies)
    return options


def refused(head: bytes, arrival: StampedSocket, fallback: str) -> ConnectFailed:
    """Why an answer that switches no protocols refuses, with what it says.

    Args:
        head: the answer's.
        arrival: has its body.
        fallback: what is said of an answer that is none.
    """
    try:
        answer = Answer.to_upgrade(head)
        if answer.head is None:
            return ConnectFailed("handshake", "bad handshake answer", fallback[:200])
        answer.read_body(arrival)
    except h11.RemoteProtocolError as error:
        return ConnectFailed("handshake", "bad handshake answer", str(error))
    return ConnectFailed("handshake", f"HTTP {answer.head.status_code}", said=answer.words)
