"""Expose the figures of a report as Prometheus metrics.

A custom collector in the sense of prometheus_client: a run's figures come from one account, not
from counters that code increments.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from sseload_users.core.audience_figures import ChannelFigures
from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.figures import (
    CodeFigures,
    ConnectionFigures,
    DeliveryFigures,
    ErrorFigures,
    GeneratorFigures,
)
from sseload_users.core.formatting import clean
from sseload_users.core.run_figures import HealthFigures, VitalsSeries
from sseload_users.report import hdr
from sseload_users.report.metric_families import Sample, counter, counters, gauge, gauges, scaled
from sseload_users.report.model import CompressionFigures, Report, TimelinePoint
from sseload_users.report.node_metrics import node_metrics
from sseload_users.report.verdict_metrics import verdict_metrics
from sseload_users.report.worker_metrics import worker_metrics

#: Upper bounds of the histograms' buckets, in seconds: ten to a decade (the Renard series R10),
#: so that a quantile computed from them is off by a quarter at most, from 0.1 ms to 100 s.
BUCKETS = (
    *(
        float(f"{step}e{exponent}")
        for exponent in range(-4, 2)
        for step in (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8)
    ),
    100.0,
)

_CHANNEL_OUTCOMES = ("delivered", "late", "recovered", "interrupted", "missing", "leaked")

#: The most causes that are exposed one by one; the others are counted together.
MOST_CAUSES = 50

#: The most channels that are exposed, the worst of them.
MOST_CHANNELS = 20


class Exposition(NamedTuple):
    """Metrics as they are served.

    Attributes:
        body: the text.
        content_type: its media type.
    """

    body: bytes
    content_type: str


def exposition(metrics: Iterable[Metric], accept: str = "") -> Exposition:
    """Return metrics in the best format that a client accepts.

    Args:
        metrics: see `metrics_of`.
        accept: the request's Accept header.
    """
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is not a number
        encode, content_type = choose_encoder("")
    return Exposition(encode(_Known(metrics)), content_type)


class _Known(Collector):
    """A collector of metrics that are already known."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._metrics


def metrics_of(report: Report) -> Iterator[Metric]:
    """Yield the metrics of a report, also of a run that is going on.

    The last interval of the timeline has the current figures.
    """
    run = report.run
    labels = ("id", "target", "transport")
    yield gauges("run_info", "The run.", labels, [((run.id, run.target, run.transport), 1)])
    started = datetime.fromisoformat(run.started_at).timestamp()
    yield gauge("run_start_time_seconds", "When the run started, as Unix time.", started)
    yield gauge("run_complete", "Whether the run went to its end.", run.complete)
    yield gauge("workers", "Processes that hold the connections.", run.workers)
    yield from verdict_metrics(report)
    if report.timeline:
        yield from _now(report.timeline[-1])
    yield from _connections(report.connections)
    yield from _compression(report.compression)
    yield from _codes(report.codes)
    yield from _deliveries(report.deliveries)
    yield _histogram("delivery_latency", "From sending a code to its arrival.", report.delivery_ms)
    yield _histogram("code_spread", "From a code's first arrival to its last.", report.spread_ms)
    if report.resume is not None:
        yield _histogram(
            "resume_recovery",
            "From a connection's return to the last code that it recovered.",
            report.resume.recovery_ms,
        )
    if report.channels:
        yield from _channels(report.channels[:MOST_CHANNELS])
    if report.nodes:
        yield from node_metrics(report)
    yield from worker_metrics(report.workers)
    yield from _errors(report.errors)
    yield from _generator(report.generator)
    if report.vitals:
        yield _vitals(report.vitals)
    if report.health is not None:
        yield _health(report.health)


def _now(point: TimelinePoint) -> Iterator[Metric]:
    yield gauge("connections_open", "Connections that are subscribed.", point.open)
    yield gauge("connections_connecting", "Connections that are connecting.", point.connecting)
    yield gauge(
        "generator_cpu_ratio",
        "CPU use of the busiest generator process, 1 for one whole core.",
        scaled(point.cpu_percent, 0.01),
    )
    yield gauge(
        "generator_wait_ratio",
        "The share of the time in which a generator process waited for a core.",
        scaled(point.waited_percent, 0.01),
    )


def _connections(connections: ConnectionFigures) -> Iterator[Metric]:
    yield counters(
        "connects",
        "Connect attempts, by result.",
        ("result",),
        [(("succeeded",), connections.succeeded), (("failed",), connections.failed)],
    )
    yield counters(
        "connections",
        "Connections, by whether they were ever subscribed.",
        ("result",),
        [
            (("connected",), connections.ever_connected),
            (("gave_up",), connections.never_connected),
        ],
    )
    yield counter(
        "connections_ended",
        "Connections that the server told not to come again.",
        connections.ended,
    )
    yield counter(
        "sessions_dropped",
        "Sessions that the server or the network ended.",
        connections.dropped,
    )
    yield counter(
        "sessions_reconnected",
        "Sessions that followed a dropped one of the same connection.",
        connections.reconnected,
    )
    polling = connections.polling
    yield counters(
        "sessions_polling",
        "Sessions that began by long polling, by what became of them.",
        ("result",),
        [
            (("upgraded",), 0 if polling is None else polling.upgraded),
            (("stayed",), 0 if polling is None else polling.sessions - polling.upgraded),
        ],
    )
    yield counter(
        "sessions_resumed",
        "Sessions in which the server restored the state of the one before.",
        connections.resumed,
    )
    over_http2 = "Sessions of event streams that came over HTTP/2."
    yield counter("sessions_over_http2", over_http2, connections.over_http2)
    yield gauge(
        "connections_peak",
        "The most connections that were subscribed at once.",
        connections.peak_open,
    )
    yield _histogram(
        "connect_time",
        "Connect times, without queueing in the generator.",
        connections.connect_ms,
    )


