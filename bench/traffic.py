"""Codes for those who wait for them: sent on a schedule, or seen going by."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import websocket

from bench.children import BenchError, Child
from sseload_users.core.codes import CodeShape
from tests.servers.nchan import Nchan, Publisher

CHANNEL = "bench"
#: Seconds in which all of a load's connections must be there, for each thousand, and at least.
_PATIENCE, _PATIENCE_LEAST = 20.0, 60.0
#: Seconds from the last connection to the first code.
SETTLE = 2
#: The first sequence of a code: all have as many digits, so all frames are of one size.
_FIRST = 1001


@dataclass(frozen=True, slots=True)
class Load:
    """How many connections get how many codes.

    Attributes:
        connections: of the program that is measured.
        codes: to each.
        interval: seconds from one code to the next.
        tls: whether the connections are encrypted.
    """

    connections: int
    codes: int
    interval: float
    tls: bool = False


def body_of(code: str) -> str:
    """What is posted: a code in JSON."""
    return json.dumps({"code": code})


def frame_bytes() -> int:
    """The bytes of one frame that carries a code of `Posts` (RFC 6455 §5.2: two of header)."""
    return 2 + len(body_of(CodeShape("bench0").mint(_FIRST, time.time_ns())))


class Codes(Protocol):
    """The codes of one load, as they go out.

    Attributes:
        texts: the messages, in order.
    """

    texts: list[str]

    def advance(self, count: int) -> None:
        """Return half an interval after the count-th code has gone out."""


class Posts:
    """Codes that the bench itself posts, at equal intervals from the first `advance` on.

    Args:
        publisher: to whom.
        interval: seconds from one code to the next.
    """

    def __init__(self, publisher: Publisher, interval: float) -> None:
        self._publisher = publisher
        self._interval = interval
        self._shape = CodeShape("bench0")
        self.texts: list[str] = []
        self._started = 0.0

    def advance(self, count: int) -> None:
        """Post up to the count-th code."""
        if not self.texts:
            self._started = time.monotonic()
        while (number := len(self.texts)) < count:
            _sleep_until(self._started + number * self._interval)
            self.texts.append(body_of(self._shape.mint(_FIRST + number, time.time_ns())))
            self._publisher.publish(CHANNEL, self.texts[-1])
        _sleep_until(self._started + (count - 0.5) * self._interval)


class Seen:
    """Codes that the measured program posts itself, as one more subscriber sees them.

    Args:
        server: where.
        load: what to expect.
        patience: seconds until the first code.

    Attributes:
        port: the subscriber's own.
    """

    def __init__(self, server: Nchan, load: Load, patience: float) -> None:
        # Beyond the patience there is the time between two codes.
        client: Any = websocket.WebSocket()
        client.connect(server.subscriber(CHANNEL), timeout=patience + load.interval)
        self.port = int(client.sock.getsockname()[1])
        self._client = client
        self._interval = load.interval
        self.texts: list[str] = []

    def advance(self, count: int) -> None:
        """Wait for the count-th code.

        Raises:
            BenchError: none came for long.
        """
        while len(self.texts) < count:
            try:
                self.texts.append(self._client.recv())
            except websocket.WebSocketException as error:
                raise BenchError(f"code {len(self.texts) + 1} did not come: {error}") from error
        time.sleep(self._interval / 2)

    def close(self) -> None:
        """Leave."""
        self._client.shutdown()


@contextlib.contextmanager
def publishing(server: Nchan) -> Iterator[Publisher]:
    """A publisher, closed on leaving."""
    with contextlib.closing(Publisher(server)) as publisher:
        yield publisher


def connect_patience(connections: int) -> float:
    """Seconds in which so many connections must be there."""
    return max(connections / 1000 * _PATIENCE, _PATIENCE_LEAST)


def wait_for_subscribers(publisher: Publisher, program: Child, count: int) -> None:
    """Wait until so many have subscribed.

    Raises:
        BenchError: they did not, or the program has ended.
    """
    program.wait_until(
        lambda: publisher.subscribers(CHANNEL) >= count,
        connect_patience(count),
        f"{count} subscribers",
    )


def _sleep_until(moment: float) -> None:
    time.sleep(max(moment - time.monotonic(), 0))
