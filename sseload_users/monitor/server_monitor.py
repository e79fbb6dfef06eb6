"""Watching the server while it is under load: a process, its metrics, its health check.

Each source is asked once a second, in a greenlet of its own. Nothing here can hold the run
up: what would block is done in a thread, what waits gives way to others, and a source that
fails is said once and asked again a second later.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import gevent
import psutil

from sseload_users.core.clock import wall_ns
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.core.vitals import Series, ServerVitals
from sseload_users.monitor import exposition
from sseload_users.monitor.exposition import Wanted
from sseload_users.monitor.processes import find
from sseload_users.options import Options
from sseload_users.targets import Request, Target
from sseload_users.targets.identities import who_connects
from sseload_users.transports.fetch import fetch
from sseload_users.transports.network import Network, cause_of

#: Seconds from one look to the next, and the longest that one may wait for an answer.
_EVERY_S, _PATIENCE_S = 1.0, 10.0

Figures = Iterable[tuple[Series, float]]


class Unseen(Exception):  # noqa: N818 - not an error of the program
    """A source that could not be read just now; why, as a sentence."""


class Source(Protocol):
    """Something that has figures."""

    def look(self) -> Figures:
        """The figures as they are now.

        Raises:
            Unseen: it cannot be read.
        """


class ServerMonitor:
    """Asks all sources once a second, while a run goes on.

    Args:
        vitals: where the figures go.
        sources: where they come from.

    Attributes:
        vitals: the figures so far.
        notes: why a source could not be read, once for each.
    """

    def __init__(self, vitals: ServerVitals, sources: Sequence[Source]) -> None:
        self.vitals = vitals
        self.notes: list[str] = []
        self._sources = sources
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def start(self) -> None:
        """Begin to watch."""
        self._greenlets = [gevent.spawn(self._watch, each) for each in self._sources]

    def stop(self) -> None:
        """End it; figures that are on their way are not waited for."""
        gevent.killall(self._greenlets, block=False)
        self._greenlets = []

    def _watch(self, source: Source) -> None:
        said = False
        due = time.monotonic()
        while True:
            try:
                for series, value in source.look():
                    self.vitals.note(series, wall_ns(), value)
            except Unseen as unseen:
                if not said:
                    self.notes.append(str(unseen))
                said = True
            # Looks that were missed are not made up for.
            due = max(due + _EVERY_S, time.monotonic())
            gevent.sleep(due - time.monotonic())


def sources(
    options: Options, target: Target, network: Network, embedded: int | None = None
) -> list[Source]:
    """What the options say is to be watched.

    Args:
        options: the run's.
        target: whose health check it is.
        network: for TLS.
        embedded: the embedded target's process; it is watched unless another is named.

    Raises:
        ConfigError: something that is not there.
    """
    found: list[Source] = []
    if options.watch_process:
        found.append(ProcessSource(options.watch_process))
    elif embedded is not None:
        found.append(ProcessSource(str(embedded)))
    if options.watch_metrics:
        found.append(MetricsSource(options.watch_metrics, options.watch_series, network))
    if options.watch_health:
        request = target.health(who_connects(options.users_file, options.username)[0])
        if request is None:
            raise ConfigError(
                f"--watch-health: the profile {clean(options.target)} has no health check; add "
                "[health] to a profile of your own."
            )
        found.append(HealthSource(request, network))
    return found


class ProcessSource:
    """A process of this machine, with all its children.

    Args:
        words: its PID, its name, or the port it listens on: ":8000".

    Raises:
        ConfigError: there is none, or more than one.
    """

    def __init__(self, words: str) -> None:
        self._words = words
        self._root: psutil.Process | None = find(words)
        # CPU seconds by process, and when they were read.
        self._used: dict[psutil.Process, float] = {}
        self._used_at = 0.0

    def look(self) -> Figures:
        """CPU, memory, threads and open files, all processes together."""
        # Reading /proc takes a while where there are many processes, or many files open.
        try:
            figures: list[tuple[Series, float]] = gevent.get_hub().threadpool.apply(self._read)
        except psutil.Error as error:
            raise Unseen(f"The process {clean(self._words)} cannot be looked at.") from error
        return figures

    def _read(self) -> list[tuple[Series, float]]:
        if self._root is None or not self._root.is_running():
            self._root = self._again()
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
            raise Unseen(f"The process {clean(self._words)} cannot be looked at.")
        figures = [
            (Series("process", "rss", "MiB"), rss / (1 << 20)),
            (Series("process", "threads"), float(threads)),
            (Series("process", "open files"), float(files)),
        ]
        now, before = time.monotonic(), self._used
        if before.keys() & used.keys():
            # A child that has come since then has used all its time since then.
            spent = sum(seconds - before.get(each, 0.0) for each, seconds in used.items())
            percent = 100 * max(spent, 0.0) / (now - self._used_at)
            figures.insert(0, (Series("process", "cpu", "%"), percent))
        self._used, self._used_at = used, now
        return figures

    def _again(self) -> psutil.Process:
        """The process that has taken the place of the one that ended."""
        self._root, self._used = None, {}
        try:
            return find(self._words)
        except ConfigError as error:
            raise Unseen(f"The process {clean(self._words)} has ended.") from error


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _open_files(process: psutil.Process) -> int:
    return int(getattr(process, "num_handles" if psutil.WINDOWS else "num_fds")())


class MetricsSource:
    """A Prometheus endpoint.

    Args:
        url: where.
        wanted: its series that are of interest.
        network: for TLS.
    """

    def __init__(self, url: str, wanted: Sequence[Wanted], network: Network) -> None:
        self._request = Request("GET", url, (("Accept", "text/plain; version=0.0.4"),), b"")
        self._wanted = wanted
        self._network = network
        self._seen = False

    def look(self) -> Iterator[tuple[Series, float]]:
        """The series' values."""
        try:
            answer = fetch(self._request, lambda: self._network.ssl_context, _PATIENCE_S)
            if answer.status != 200:
                raise Unseen(f"The metrics could not be read: HTTP {answer.status}.")
            samples = exposition.read(answer.body.decode("utf-8"))
        except OSError as error:
            raise Unseen(f"The metrics could not be read: {cause_of(error)}.") from error
        except UnicodeDecodeError as error:
            raise Unseen("The metrics could not be read: they are not UTF-8.") from error
        except ValueError as error:
            raise Unseen(f"The metrics could not be read: {error}.") from error
        missing = []
        for each in self._wanted:
            value = each.of(samples)
            if value is None:
                missing.append(str(each))
            else:
                yield Series("metrics", str(each)), value
        if missing:
            raise Unseen(f"The metrics have no {clean(', '.join(missing))}.")


class HealthSource:
    """The target's health check: how long it takes.

    Args:
        request: what to ask.
        network: for TLS.
    """

    def __init__(self, request: Request, network: Network) -> None:
        self._request = request
        self._network = network

    def look(self) -> Figures:
        """The milliseconds until there was an answer, whatever it said."""
        began = time.monotonic()
        try:
            fetch(self._request, lambda: self._network.ssl_context, _PATIENCE_S)
        except OSError as error:
            said = "no answer in time" if isinstance(error, TimeoutError) else cause_of(error)
            raise Unseen(f"The health check could not be made once: {said}.") from error
        return [(Series("health", "health", "ms"), (time.monotonic() - began) * 1000)]