def _compression(compression: CompressionFigures) -> Iterator[Metric]:
    yield counters(
        "sessions",
        "Subscribed sessions, by the compression that was negotiated.",
        ("compression",),
        [((clean(name),), many) for name, many in compression.negotiated.items()],
    )
    yield counter(
        "compressed_bytes",
        "Bytes of compressed messages and streams, as they came.",
        compression.wire_bytes,
    )
    yield counter("inflated_bytes", "Bytes that they became.", compression.inflated_bytes)


def _codes(codes: CodeFigures) -> Iterator[Metric]:
    yield counters(
        "codes",
        "Codes that were due, by the outcome of their requests.",
        ("status",),
        [
            (("accepted",), codes.accepted),
            (("rejected",), codes.rejected),
            (("unanswered",), codes.unanswered),
            (("unknown",), codes.unknown),
            (("unsent",), codes.unsent),
        ],
    )
    yield _histogram("ingest_time", "From sending a code to the server's answer.", codes.ingest_ms)


def _deliveries(deliveries: DeliveryFigures) -> Iterator[Metric]:
    # What is owed and what is missing are not counters: a session that is closed, or a code
    # that arrives late after all, takes from them.
    yield gauge("deliveries_owed", "Pairs of a code and a session it is owed to.", deliveries.owed)
    yield gauges(
        "deliveries",
        "Owed deliveries, by outcome.",
        ("outcome",),
        [
            (("delivered",), deliveries.delivered),
            (("late",), deliveries.late),
            (("recovered",), deliveries.recovered),
            (("interrupted",), deliveries.interrupted),
            (("missing",), deliveries.missing),
        ],
    )
    yield counters(
        "messages_beside",
        "Messages beside owed deliveries, by kind.",
        ("kind",),
        [
            (("duplicate",), deliveries.duplicate),
            (("replayed",), deliveries.replayed),
            (("leaked",), deliveries.leaked),
            (("out_of_order",), deliveries.out_of_order),
            (("unexpected",), deliveries.unexpected),
            (("history",), deliveries.history),
            (("foreign",), deliveries.foreign),
            (("malformed",), deliveries.malformed),
        ],
    )


def _channels(channels: Sequence[ChannelFigures]) -> Iterator[Metric]:
    """Yield the figures of the worst channels.

    They are gauges: which channels are the worst changes in the course of a run.
    """
    yield gauges(
        "channel_deliveries",
        "Deliveries of the worst channels, by outcome; leaked beside the owed.",
        ("channel", "outcome"),
        [
            ((each.name, outcome), getattr(each, outcome))
            for each in channels
            for outcome in _CHANNEL_OUTCOMES
        ],
    )
    yield gauges(
        "channel_delivery_p99_seconds",
        "99th percentile of the delivery latency of the worst channels.",
        ("channel",),
        [((each.name,), scaled(each.p99, 0.001)) for each in channels],
    )


def _errors(errors: ErrorFigures) -> Iterator[Metric]:
    yield counter(
        "operations",
        "Connect attempts, codes that were due, upkeep, and joins and leaves of channels.",
        errors.operations,
    )
    counted: dict[tuple[str, str], int] = {}
    for cause in errors.causes[:MOST_CAUSES]:
        key = (clean(cause.operation), clean(cause.cause))
        counted[key] = counted.get(key, 0) + cause.count
    if rest := errors.causes[MOST_CAUSES:]:
        counted["other", "other"] = sum(cause.count for cause in rest)
    if counted:
        labels = ("operation", "cause")
        yield counters("errors", "Failed operations, by cause.", labels, [*counted.items()])


def _generator(generator: GeneratorFigures) -> Iterator[Metric]:
    yield _histogram("generator_lag", "From the kernel's timestamp to the read.", generator.lag_ms)
    yield gauge(
        "generator_resident_memory_bytes",
        "Peak resident memory of all generator processes.",
        scaled(generator.rss_mib, 1 << 20),
    )
    yield gauge(
        "generator_clock_error_seconds",
        "How wrong a latency between two machines can be because of their clocks.",
        scaled(generator.clock_error_ms, 0.001),
    )
    yield gauge(
        "generator_saturated",
        "Whether the generator is too busy for its load.",
        generator.saturated,
    )


def _vitals(vitals: Iterable[VitalsSeries]) -> Metric:
    samples: list[Sample] = []
    for each in vitals:
        known = [value for value in each.values if value is not None]
        if known:
            samples.append(((each.source, each.name, each.unit), known[-1]))
    return gauges(
        "server",
        "The server's condition, as far as it is watched, in the unit of the label.",
        ("source", "name", "unit"),
        samples,
    )


def _health(health: HealthFigures) -> Metric:
    return counters(
        "health_checks",
        "Health checks of the server during the run, by result.",
        ("result",),
        [(("succeeded",), health.checks - health.failed), (("failed",), health.failed)],
    )


def _histogram(name: str, about: str, latency: LatencySummary) -> HistogramMetricFamily:
    """Return a latency in milliseconds as a histogram in seconds."""
    found = hdr.histogram(latency)
    counts = found.counts if found else {}
    values = sorted(counts)
    ranks = [0, *accumulate(counts[value] for value in values)]
    total = ranks[-1]
    buckets = [(f"{bound:g}", ranks[bisect_right(values, bound * 1e6)]) for bound in BUCKETS]
    return HistogramMetricFamily(
        f"sseload_{name}_seconds",
        about,
        buckets=[*buckets, ("+Inf", total)],
        sum_value=(latency.mean or 0.0) * total / 1000,
    )
