from __future__ import annotations

import re
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.figures import FailureCause
from sseload_users.core.formatting import ms, share
from sseload_users.core.histogram import Histogram
from sseload_users.core.run_figures import (
    Probe,
    SearchResult,
    StormRecovery,
    VitalsSeries,
)
from sseload_users.report import html
from sseload_users.report.model import Report
from sseload_users.report.summary_figures import figures
from tests.support.browser import browser, tab
from tests.support.hostile import hostile_report
from tests.support.pages import cells, classes, inert, parse, section, words
from tests.support.reports import WORST, judged, sample, samples, step_of


def test_the_page_of_a_good_run_starts_with_the_verdict() -> None:
    root = inert(html.document(sample(50, 10)))
    assert words(root.find("head/title")) == "sseload k3x9q2: good"
    main = root.find(".//main")
    assert main is not None
    assert main[0].get("class") == "verdict good"
    assert words(main[0].find("h1")) == "✓ Good Every connected client received every code in time."
    figures = [words(each) for each in classes(root, "figure")]
    assert figures[0] == "Delivered 100 %500 of 500 owed, in time"
    assert figures[2] == "Connected 100 %50 of 50 attempts50 open at most"
    assert not [each for each in classes(root, "badge") if "good" not in each.get("class", "")]
    assert "Errors by cause" not in words(root)


def test_the_page_of_a_bad_run_has_every_reason_cause_and_hint() -> None:
    report = sample(**WORST)
    root = inert(html.document(report))
    said = words(root)
    for reason in report.verdict.reasons:
        assert words_of(reason.sentence) in said
        assert words_of(reason.hint) in said
    reasons = [each.get("class", "") for each in classes(root, "reasons")[0]]
    assert reasons == sorted(reasons)
    causes = cells(section(root, "causes"))[1:]
    assert [row[0] for row in causes] == [str(c.count) for c in report.errors.causes]
    for row, cause in zip(causes, report.errors.causes, strict=True):
        assert row[2] == cause.operation
        assert row[3].startswith(cause.cause)
        assert row[3].endswith(words_of(cause.hint))
    assert "Worker b was lost" in words(section(root, "notes"))
    assert len(cells(section(root, "codes"))) == 1 + 20


def words_of(text: str) -> str:
    return " ".join(text.split())


def test_the_page_shows_the_figures_of_the_report() -> None:
    report = sample(50, 10, missing=3, duplicate=1)
    root = parse(html.document(report))
    fates = {row[0]: row[1:3] for row in cells(section(root, "outcomes")) if len(row) > 2}
    assert fates["owed"][0] == "500"
    assert fates["delivered"] == ["497", "99.4 %"]
    assert fates["missing"] == ["3", "0.6 %"]
    assert fates["duplicate"][0] == "1"
    latencies = {row[0]: row[1:] for row in cells(section(root, "latencies"))}
    assert latencies["Delivery"][0] == "497"
    assert float(latencies["Delivery"][3]) == pytest.approx(report.delivery_ms.p50, rel=0.01)
    assert "Recovery from a drop" not in latencies
    received = cells(section(root, "received"))[1:]
    assert [row[:3] for row in received] == [["10", "47", "94 %"], ["9", "3", "6 %"]]
    codes = cells(section(root, "codes"))
    assert codes[0][:3] == ["code", "sent, UTC", "status"]
    assert codes[10][:9] == ["10", "09:30:56.450", "accepted", "50", "47", "0", "0", "3", "0"]
    run = {row[0]: row[1] for row in cells(section(root, "run")) if len(row) > 1}
    assert run["connections"] == "50"
    assert run["locust"] == "2.47.0"
    assert run["broadcast"] == "60 s, from 09:30:02.450 UTC"
    accuracy = words(section(root, "accuracy"))
    assert "The kernel timestamped each arrival" in accuracy
    assert "All times were taken by one clock." in accuracy


