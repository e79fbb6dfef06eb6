"""Receipts and connects as Locust requests: in its table, charts and files, and for listeners.

An event for each receipt costs more than reading it. As long as only Locust's own statistics
listen, they are entered there in batches, with the same outcome.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from locust import stats as locust_stats
from locust.env import Environment
from locust.stats import StatsEntry, StatsError

#: The names of receipts and connects in Locust's table.
NAME, CONNECT = "code", "connect"


class DeliveryError(Exception):
    """An owed code that was not delivered. Its text stands in Locust's table of failures."""


class ReceiptStats:
    """Enters deliveries and connects in Locust's statistics.

    Args:
        environment: Locust's.
        kind: the request type: the transport's.
    """

    def __init__(self, environment: Environment, kind: str) -> None:
        self._environment = environment
        self.kind = kind
        self._connects_us: list[int] = []

    def connected(self, took_us: int) -> None:
        """Take a connect that succeeded; `enter_connects` enters it.

        Args:
            took_us: the connect time, in microseconds.
        """
        self._connects_us.append(took_us)

    def enter_connects(self) -> None:
        """Enter the connects that succeeded since the last call."""
        connects_us, self._connects_us = self._connects_us, []
        if self._only_locust_listens():
            self._enter(CONNECT, sorted(connects_us), 0)
            return
        for took_us in connects_us:
            fire(self._environment, self.kind, CONNECT, took_us / 1000)

    def delivered(self, latencies_us: Sequence[int], size: int) -> None:
        """Enter codes that were delivered.

        Args:
            latencies_us: one for each, in microseconds, in ascending order.
            size: bytes of one message.
        """
        if self._only_locust_listens():
            self._enter(NAME, latencies_us, size)
            return
        for latency_us in latencies_us:
            fire(self._environment, self.kind, NAME, latency_us / 1000, size=size)

    def recovered(self, count: int) -> None:
        """Enter codes that came after a reconnect: requests without a response time.

        How long they took says how long the connection was away.
        """
        if not self._only_locust_listens():
            for _ in range(count):
                fire(self._environment, self.kind, NAME, None)
        elif count:
            stats = self._environment.stats
            for entry in (stats.total, stats.entries[NAME, self.kind]):
                _log_untimed(entry, count)

    def failed(self, why: str, count: int) -> None:
        """Enter codes that were not delivered: failures without a response time."""
        error = DeliveryError(why)
        if not self._only_locust_listens():
            for _ in range(count):
                fire(self._environment, self.kind, NAME, None, error=error)
        elif count:
            stats = self._environment.stats
            for entry in (stats.total, stats.entries[NAME, self.kind]):
                _log_untimed(entry, count)
                entry.num_failures += count
                entry.num_fail_per_sec[int(time.time())] += count
            key = StatsError.create_key(self.kind, NAME, error)
            # The first one creates the entry.
            known = stats.errors.get(key)
            if known is None:
                known = stats.errors[key] = StatsError(self.kind, NAME, error)
            known.occurred()
            known.occurrences += count - 1

    def _enter(self, name: str, latencies_us: Sequence[int], size: int) -> None:
        if not latencies_us:
            return
        times = list(_in_buckets(latencies_us))
        stats = self._environment.stats
        for entry in (stats.total, stats.entries[name, self.kind]):
            _log_many(entry, latencies_us, times, size)

    def _only_locust_listens(self) -> bool:
        handlers = self._environment.events.request._handlers  # noqa: SLF001 - there is no other way
        return all(each.__module__ == "locust.runners" for each in handlers)


def fire(
    environment: Environment,
    kind: str,
    name: str,
    milliseconds: float | None,
    *,
    error: Exception | None = None,
    size: int = 0,
) -> None:
    """Fire Locust's event for one request.

    Args:
        environment: Locust's.
        kind: the request type.
        name: of the request.
        milliseconds: its response time; None is counted, but in no percentile.
        error: why it failed, if it did.
        size: bytes of the response.
    """
    environment.events.request.fire(
        request_type=kind,
        name=name,
        response_time=milliseconds,
        response_length=size,
        exception=error,
        context={},
    )


def _in_buckets(latencies_us: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield Locust's response time buckets (ms) and the number of latencies in each."""
    bucket, at = locust_stats.bucket_response_time, 0
    while at < len(latencies_us):
        milliseconds = bucket(latencies_us[at] / 1000)
        end = bisect_right(latencies_us, milliseconds, at, key=lambda us: bucket(us / 1000))
        yield milliseconds, end - at
        at = end


def _log_many(
    entry: StatsEntry, latencies_us: Sequence[int], times: list[tuple[int, int]], size: int
) -> None:
    """Do what `StatsEntry.log` does, for many requests at once."""
    count, now = len(latencies_us), time.time()
    _keep_history(entry, now)
    entry.num_requests += count
    entry.num_reqs_per_sec[int(now)] += count
    entry.last_request_timestamp = now
    entry.total_content_length += size * count
    for milliseconds, many in times:
        entry.response_times[milliseconds] += many
    entry.total_response_time += sum(latencies_us) / 1000  # type: ignore[assignment]
    lowest, highest = latencies_us[0] / 1000, latencies_us[-1] / 1000
    known = entry.min_response_time
    entry.min_response_time = lowest if known is None else min(known, lowest)  # type: ignore[assignment]
    entry.max_response_time = max(entry.max_response_time, highest)  # type: ignore[assignment]


def _log_untimed(entry: StatsEntry, count: int) -> None:
    """Do what `StatsEntry.log` does without a time, for many requests at once."""
    now = time.time()
    _keep_history(entry, now)
    entry.num_requests += count
    entry.num_none_requests += count
    entry.num_reqs_per_sec[int(now)] += count
    entry.last_request_timestamp = now


def _keep_history(entry: StatsEntry, now: float) -> None:
    last = entry.last_request_timestamp
    if entry.use_response_times_cache and last and int(now) > int(last):
        entry._cache_response_times(int(now) - 1)  # noqa: SLF001 - as its own method does
