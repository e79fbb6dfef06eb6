"""The figures of one second of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sseload_users.core.histogram import CoarseHistogram


def highest(values: Iterable[float | None]) -> float | None:
    """Return the highest of the values that are known; None if none is."""
    return max((each for each in values if each is not None), default=None)


@dataclass(slots=True)
class Second:
    """One second of the run, on one worker or on all of them.

    Attributes:
        open: connections that were subscribed at its end.
        connecting: connections that were connecting at its end.
        connected: connect attempts that succeeded.
        failed: connect attempts that failed.
        dropped: sessions that the server or the network ended.
        planned: sessions that the server ended as planned. One that turns out to be a drop is
            taken back when that is counted, so this can be below 0.
        sent: codes sent.
        received: first copies that arrived.
        errors: operations that failed.
        cpu_percent: CPU of the busiest generator process, 100 for a whole core.
        waited_percent: longest time that a process waited for a core, in percent of the
            second; None if unknown.
        busy_percent: most that one process used and waited together, in percent.
        rss_mib: resident memory of all generator processes, in MiB.
        stall_us: longest stall of a process's event loop that ended in it or spans it, in
            microseconds.
        delivery: latencies of what arrived, in microseconds, within 1 %.
        lag: generator lag, in microseconds, within 1 %.
    """

    open: int = 0
    connecting: int = 0
    connected: int = 0
    failed: int = 0
    dropped: int = 0
    planned: int = 0
    sent: int = 0
    received: int = 0
    errors: int = 0
    cpu_percent: float = 0.0
    waited_percent: float | None = None
    busy_percent: float = 0.0
    rss_mib: float = 0.0
    stall_us: int = 0
    delivery: CoarseHistogram = field(default_factory=CoarseHistogram)
    lag: CoarseHistogram = field(default_factory=CoarseHistogram)

    def merge(self, other: Second) -> None:
        """Add another worker's same second, or more of this one."""
        self.open += other.open
        self.connecting += other.connecting
        self.connected += other.connected
        self.failed += other.failed
        self.dropped += other.dropped
        self.planned += other.planned
        self.sent += other.sent
        self.received += other.received
        self.errors += other.errors
        self.cpu_percent = max(self.cpu_percent, other.cpu_percent)
        self.waited_percent = highest((self.waited_percent, other.waited_percent))
        self.busy_percent = max(self.busy_percent, other.busy_percent)
        self.rss_mib += other.rss_mib
        self.stall_us = max(self.stall_us, other.stall_us)
        self.delivery.merge(other.delivery)
        self.lag.merge(other.lag)

    def pack(self) -> list[Any]:
        """Return the second as plain data, for `unpack`."""
        return [
            self.open, self.connecting, self.connected, self.failed, self.dropped, self.planned,
            self.sent, self.received, self.errors, self.cpu_percent, self.waited_percent,
            self.busy_percent, self.rss_mib, self.stall_us,
            self.delivery.pack() if self.delivery.total else None,
            self.lag.pack() if self.lag.total else None,
        ]  # fmt: skip

    @classmethod
    def unpack(cls, data: list[Any]) -> Second:
        """Return the second that was packed."""
        *counts, delivery, lag = data
        return cls(
            *counts,
            *(CoarseHistogram.unpack(h) if h else CoarseHistogram() for h in (delivery, lag)),
        )
