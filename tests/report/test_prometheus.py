from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics,
)

from sseload_users.core.figures import FailureCause
from sseload_users.core.formatting import clean
from sseload_users.core.histogram import Histogram
from sseload_users.core.run_figures import HealthFigures, VitalsSeries
from sseload_users.report import prometheus
from sseload_users.report.model import Report
from tests.support.hostile import HOSTILE, hostile_report
from tests.support.metrics import families, text_of, values
from tests.support.reports import WORST, sample, samples


def test_counts_match_the_report() -> None:
    report = sample(**WORST)
    found = families(text_of(report))
    assert values(found["sseload_verdict"]) == {("good",): 0, ("warning",): 0, ("issues",): 1}
    assert values(found["sseload_connects"]) == {("succeeded",): 360, ("failed",): 140}
    assert values(found["sseload_deliveries"]) == {
        ("delivered",): 4850, ("late",): 70, ("recovered",): 0,
        ("interrupted",): 300, ("missing",): 900,
    }  # fmt: skip
    assert values(found["sseload_codes"])["rejected",] == 2
    assert values(found["sseload_messages_beside"])["malformed",] == 5
    assert values(found["sseload_errors"])["HTTP 503", "handshake"] == 120
    assert values(found["sseload_run_complete"]) == {(): 0}
    assert values(found["sseload_generator_cpu_ratio"]) == {(): 0.12}
    assert values(found["sseload_generator_wait_ratio"]) == {(): 0.005}
    assert values(found["sseload_generator_resident_memory_bytes"])[()] == 96.4 * 2**20
    assert found["sseload_run_info"].samples[0].labels["target"] == "http://127.0.0.1:8000"


@given(samples())
@settings(max_examples=25, deadline=None)
def test_every_metric_has_a_name_a_type_and_a_description(report: Report) -> None:
    text = text_of(report)
    assert text.endswith("\n")
    for line in text.splitlines():
        assert re.match(r"# (HELP|TYPE) sseload_\w+ .|sseload_\w+(\{.*\})? [-+.\deNa]+$", line)
    for name, family in families(text).items():
        assert name.startswith("sseload_")
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram")
        if family.type == "counter":
            assert all(each.name == f"{name}_total" for each in family.samples)
        if family.type == "histogram":
            assert name.endswith("_seconds")


@given(st.dictionaries(st.integers(0, 10**8), st.integers(1, 99), max_size=40))
def test_buckets_count_values_up_to_their_bound(counts: dict[int, int]) -> None:
    histogram = Histogram()
    for value_us, times in counts.items():
        histogram.add(value_us, times)
    latency = histogram.summary()
    live = histogram.summary(encoded=False)
    report = sample(1, 1)
    texts = [text_of(replace(report, delivery_ms=each)) for each in (latency, live)]
    assert texts[0] == texts[1]
    family = families(texts[0])["sseload_delivery_latency_seconds"]
    buckets = {each.labels["le"]: each.value for each in family.samples if "le" in each.labels}
    assert [float(bound) for bound in buckets] == [*prometheus.BUCKETS, math.inf]
    for bound, many in buckets.items():
        assert many == sum(
            each for value, each in histogram.counts.items() if value <= float(bound) * 1e6
        )
    rest = {each.name.rpartition("_")[2]: each.value for each in family.samples}
    assert rest["count"] == sum(counts.values()) == buckets["+Inf"]
    assert rest["sum"] == pytest.approx(histogram.total_us / 1e6, rel=1e-3, abs=1e-3)


@given(st.text(), st.text())
def test_labels_survive_a_round_trip(target: str, cause: str) -> None:
    report = sample(3, 1, unavailable=1)
    report.run.target = target
    report.errors.causes[0].cause = cause
    text = text_of(report).encode().decode()
    found = families(text)
    assert found["sseload_run_info"].samples[0].labels["target"] == clean(target)
    assert found["sseload_errors"].samples[0].labels["cause"] == clean(cause)


def test_foreign_texts_cannot_inject_metrics() -> None:
    text = text_of(hostile_report())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    labels = families(text)["sseload_run_info"].samples[0].labels
    assert all(each in labels["target"] for each in HOSTILE[:5])


def test_causes_are_bounded_and_all_are_counted() -> None:
    report = sample(3, 1)
    report.errors.causes = [
        FailureCause(
            operation="connect",
            cause=f"cause {index}\n" * (1 + index % 2),
            count=index + 1,
            share=0.0,
            said="",
            hint="",
        )
        for index in range(500)
    ]
    found = values(families(text_of(report))["sseload_errors"])
    assert len(found) == prometheus.MOST_CAUSES + 1
    assert sum(found.values()) == sum(range(1, 501))