def test_the_page_states_the_accuracy_of_its_figures() -> None:
    report = sample(50, 10, timestamps="userspace", saturated=True, complete=False, unsent=4)
    report.generator.clock_error_ms = 1.25
    said = words(section(parse(html.document(report)), "accuracy"))
    assert "latencies include the load generator's own delay" in said
    assert "Messages of 12 reads may have arrived sooner, by" in said
    assert "The clocks agreed within 1.25 ms" in said
    assert "It was saturated" in said
    assert "6 of 10 (60 %) codes were sent" in said
    report.generator.clock_error_ms = report.generator.cpu_percent_max = None
    assert "one waited for a core up to 2 % of a second" in said
    report.generator.waited_percent_max = None
    said = words(section(parse(html.document(report)), "accuracy"))
    assert "clocks is unknown: a latency between two machines" in said
    assert "CPU unknown." in said


@given(samples())
@settings(max_examples=15, deadline=None)
def test_any_report_renders_to_a_valid_page(report: Report) -> None:
    root = inert(html.document(report))
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    for each in root.iter():
        for label in each.get("aria-labelledby", "").split():
            assert label in ids
        # Parts of pictures need no role of their own.
        if each.tag == "svg" and each.get("class") not in ("window", "run"):
            assert each.get("role") == "img" or each.get("aria-hidden") or "viewbox" in each.attrib
    assert not [name for name in ("h1", "main", "title") if len(list(root.iter(name))) < 1]
    assert len(list(root.iter("h1"))) == 1
    compared = (report.channels, report.workers, report.regions)
    assert len(list(root.iter("figure"))) == (
        7
        + any(each.latencies for each in report.timeline)
        + any(each.connected or each.failed for each in report.timeline)
        + sum(len(each) > 1 for each in compared)
    )
    for figure in root.iter("figure"):
        assert figure.find("details//table") is not None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"connections": 3, "refused": 3}, "Nothing was connected."),
        ({"connections": 3, "codes": 2, "unsent": 2}, "Nothing was sent."),
        ({"codes": 2, "rejected": 2}, "No code was sent while a connection was subscribed."),
        (
            {"rejected": 1},
            "Connected clients received all that they were owed, in time; 1 code was not accepted.",
        ),
        ({"missing": 1}, "99.8 % of what connected clients were owed arrived in time."),
    ],
)
def test_the_headline_answers_the_question(changes: dict[str, Any], sentence: str) -> None:
    assert html.headline(sample(**changes)) == sentence


def test_the_headline_claims_nothing_about_codes_that_nobody_was_owed() -> None:
    report = sample(50, 10)
    report.codes.unowed = 2
    assert html.headline(report) == (
        "Connected clients received all that they were owed, in time; 2 codes were sent while "
        "nobody was subscribed."
    )


def test_a_figure_of_100_percent_is_not_graded_by_another_figure() -> None:
    cards = {each.name: each for each in figures(sample(100, 10, dropped=20))}
    assert (cards["Connected"].value, cards["Connected"].grade) == ("100 %", "good")
    assert (cards["Sessions dropped"].value, cards["Sessions dropped"].grade) == (
        "20 %",
        "issues",
    )


def test_steps_and_searches_are_shown_in_order() -> None:
    report = sample(100, 10)
    for size, changes in ((50, {}), (100, {"missing": 300, "refused": 5, "saturated": True})):
        whole = sample(size, 10, **changes)  # type: ignore[arg-type]
        report.steps.append(step_of(whole, f"{size} <connections>"))
    report.search = SearchResult(
        over="connections",
        objective=["99 % delivered", "p99 < 100 ms"],
        largest=50,
        held=50,
        broke_at=100,
        limited_by="server",
        first_broken=["69 % delivered"],
        cause="",
        probes=[
            Probe(100, held=False, broken=["<69 %> delivered", "x"], cause="", saturated=True),
            Probe(50, held=True, broken=[], cause="", saturated=False),
        ],
    )
    report.verdict = judged(report)
    root = inert(html.document(report))
    steps = cells(section(root, "steps"))
    assert [row[0] for row in steps[1:]] == ["50 <connections>", "100 <connections>"]
    assert steps[2][1:3] == ["95 of 100 (95 %)", "650 of 950 (68.4 %)"]
    assert steps[2][-2:] == ["saturated", "✗ issues"]
    search = section(root, "search")
    assert "A size holds if the server meets 99 % delivered; p99 < 100 ms." in words(search)
    assert cells(search)[1:] == [
        ["100", "no", "<69 %> delivered; x; the generator was saturated"],
        ["50", "yes", ""],
    ]
    assert "holds 50 connections: that many met the objective, and 100 did not" in words(
        root.find(".//h1")
    )


