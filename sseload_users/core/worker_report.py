"""What a worker reports to the leader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.field_values import field_values
from sseload_users.core.tally import PackedTally, Tally
from sseload_users.core.unusual_pairs import Pair, pack_pairs, unpack_pairs


@dataclass(frozen=True, slots=True)
class UserCounts:
    """The Locust users of a worker, by what they are doing.

    Attributes:
        listeners: users that listen.
        broadcasters: users that broadcast.
        pending: listeners that have neither connected nor failed for good.
        connecting: listeners that are connecting.
    """

    listeners: int = 0
    broadcasters: int = 0
    pending: int = 0
    connecting: int = 0


@dataclass(frozen=True, slots=True)
class Gauges:
    """The state of a worker when it reported.

    Attributes:
        listeners: like the next three, see UserCounts.
        phase: number of the phase that the worker knows of.
        open: open sessions.
        peak_open: most sessions that were open at once.
        in_flight: codes that are announced and not settled, except those of which it is unknown
            whether they were sent.
        owed: pairs owed of codes in flight, as far as is known.
        delivered: pairs delivered of codes in flight.
        cpu_percent: CPU used in the last sample, 100 for a whole core.
        waited_percent: time waited for a core in the last sample, in percent; None if unknown.
        rss_mib: peak resident memory, in MiB.
        clock_known: whether the difference from the leader's clock has been measured.
        clock_error_ns: error of that difference, in nanoseconds.
        catching_up: connections that may still bring codes which have timed out; while codes are
            in flight it does not matter, and is 0.
        timestamps: source of arrival times: "kernel" or "userspace".
    """

    listeners: int = 0
    broadcasters: int = 0
    pending: int = 0
    connecting: int = 0
    phase: int = 0
    open: int = 0
    peak_open: int = 0
    in_flight: int = 0
    owed: int = 0
    delivered: int = 0
    cpu_percent: float = 0.0
    waited_percent: float | None = None
    rss_mib: float = 0.0
    clock_known: bool = False
    clock_error_ns: int = 0
    timestamps: str = "kernel"
    catching_up: int = 0


class PackedWorkerReport(TypedDict):
    """A worker's report as plain data."""

    final: bool
    tally: PackedTally
    received: dict[int, int]
    gauges: tuple[Any, ...]
    connections: list[tuple[Any, ...]]
    unusual: list[Any]


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A worker's news since its last report, and its state.

    Attributes:
        tally: what was counted since the last report.
        received: number of connections by number of codes received in time.
        gauges: the worker's state.
        final: the account is closed; no report follows.
        connections: a row for each connection; only in the final report, if they are wanted.
        unusual: the pairs that were not simply delivered; only in the final report, if they are
            wanted.
    """

    tally: Tally
    received: Mapping[int, int]
    gauges: Gauges
    final: bool = False
    connections: tuple[ConnectionRow, ...] = ()
    unusual: tuple[Pair, ...] = ()

    def pack(self) -> PackedWorkerReport:
        """Return the report as plain data, for `unpack`."""
        return {
            "final": self.final,
            "tally": self.tally.pack(),
            "received": dict(self.received),
            "gauges": field_values(self.gauges),
            "connections": [field_values(row) for row in self.connections],
            "unusual": pack_pairs(self.unusual),
        }

    @classmethod
    def unpack(cls, data: PackedWorkerReport) -> WorkerReport:
        """Return the report that was packed."""
        return cls(
            tally=Tally.unpack(data["tally"]),
            received=data["received"],
            gauges=Gauges(*data["gauges"]),
            final=data["final"],
            connections=tuple(ConnectionRow(*row) for row in data["connections"]),
            unusual=unpack_pairs(data["unusual"]),
        )
