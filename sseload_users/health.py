"""How the process that tests fares: its CPU, its memory, and the stalls of its event loop."""

from __future__ import annotations

import contextlib

import psutil

from sseload_users.histogram import Histogram


class Health:
    """How this process fares.

    Attributes:
        stalls: how much later than asked for the event loop went on, in microseconds.
        cpu_percent: of a core, in the last sample.
        rss_mib: the most memory of any sample.
        rss_now_mib: the memory of the last one.
    """

    def __init__(self) -> None:
        self.stalls = Histogram()
        self.cpu_percent = 0.0
        self.rss_mib = self.rss_now_mib = 0.0
        self._process = psutil.Process()
        self._process.cpu_percent()

    def sample(self) -> float:
        """Look anew; the CPU since the last time."""
        # Where no file can be opened any more, the last figures stand: there is a run to report.
        with contextlib.suppress(OSError, psutil.Error):
            self.cpu_percent = self._process.cpu_percent()
            self.rss_now_mib = self._process.memory_info().rss / (1 << 20)
        self.rss_mib = max(self.rss_mib, self.rss_now_mib)
        return self.cpu_percent

    def take_stalls(self) -> Histogram:
        """The stalls since the last time."""
        taken, self.stalls = self.stalls, Histogram()
        return taken
