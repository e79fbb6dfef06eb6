"""CPU, memory, threads and open files of a server process on this machine."""

from __future__ import annotations

import contextlib
import time

import gevent
import psutil

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.core.vitals import Series
from sseload_users.monitor.processes import find_process
from sseload_users.monitor.source import Figures, SourceUnavailable


class ProcessSource:
    """A process of this machine, with all its children.

    Args:
        selector: its PID, its name, or the port it listens on: ":8000".

    Raises:
        ConfigError: no process matches, or more than one.
    """

    def __init__(self, selector: str) -> None:
        self._selector = selector
        self._root: psutil.Process | None = find_process(selector)
        # CPU seconds of each process at the last reading, and when that was.
        self._used: dict[psutil.Process, float] = {}
        self._used_at = 0.0

    def read(self) -> Figures:
        """Return CPU, memory, threads and open files of all processes together."""
        # In a thread: reading /proc takes long where there are many processes or open files.
        try:
            figures: list[tuple[Series, float]] = gevent.get_hub().threadpool.apply(self._read)
        except psutil.Error as error:
            raise self._unreadable() from error
        return figures

    def _read(self) -> list[tuple[Series, float]]:
        if self._root is None or not self._root.is_running():
            self._root = self._find_successor()
        processes = [self._root, *_children(self._root)]
        used: dict[psutil.Process, float] = {}
        rss = threads = files = 0
        for each in processes:
            with contextlib.suppress(psutil.Error):
                times = each.cpu_times()
                used[each] = times.user + times.system
                rss += each.memory_info().rss
                threads += each.num_threads()
                files += _open_files(each)
        if not used:
            raise self._unreadable()
        figures = [
            (Series("process", "rss", "MiB"), rss / (1 << 20)),
            (Series("process", "threads"), float(threads)),
            (Series("process", "open files"), float(files)),
        ]
        now, before = time.monotonic(), self._used
        if before.keys() & used.keys():
            # A new child has used all of its CPU time since the last reading.
            spent = sum(seconds - before.get(each, 0.0) for each, seconds in used.items())
            percent = 100 * max(spent, 0.0) / (now - self._used_at)
            figures.insert(0, (Series("process", "cpu", "%"), percent))
        self._used, self._used_at = used, now
        return figures

    def _find_successor(self) -> psutil.Process:
        """Return the process that replaced the one that ended."""
        self._root, self._used = None, {}
        try:
            return find_process(self._selector)
        except ConfigError as error:
            raise SourceUnavailable(f"The process {clean(self._selector)} has ended.") from error

    def _unreadable(self) -> SourceUnavailable:
        return SourceUnavailable(f"Cannot read the figures of process {clean(self._selector)}.")


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _open_files(process: psutil.Process) -> int:
    return int(getattr(process, "num_handles" if psutil.WINDOWS else "num_fds")())
