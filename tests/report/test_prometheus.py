from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from sseload_users.core.formatting import clean
from sseload_users.core.histogram import Histogram
from sseload_users.report import prometheus
from tests.report.test_console import WORST
from tests.report.test_report_html import HOSTILE, hostile_report
from tests.support.reports import sample, samples


def metrics(text: str) -> dict[str, Metric]:
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    return {family.name: family for family in families}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    found = {tuple(each.labels.values()): each.value for each in family.samples}
    assert len(found) == len(family.samples), family.name
    return found


def test_counts_are_those_of_the_report() -> None:
    report = sample(**WORST)  # type: ignore[arg-type]
    found = metrics(prometheus.text(report))
    assert values(found["sseload_verdict"]) == {("good",): 0, ("warning",): 0, ("issues",): 1}
    assert values(found["sseload_connects"]) == {("succeeded",): 360, ("failed",): 140}
    assert values(found["sseload_deliveries"]) == {
        ("delivered",): 5210, ("late",): 70, ("interrupted",): 300, ("missing",): 900,
    }  # fmt: skip
    assert values(found["sseload_codes"])["rejected",] == 2
    assert values(found["sseload_messages_beside"])["malformed",] == 5
    assert values(found["sseload_errors"])["handshake", "HTTP 503"] == 120
    assert values(found["sseload_run_complete"]) == {(): 0}
    assert values(found["sseload_generator_cpu_ratio"]) == {(): 0.12}
    assert values(found["sseload_generator_wait_ratio"]) == {(): 0.005}
    assert values(found["sseload_generator_resident_memory_bytes"])[()] == 96.4 * 2**20
    assert found["sseload_run_info"].samples[0].labels["target"] == "http://127.0.0.1:8000"


@given(samples())
@settings(max_examples=25, deadline=None)
def test_every_metric_is_named_typed_and_explained(report: dict[str, Any]) -> None:
    text = prometheus.text(report)
    assert text.endswith("\n")
    for line in text.splitlines():
        assert re.match(r"# (HELP|TYPE) sseload_\w+ .|sseload_\w+(\{.*\})? [-+.\deNa]+$", line)
    for name, family in metrics(text).items():
        assert name.startswith("sseload_")
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram")
        if family.type == "counter":
            assert all(each.name == f"{name}_total" for each in family.samples)
        if family.type == "histogram":
            assert name.endswith("_seconds")


@given(st.dictionaries(st.integers(0, 10**8), st.integers(1, 99), max_size=40))
def test_buckets_count_what_is_not_above_their_bound(counts: dict[int, int]) -> None:
    histogram = Histogram()
    for value_us, times in counts.items():
        histogram.add(value_us, times)
    latency = histogram.latency()
    live = {**histogram.latency(encoded=False), "counts": histogram.counts}
    texts = [prometheus.text({"delivery_ms": each}) for each in (latency, live)]
    assert texts[0] == texts[1]
    family = metrics(texts[0])["sseload_delivery_latency_seconds"]
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
def test_labels_are_read_back_as_they_were(target: str, cause: str) -> None:
    report = sample(3, 1, unavailable=1)
    report["run"]["target"] = target
    report["errors"]["causes"][0]["cause"] = cause
    text = prometheus.text(report).encode().decode()
    found = metrics(text)
    assert found["sseload_run_info"].samples[0].labels["target"] == clean(target)
    assert found["sseload_errors"].samples[0].labels["cause"] == clean(cause)


def test_what_others_say_is_no_metric() -> None:
    text = prometheus.text(hostile_report())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    labels = metrics(text)["sseload_run_info"].samples[0].labels
    assert all(each in labels["target"] for each in HOSTILE[:5])


def test_causes_are_bounded_and_none_is_lost() -> None:
    report = sample(3, 1)
    report["errors"]["causes"] = [
        {"operation": "connect", "cause": f"cause {index}\n" * (1 + index % 2), "count": index + 1,
         "share": 0.0, "hint": ""}
        for index in range(500)
    ]  # fmt: skip
    found = values(metrics(prometheus.text(report))["sseload_errors"])
    assert len(found) == prometheus.MOST_CAUSES + 1
    assert sum(found.values()) == sum(range(1, 501))


def test_a_run_that_has_just_begun_has_what_there_is() -> None:
    assert prometheus.text({}) == ""
    report = sample(3, 1)
    report["timeline"][-1] |= {"cpu_percent": None, "waited_percent": None}
    found = metrics(prometheus.text({name: report[name] for name in ("run", "timeline")}))
    assert set(found) == {
        "sseload_run_info", "sseload_run_complete", "sseload_workers", "sseload_connections_open",
        "sseload_connections_connecting", "sseload_generator_cpu_ratio",
        "sseload_generator_wait_ratio",
    }  # fmt: skip
    for name in ("cpu", "wait"):
        assert math.isnan(values(found[f"sseload_generator_{name}_ratio"])[()])
