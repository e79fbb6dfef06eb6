"""Monitoring of the server under load: each source is read once a second.

Each source has a greenlet of its own. A source that fails is reported once and read again
a second later.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import gevent

from sseload_users.core.clock import wall_ns
from sseload_users.core.vitals import ServerVitals
from sseload_users.monitor.http_sources import HealthSource
from sseload_users.monitor.source import Source, SourceUnavailable

#: Seconds from one reading to the next.
_INTERVAL_S = 1.0


class ServerMonitor:
    """Reads all sources once a second during a run.

    Args:
        vitals: where the figures go.
        sources: where they come from.

    Attributes:
        vitals: the figures so far.
        notes: one sentence for each source that could not be read at some time.
    """

    def __init__(self, vitals: ServerVitals, sources: Sequence[Source]) -> None:
        self.vitals = vitals
        self.notes: list[str] = []
        self._sources = sources
        for source in sources:
            if isinstance(source, HealthSource):
                vitals.health = source.checks
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def start(self) -> None:
        """Start reading."""
        self._greenlets = [gevent.spawn(self._read_forever, each) for each in self._sources]

    def stop(self) -> None:
        """Stop reading, without waiting for readings in progress."""
        gevent.killall(self._greenlets, block=False)
        self._greenlets = []

    def _read_forever(self, source: Source) -> None:
        noted = False
        due = time.monotonic()
        while True:
            try:
                for series, value in source.read():
                    self.vitals.add(series, wall_ns(), value)
            except SourceUnavailable as unavailable:
                if not noted:
                    self.notes.append(str(unavailable))
                noted = True
            # Missed readings are skipped.
            due = max(due + _INTERVAL_S, time.monotonic())
            gevent.sleep(due - time.monotonic())