def test_workers_regions_storms_and_vitals_are_shown_if_present() -> None:
    report = sample(100, 10, workers=2, regions=("eu", "us"), missing=3)
    report.workers[0] = replace(report.workers[0], name="<b>a", region="eu", lost=True)
    report.storm = StormRecovery(
        started_at=["2026-11-24T09:30:00Z"],
        ended=100,
        back=100,
        back_50_s=1.0,
        back_95_s=2.0,
        back_100_s=3.5,
        own_ms=Histogram().summary(),
        limited_by="server",
    )
    values: list[float | None] = [1.0] * len(report.timeline)
    report.vitals = [VitalsSeries(source="metrics", name="<up>", unit="", values=values)]
    root = inert(html.document(report))
    workers = cells(section(root, "workers"))
    assert workers[1][:3] == ["<b>a (lost)", "eu", "50 of 50 (100 %)"]
    assert [row[0] for row in cells(section(root, "regions"))[1:]] == ["eu", "us"]
    assert "100 connections ended at once; reconnected: 50 % after 1.00 s" in words(
        section(root, "storm")
    )
    assert len(list(root.iter("figure"))) == 12
    alone = inert(html.document(sample(100, 10)))
    names = [each.get("aria-labelledby") for each in alone.iter("section")]
    assert not {"workers", "regions", "storm"} & set(names)


def test_the_card_of_latency_has_p95_and_p99() -> None:
    report = sample(50, 10)
    delivery = report.delivery_ms
    (card,) = (each for each in figures(report) if each.name == "Delivery latency")
    assert card.value == f"{ms(delivery.p95)} ms"
    assert card.details[0] == "p95"
    assert card.details[1].startswith(f"p99 {ms(delivery.p99)} ms, max {ms(delivery.max)} ms")
    assert card.details[2] == f"median {ms(delivery.p50)} ms"


def test_a_card_says_what_gives_its_grade() -> None:
    report = sample(60, 60, channels=30, leaked=12, timed_out=0)
    cards = {each.name: each for each in figures(report)}
    assert (cards["Delivered"].value, cards["Delivered"].grade) == ("100 %", "issues")
    assert cards["Delivered"].details[-1] == "isolation: 12"
    report = sample(100, 10, timed_out=4)
    cards = {each.name: each for each in figures(report)}
    assert cards["Connected"].details[-1].startswith("connect timeouts: 4 of 100")
    assert cards["Errors"].value == share(report.errors.failed, report.errors.operations)
    assert cards["Errors"].details == [f"4 failures in {report.errors.operations} operations"]
    good = {each.name: each for each in figures(sample(100, 10))}
    assert not any(":" in line for each in good.values() for line in each.details)


def test_each_reason_links_to_what_shows_it() -> None:
    report = sample(**WORST)
    root = inert(html.document(report))
    ids = {each.get("id") for each in root.iter()}
    found = {}
    for item in classes(root, "reasons")[0]:
        (link,) = item.iter("a")
        target = link.get("href", "").removeprefix("#")
        assert target in ids
        found[words(item)] = target
    bad = [each for each in report.verdict.reasons if each.grade != "good"]
    assert len(found) == len(bad)
    by_rule = {
        each.rule: part
        for each in bad
        for said, part in found.items()
        if words_of(each.sentence) in said
    }
    assert by_rule["codes_received"] == "chart-deliveries"
    assert by_rule["connections_dropped"] == "chart-connections"
    assert by_rule["error_rate"] == "causes"


def test_an_empty_run_has_a_page_as_well() -> None:
    root = inert(html.document(sample(0, 0)))
    figures = [words(each) for each in classes(root, "figure")]
    assert figures[0].startswith("Delivered ✗ issues -0 of 0")
    assert "No connection was ever subscribed." in words(section(root, "received"))
    assert "No code was due." in words(section(root, "codes"))
    assert "Nothing was measured." in words(root)


