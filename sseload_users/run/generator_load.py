"""How the process that tests fares: its CPU, its memory, and the stalls of its event loop."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil

from sseload_users.core.histogram import Histogram

#: What Linux' scheduler counts of the main thread, in which all our work is done: ns on a core,
#: ns in which it was ready to run and waited for one, and time slices
#: (Documentation/scheduler/sched-stats.rst). While a CPU limit holds it back, it waits as well.
_SCHEDULED = Path("/proc/self/schedstat")


class GeneratorLoad:
    """How this process fares.

    Attributes:
        stalls: how much later than asked for the event loop went on, in microseconds.
        cpu_percent: of a core, in the last sample.
        waited_percent: the share of the last sample's time in which this process was ready to
            go on and waited for a core, as others had them or a limit kept it from them; None
            where the system does not count that.
        rss_mib: the most memory of any sample.
        rss_now_mib: the memory of the last one.
    """

    def __init__(self) -> None:
        self.stalls = Histogram()
        self.cpu_percent = 0.0
        self.waited_percent: float | None = None
        self.rss_mib = self.rss_now_mib = 0.0
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._looked_ns = time.monotonic_ns()
        self._waited_ns: int | None = None
        with contextlib.suppress(OSError):
            self._waited_ns = _waited_ns()

    def sample(self) -> None:
        """Look anew; the percentages are of the time since the last look."""
        # Where no file can be opened any more, the last figures stand: there is a run to report.
        with contextlib.suppress(OSError, psutil.Error):
            self.cpu_percent = self._process.cpu_percent()
            self.rss_now_mib = self._process.memory_info().rss / (1 << 20)
            self._look_for_waits()
        self.rss_mib = max(self.rss_mib, self.rss_now_mib)

    @property
    def busy_percent(self) -> float:
        """How much of the last sample's time this process was on a core or waited for one."""
        return self.cpu_percent + (self.waited_percent or 0.0)

    def take_stalls(self) -> Histogram:
        """The stalls since the last time."""
        taken, self.stalls = self.stalls, Histogram()
        return taken

    def _look_for_waits(self) -> None:
        if self._waited_ns is None:
            return
        before_ns, waited_ns = self._looked_ns, _waited_ns()
        self._looked_ns = time.monotonic_ns()
        share = (waited_ns - self._waited_ns) / max(1, self._looked_ns - before_ns)
        self._waited_ns = waited_ns
        self.waited_percent = min(100.0, 100 * share)


def _waited_ns() -> int:
    """How long this process has waited for a core since it began.

    Raises:
        OSError: the system does not tell.
    """
    ran_ns, waited_ns, _ = map(int, _SCHEDULED.read_text().split())
    if not ran_ns:
        raise OSError("a kernel that does not count writes zeros")
    return waited_ns
