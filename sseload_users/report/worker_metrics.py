"""The figures of workers as Prometheus metrics; Prometheus adds them up by region."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import Metric

from sseload_users.report.metric_families import Sample, counters, gauges, scaled
from sseload_users.report.model import WorkerShare

_WORKER = ("worker", "region")
_OUTCOMES = ("delivered", "late", "recovered", "interrupted", "missing")


def worker_metrics(workers: Sequence[WorkerShare]) -> Iterator[Metric]:
    """Yield the metrics of a run's workers."""
    yield gauges(
        "worker_lost",
        "Whether a worker went away without closing its account.",
        _WORKER,
        _each(workers, "lost"),
    )
    yield counters(
        "worker_connects",
        "Connect attempts of each worker, by result.",
        (*_WORKER, "result"),
        [
            ((each.name, each.region, result), getattr(each, result))
            for each in workers
            for result in ("succeeded", "failed")
        ],
    )
    yield counters(
        "worker_sessions_dropped",
        "Sessions of each worker that the server or the network ended.",
        _WORKER,
        _each(workers, "dropped"),
    )
    yield gauges(
        "worker_deliveries",
        "Owed deliveries of each worker, by outcome.",
        (*_WORKER, "outcome"),
        [
            ((each.name, each.region, outcome), getattr(each, outcome))
            for each in workers
            for outcome in _OUTCOMES
        ],
    )
    yield gauges(
        "worker_delivery_latency_p99_seconds",
        "99th percentile of the delivery latency of each worker.",
        _WORKER,
        [((each.name, each.region), scaled(each.delivery_ms.p99, 0.001)) for each in workers],
    )
    yield gauges(
        "worker_cpu_peak_ratio",
        "The highest CPU use of each worker, 1 for one whole core.",
        _WORKER,
        _each(workers, "cpu_percent", 0.01),
    )
    yield gauges(
        "worker_wait_peak_ratio",
        "The largest share of a second in which each worker waited for a core.",
        _WORKER,
        _each(workers, "waited_percent", 0.01),
    )


def _each(workers: Iterable[WorkerShare], name: str, factor: float = 1) -> Iterator[Sample]:
    for each in workers:
        yield (each.name, each.region), scaled(getattr(each, name), factor)
