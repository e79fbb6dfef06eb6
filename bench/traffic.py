"""The codes of a measurement: posted by the benchmark, or observed."""

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
#: Seconds for opening connections: per thousand, and at least.
_TIMEOUT_PER_THOUSAND, _LEAST_TIMEOUT = 20.0, 60.0
#: Seconds from the last connect to the first code.
SETTLE = 2
#: The first sequence number: all have the same number of digits, so all frames the same size.
_FIRST = 1001


@dataclass(frozen=True, slots=True)
class Load:
    """The number of connections and codes.

    Attributes:
        connections: of the measured program.
        codes: sent to each connection.
        interval: seconds between codes.
        tls: whether the connections are encrypted.
    """

    connections: int
    codes: int
    interval: float
    tls: bool = False


def body_of(code: str) -> str:
    """Return the body of a request: a code in JSON."""
    return json.dumps({"code": code})


def frame_bytes() -> int:
    """Return the size of a frame with a code of `PostedCodes` (RFC 6455 §5.2: 2 header bytes)."""
    return 2 + len(body_of(CodeShape("bench0").mint(_FIRST, time.time_ns())))


class Codes(Protocol):
    """The codes of one measurement.

    Attributes:
        texts: the messages, in order.
    """

    texts: list[str]

    def advance(self, count: int) -> None:
        """Return half an interval after the count-th code."""


class PostedCodes:
    """Codes that the benchmark posts, at equal intervals from the first `advance` on.

    Args:
        publisher: posts them.
        interval: seconds between codes.
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


class ObservedCodes:
    """Codes that the measured program sends, as received by one more subscriber.

    Args:
        server: the server.
        load: the expected codes.
        timeout: seconds until the first code.

    Attributes:
        port: the subscriber's local port.
    """

    def __init__(self, server: Nchan, load: Load, timeout: float) -> None:
        # The timeout of a receive has to include the interval between two codes.
        client: Any = websocket.WebSocket()
        client.connect(server.subscriber(CHANNEL), timeout=timeout + load.interval)
        self.port = int(client.sock.getsockname()[1])
        self._client = client
        self._interval = load.interval
        self.texts: list[str] = []

    def advance(self, count: int) -> None:
        """Wait for the count-th code.

        Raises:
            BenchError: none arrived in time.
        """
        while len(self.texts) < count:
            try:
                self.texts.append(self._client.recv())
            except websocket.WebSocketException as error:
                raise BenchError(f"code {len(self.texts) + 1} did not arrive: {error}") from error
        time.sleep(self._interval / 2)

    def close(self) -> None:
        """Close the connection."""
        self._client.shutdown()


@contextlib.contextmanager
def publishing(server: Nchan) -> Iterator[Publisher]:
    """Open a publisher; close it on exit."""
    with contextlib.closing(Publisher(server)) as publisher:
        yield publisher


def connect_timeout(connections: int) -> float:
    """Return the seconds within which all connections must be open."""
    return max(connections / 1000 * _TIMEOUT_PER_THOUSAND, _LEAST_TIMEOUT)


def wait_for_subscribers(publisher: Publisher, program: Child, count: int) -> None:
    """Wait until the channel has the given number of subscribers.

    Raises:
        BenchError: it does not get them in time, or the program has exited.
    """
    program.wait_until(
        lambda: publisher.subscribers(CHANNEL) >= count,
        connect_timeout(count),
        f"{count} subscribers",
    )


def _sleep_until(deadline: float) -> None:
    time.sleep(max(deadline - time.monotonic(), 0))
