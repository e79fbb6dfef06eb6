"""A relay that harms the WebSocket connections that pass through it."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.relays import Passed, accept, address_of, listening, pump


@dataclass(frozen=True)
class Harm:
    """What a relay does to connections after the server's message "connected"; 0: nothing.

    Attributes:
        share: share of the connections that are harmed.
        idle_s: close after so long without data from the server.
        age_s: close at this age.
        life_s: close at a random age, of this mean.
        silent_after_s: discard everything from this age on.
        deaf_s: discard everything in the first seconds.
        hold_s: pass data on only this often.
        hold_bytes: pass data on only when there is so much.
        lost: discard everything between these times after the first connection.
        away: close all connections at the first of these times after the first connection, and
            answer with HTTP 503 up to the second one, as a proxy does while its server restarts.
        request: harm only connections whose request contains this.
        source: harm only connections from this address.
    """

    share: float = 1.0
    idle_s: float = 0.0
    age_s: float = 0.0
    life_s: float = 0.0
    silent_after_s: float = 0.0
    deaf_s: float = 0.0
    hold_s: float = 0.0
    hold_bytes: int = 0
    lost: tuple[float, float] = (0.0, 0.0)
    away: tuple[float, float] = (0.0, 0.0)
    request: bytes = b""
    source: str = ""


_UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@contextlib.contextmanager
def bad_relay(server: str, harm: Harm, seed: int) -> Iterator[str]:
    """Relay to a server, and harm WebSocket connections; yield the relay's URL.

    Args:
        server: its URL.
        harm: what happens to connections.
        seed: of what is random.
    """
    draw, turn = random.Random(seed), threading.Lock()
    first_at: list[float] = []

    def handle(client: socket.socket, _: Passed) -> None:
        with socket.create_connection(address_of(server)) as behind:
            start = client.recv(65536)
            behind.sendall(start)
            back, arguments = pump, (behind, client)
            with turn:
                harmed = start.startswith(b"GET /ws") and harm.request in start
                harmed = harmed and harm.source in ("", client.getpeername()[0])
                harmed = harmed and draw.random() < harm.share
                life_s = draw.expovariate(1 / harm.life_s) if harm.life_s else 0.0
                if harmed and not first_at:
                    first_at.append(time.monotonic())
            if harmed and harm.away[0] <= time.monotonic() - first_at[0] < harm.away[1]:
                client.sendall(_UNAVAILABLE)
                return
            if harmed:
                way = _Way(behind, client, harm, harm.age_s or life_s, first_at[0])
                back, arguments = way.carry, ()  # type: ignore[assignment]
            thread = threading.Thread(target=back, args=arguments, daemon=True)
            thread.start()
            pump(client, behind)
            thread.join()

    with listening("127.0.0.1", 0) as listener:
        accept(listener, handle, Passed())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class _Way:
    """The way from the server to a client that is harmed."""

    def __init__(
        self, server: socket.socket, client: socket.socket, harm: Harm, end_s: float, first: float
    ) -> None:
        self._server, self._client, self._harm = server, client, harm
        self._end_s, self._first = end_s, first
        self._held = b""

    def carry(self) -> None:
        """Pass data on, until either side or the harm closes the connection."""
        with contextlib.suppress(OSError):
            self._greet()
            self._carry()
        for each in (self._server, self._client):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _greet(self) -> None:
        seen = b""
        while b"connected" not in seen:
            data = self._server.recv(65536)
            if not data:
                raise ConnectionError
            self._client.sendall(data)
            seen += data

    def _carry(self) -> None:
        harm = self._harm
        began = heard = flushed = time.monotonic()
        while True:
            now = time.monotonic()
            leaves = self._first + harm.away[0]
            end = min(
                began + self._end_s if self._end_s else now + 60,
                heard + harm.idle_s if harm.idle_s else now + 60,
                leaves if began < leaves else now + 60,
            )
            flush = flushed + harm.hold_s if harm.hold_s else now + 60
            ready, _, _ = select.select([self._server], [], [], max(0.0, min(end, flush) - now))
            now = time.monotonic()
            if ready:
                data = self._server.recv(65536)
                if not data:
                    return
                heard = now
                if not self._discards(now, now - began):
                    self._held += data
            elif now >= end:
                return
            if len(self._held) < harm.hold_bytes:
                continue
            if not harm.hold_s or now >= flushed + harm.hold_s:
                self._client.sendall(self._held)
                self._held, flushed = b"", now

    def _discards(self, now: float, age_s: float) -> bool:
        harm = self._harm
        return bool(
            (harm.silent_after_s and age_s >= harm.silent_after_s)
            or age_s < harm.deaf_s
            or harm.lost[0] <= now - self._first < harm.lost[1]
        )