def test_foreign_texts_are_escaped() -> None:
    page = html.document(hostile_report())
    root = inert(page)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800]", page)
    said = words(root)
    assert "<script>window.stolen=1</script>" in said
    assert "{{ 7*7 }}{% raw %}" in said
    assert "&lt;b&gt;" in said


@given(st.text(max_size=40))
@settings(max_examples=30, deadline=None)
def test_no_text_escapes_its_element(text: str) -> None:
    report = sample(2, 1, unavailable=1, notes=(text,))
    report.run.target = report.errors.causes[0].cause = text
    report.run.options = {**report.run.options, text: text}
    inert(html.document(report))


def test_of_many_codes_the_first_last_and_worst_are_shown() -> None:
    report = sample(2, 1)
    (code,) = report.per_code
    many = [
        replace(code, seq=seq, owed=9, delivered=9, last_ms=1.0 + seq * 7919 % 4999)
        for seq in range(1, 5001)
    ]
    many[2000] = replace(many[2000], delivered=2, missing=7)
    many[3000].last_ms = 9e5
    many[4000].status = "rejected"
    shown = html.selected(many)
    numbers = [each.seq if each else None for each in shown]
    assert len([each for each in numbers if each]) == 50
    assert numbers[:11] == [*range(1, 11), None]
    assert numbers[-11:] == [None, *range(4991, 5001)]
    assert {2001, 3001, 4001} <= set(numbers)
    assert not [a for a, b in pairwise(numbers) if a is None is b]
    assert html.selected(many[:60]) == many[:60]
    root = parse(html.document(replace(report, per_code=many)))
    assert "Of 5,000 codes, the first 10, the last 10" in words(section(root, "codes"))


def test_a_long_run_renders_quickly_to_a_small_page() -> None:
    report = sample(20, 40)
    timeline, per_code = report.timeline, report.per_code
    report.timeline = [
        replace(timeline[t % len(timeline)], t=float(t), errors=t % 3) for t in range(1, 18_001)
    ]
    report.per_code = [replace(per_code[seq % 40], seq=seq + 1) for seq in range(10_000)]
    report.received_per_connection = {str(codes): 7 for codes in range(10_000)}
    cause = FailureCause(
        operation="connect", cause="x" * 80, count=1, share=0.0, said="z" * 300, hint="y" * 99
    )
    report.errors.causes = [cause] * 5000
    started = time.process_time()
    page = html.document(report)
    assert time.process_time() - started < 3
    assert len(page.encode()) < 2_000_000
    assert "4,800 further causes in report.json" in words(parse(page))


def test_a_browser_runs_no_foreign_script_and_reports_no_error(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.document(hostile_report()), encoding="utf-8", errors="replace")
    with browser() as chromium, tab(chromium) as (page, complaints):
        page.goto(path.as_uri())
        assert page.locator("figure").count() == 9
        assert page.locator("script").count() == 1
        assert page.locator("img").count() == 0
        assert page.evaluate("window.stolen") is None
        assert complaints == []


def test_channels_leaks_and_recovered_codes_are_shown_if_present() -> None:
    report = sample(60, 60, channels=30, leaked=12, resume=True, recovered=5, replayed=1)
    report.leaks[0] = replace(report.leaks[0], username="<b>ann", own_channels=["c2", "<i>"])
    root = inert(html.document(report))
    rows = cells(section(root, "channels"))[1:]
    assert [row[0] for row in rows] == [each.name for each in report.channels[:20]]
    assert rows[0][7] == "12"
    leaks = cells(section(root, "leaks"))[1:]
    assert (len(leaks), leaks[0][3:]) == (10, ["<b>ann", "c2, <i>"])
    assert "The first 10 examples of 12 copies" in words(section(root, "leaks"))
    outcomes = {row[0]: row[1] for row in cells(section(root, "outcomes")) if row[1:]}
    assert (outcomes["recovered"], outcomes["leaked"], outcomes["replayed"]) == ("5", "12", "1")
    assert "channel" in cells(section(root, "codes"))[0]
    alone = inert(html.document(sample(100, 10)))
    names = {each.get("aria-labelledby") for each in alone.iter("section")}
    assert not {"channels", "leaks"} & names
    assert "recovered" not in words(section(alone, "outcomes"))
