"""The figures of a run at one moment, as its progress shows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a run; counts cover the whole run.

    Attributes:
        phase: the phase's name, as given to `Progress.phase`.
        elapsed_s: seconds since the run began.
        expected: connections that the run should have.
        attempted: connect attempts that were begun.
        open: connections that are subscribed now.
        connecting: connections that are connecting now.
        failed: connect attempts that failed.
        dropped: sessions that the server or the network ended.
        codes_scheduled: codes that the run will send in total.
        codes_sent: codes that were sent.
        accepted: codes that the server answered with success.
        delivered: owed pairs that arrived in time.
        recovered: owed pairs that arrived after a reconnect.
        owed: pairs that are or were owed.
        late: owed pairs that arrived too late.
        missing: owed pairs that are known to be lost, the interrupted included.
        leaked: copies that reached sessions outside their codes' channels.
        errors: failed operations.
        p50_ms: the median delivery latency of the last seconds; None without deliveries.
        p95_ms: its 95th percentile.
        p99_ms: its 99th percentile.
        lag_p99_ms: the 99th percentile of the generator lag, likewise.
        cpu_percent: CPU use of the busiest generator process, 100 for a whole core.
        waited_percent: the highest share of the time that one waited for a core, in percent.
    """

    phase: str
    elapsed_s: float
    expected: int = 0
    attempted: int = 0
    open: int = 0
    connecting: int = 0
    failed: int = 0
    dropped: int = 0
    codes_scheduled: int = 0
    codes_sent: int = 0
    accepted: int = 0
    delivered: int = 0
    recovered: int = 0
    owed: int = 0
    late: int = 0
    missing: int = 0
    leaked: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    lag_p99_ms: float | None = None
    cpu_percent: float | None = None
    waited_percent: float | None = None

    @property
    def received(self) -> int:
        """Owed pairs that came in time or were recovered."""
        return self.delivered + self.recovered

    @property
    def lost(self) -> int:
        """Owed pairs that are known to be lost or late."""
        return self.late + self.missing


def extent(snapshot: Snapshot) -> tuple[int, int]:
    """Return a phase's progress and its total, each 0 if unknown."""
    match snapshot.phase:
        case "connect":
            return snapshot.attempted - snapshot.connecting, snapshot.expected
        case "broadcast":
            return snapshot.codes_sent, snapshot.codes_scheduled
        case "drain":
            return snapshot.received + snapshot.lost, snapshot.owed
        case _:
            return 0, 0
