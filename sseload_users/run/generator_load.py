"""The load of this process: its CPU, its memory, and the stalls of its event loop."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil

from sseload_users.core.histogram import Histogram

#: The Linux scheduler's statistics of the main thread, which does all work: ns on a core, ns
#: ready to run but waiting for a core, and number of time slices
#: (Documentation/scheduler/sched-stats.rst). Time throttled by a CPU limit counts as waiting.
_SCHEDULED = Path("/proc/self/schedstat")


class GeneratorLoad:
    """The load of this process.

    Attributes:
        stalls: how much later than scheduled the event loop continued, in microseconds.
        cpu_percent: CPU used in the last sample, 100 for a whole core.
        waited_percent: time in the last sample for which this process was ready to run but
            waited for a core, in percent; None if the system does not count it.
        rss_mib: peak resident memory of all samples, in MiB.
        rss_now_mib: resident memory in the last sample, in MiB.
    """

    def __init__(self) -> None:
        self.stalls = Histogram()
        self.cpu_percent = 0.0
        self.waited_percent: float | None = None
        self.rss_mib = self.rss_now_mib = 0.0
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._sampled_ns = time.monotonic_ns()
        self._waited_ns: int | None = None
        with contextlib.suppress(OSError):
            self._waited_ns = _waited_ns()

    def sample(self) -> None:
        """Take a sample; percentages refer to the time since the last one."""
        # If no file can be opened any more, the last figures stay, and the run goes on.
        with contextlib.suppress(OSError, psutil.Error):
            self.cpu_percent = self._process.cpu_percent()
            self.rss_now_mib = self._process.memory_info().rss / (1 << 20)
            self._sample_waiting()
        self.rss_mib = max(self.rss_mib, self.rss_now_mib)

    @property
    def busy_percent(self) -> float:
        """The time in the last sample on a core or waiting for one, in percent."""
        return self.cpu_percent + (self.waited_percent or 0.0)

    def take_stalls(self) -> Histogram:
        """Return the stalls since the last call."""
        taken, self.stalls = self.stalls, Histogram()
        return taken

    def _sample_waiting(self) -> None:
        if self._waited_ns is None:
            return
        before_ns, waited_ns = self._sampled_ns, _waited_ns()
        self._sampled_ns = time.monotonic_ns()
        share = (waited_ns - self._waited_ns) / max(1, self._sampled_ns - before_ns)
        self._waited_ns = waited_ns
        self.waited_percent = min(100.0, 100 * share)


def _waited_ns() -> int:
    """Return how long this process has waited for a core since it began, in ns.

    Raises:
        OSError: the system does not count it.
    """
    ran_ns, waited_ns, _ = map(int, _SCHEDULED.read_text().split())
    if not ran_ns:
        raise OSError("a kernel without these statistics writes zeros")
    return waited_ns