def test_unknown_figures_are_nan() -> None:
    report = sample(3, 1)
    report.timeline[-1].cpu_percent = report.timeline[-1].waited_percent = None
    found = families(text_of(report))
    for name in ("cpu", "wait"):
        assert math.isnan(values(found[f"sseload_generator_{name}_ratio"])[()])


def test_the_servers_condition_is_exposed() -> None:
    report = sample(5, 2)
    report.vitals = [
        VitalsSeries(source="process", name="rss", unit="MiB", values=[None, 80.5, None]),
        VitalsSeries(source="health", name="health", unit="ms", values=[None]),
    ]
    cause = FailureCause(operation="health", cause="HTTP 503", count=2, share=1.0, said="", hint="")
    report.health = HealthFigures(checks=9, failed=2, causes=[cause])
    found = families(text_of(report))
    assert values(found["sseload_server"]) == {("rss", "process", "MiB"): 80.5}
    assert values(found["sseload_health_checks"]) == {("succeeded",): 7, ("failed",): 2}


def test_latencies_of_a_millisecond_are_told_apart() -> None:
    ratios = [after / before for before, after in pairwise(prometheus.BUCKETS)]
    assert max(ratios) < 1.3
    assert sum(0.001 <= bound <= 0.002 for bound in prometheus.BUCKETS) >= 4


def test_there_are_no_metrics_without_a_run() -> None:
    assert prometheus.exposition([]).body == b""


#: What was exposed before a client library wrote it: names of samples, with those of their labels.
SERIES = {
    "run_info": ("id", "target", "transport"),
    "run_complete": (),
    "workers": (),
    "verdict": ("grade",),
    "connections_open": (),
    "connections_connecting": (),
    "connections_peak": (),
    "connects_total": ("result",),
    "sessions_total": ("compression",),
    "compressed_bytes_total": (),
    "inflated_bytes_total": (),
    "connections_total": ("result",),
    "connections_ended_total": (),
    "sessions_dropped_total": (),
    "sessions_reconnected_total": (),
    "sessions_polling_total": ("result",),
    "sessions_resumed_total": (),
    "sessions_over_http2_total": (),
    "codes_total": ("status",),
    "deliveries_owed": (),
    "deliveries": ("outcome",),
    "messages_beside_total": ("kind",),
    "operations_total": (),
    "errors_total": ("cause", "operation"),
    "generator_cpu_ratio": (),
    "generator_wait_ratio": (),
    "generator_resident_memory_bytes": (),
    "generator_clock_error_seconds": (),
    "generator_saturated": (),
    "rule_grade": ("rule",),
    "run_start_time_seconds": (),
    "worker_connects_total": ("region", "result", "worker"),
    "worker_deliveries": ("outcome", "region", "worker"),
    **{
        f"worker_{name}": ("region", "worker")
        for name in ("lost", "sessions_dropped_total", "delivery_latency_p99_seconds",
                     "cpu_peak_ratio", "wait_peak_ratio")
    },
    **{
        f"{name}_seconds_{part}": ("le",) if part == "bucket" else ()
        for name in ("connect_time", "ingest_time", "delivery_latency", "code_spread",
                     "generator_lag")
        for part in ("bucket", "sum", "count")
    },
}  # fmt: skip


def test_the_names_of_metrics_and_labels_are_a_contract() -> None:
    found = {
        each.name: tuple(sorted(each.labels))
        for family in families(text_of(sample(5, 2, refused=1))).values()
        for each in family.samples
    }
    assert found == {f"sseload_{name}": labels for name, labels in SERIES.items()}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "openmetrics-text"),
        ("application/openmetrics-text;version=x", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, kind: str) -> None:
    report = sample(20, 5, missing=3, unavailable=2)
    body, content_type = prometheus.exposition(prometheus.metrics_of(report), accept)
    assert kind in content_type
    if "openmetrics" in kind:
        read = {each.name: each for each in openmetrics(body.decode())}  # type: ignore[no-untyped-call]
        assert values(read["sseload_deliveries"])["missing",] == 3
        assert read.keys() == families(text_of(report)).keys()
    else:
        assert body.decode() == text_of(report)


def test_the_worst_channels_are_exposed() -> None:
    report = sample(60, 60, channels=30, leaked=4, recovered=3, resume=True)
    found = families(text_of(report))
    deliveries = values(found["sseload_channel_deliveries"])
    assert len({channel for channel, _ in deliveries}) == 20
    worst = report.channels[0]
    assert deliveries[worst.name, "leaked"] == worst.leaked == 4
    assert values(found["sseload_deliveries"])["recovered",] == 3
    assert values(found["sseload_messages_beside"])["leaked",] == 4
    assert found["sseload_resume_recovery_seconds"].type == "histogram"
    assert "sseload_channel_deliveries" not in families(text_of(sample()))
