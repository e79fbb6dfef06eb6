from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.channels import ChannelPlan
from sseload_users.core.counters import Counters
from sseload_users.core.histogram import Histogram
from sseload_users.core.node_totals import NodeTotals
from sseload_users.core.streams import ONE_STREAM
from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.vitals import HealthChecks, Series, ServerVitals
from sseload_users.report import hdr, live
from sseload_users.report.build import build, per_code
from sseload_users.report.live import Live, TimelineCache
from sseload_users.report.model import Report
from sseload_users.report.timeline import timeline
from sseload_users.web import delivery_page as delivery
from sseload_users.web.delivery_page import Shown
from tests.support import lives
from tests.support.hostile import hostile_report
from tests.support.metrics import families, text_of, values
from tests.support.pages import cells, classes, parse, section, words
from tests.support.reports import as_data, sample, samples, step_of

S = 1_000_000_000


def connecting(succeeded: int, failed: int, waiting: int) -> Live:
    totals, tally = Totals(), Tally()
    tally.counters = Counters(succeeded + failed + waiting, succeeded, failed)
    tally.causes["connect", "connection refused"] += failed
    totals.add_report("local", lives.report(tally, open=succeeded, connecting=waiting))
    return lives.live(totals, 1)


def rules(live_: Live) -> dict[str, str]:
    return {each.rule: each.grade for each in live.report_so_far(live_).verdict.reasons}


def fragment(standing: Shown) -> ET.Element:
    return parse(f"<body>{delivery.fragment(standing, TimelineCache())}</body>")


def part(root: ET.Element, name: str) -> ET.Element:
    (found,) = (each for each in root.iter() if each.get("data-part") == name)
    return found


# The verdict so far


def test_nothing_is_judged_before_anything_is_settled() -> None:
    for each in (lives.live(Totals(), 0), connecting(0, 0, 50)):
        report = live.report_for_metrics(each)
        assert not report.verdict.is_judged
        assert "sseload_verdict" not in text_of(report)
        assert rules(each).keys() <= {"generator"}


def test_pending_connects_are_not_failures() -> None:
    assert live.report_so_far(connecting(30, 0, 20)).connections.attempted == 30
    assert rules(connecting(30, 0, 20))["connection_success"] == "good"
    assert rules(connecting(30, 20, 0))["connection_success"] == "issues"
    assert "codes_received" not in rules(connecting(30, 0, 20))


def test_pending_requests_are_left_out() -> None:
    totals = lives.account(5)
    totals.announce(4, lives.START_NS + 5 * S)
    report = live.report_so_far(lives.live(totals, 5))
    assert report.codes.scheduled == report.codes.accepted == 3
    assert report.verdict.grade == "good"
    totals.set_status(4, "rejected")
    report = live.report_so_far(lives.live(totals, 5))
    assert (report.codes.rejected, report.codes.scheduled) == (1, 4)
    assert report.verdict.grade == "issues"


def test_a_lost_worker_is_reported_but_not_that_the_run_is_unfinished() -> None:
    totals = lives.account(5)
    now = lives.live(totals, 5)
    assert "run_complete" not in rules(now)
    lost = replace(now.run, complete=False, notes=["Worker b was lost."])
    assert rules(replace(now, run=lost))["run_complete"] == "warning"


def test_a_ladder_is_judged_by_its_finished_steps() -> None:
    step = step_of(sample(100, 10, missing=300), "100 connections")
    now = replace(lives.live(lives.account(5), 5), steps=[step])
    assert live.report_so_far(now).verdict.grade == "issues"
    assert part(fragment(Shown(live=now)), "steps") is not None


def test_the_report_so_far_equals_the_final_one_of_the_same_account() -> None:
    totals = lives.account(20, missing=3, workers=2)
    now = lives.live(totals, 20)
    early, late = live.report_so_far(now), build(now.run, totals, now.thresholds)
    assert _counted(early) == _counted(late)
    assert early.verdict.grade == late.verdict.grade == "warning"
    read, counted = hdr.histogram(late.delivery_ms), hdr.histogram(early.delivery_ms)
    assert read is not None
    assert counted is not None
    assert read.counts == counted.counts
    assert read.summary() == counted.summary()


def _counted(report: Report) -> dict[str, Any]:
    """The parts that a run has from its beginning, without how latencies are stored."""
    data = as_data(report)
    names = ("run", "phases", "connections", "codes", "deliveries", "errors", "generator")
    parts = {name: data[name] for name in names}
    for part in ("connections", "codes", "generator"):
        for figure in data[part].values():
            for each in (figure, *figure.values()) if isinstance(figure, dict) else ():
                if isinstance(each, dict):
                    each.pop("hdr", None)
    return parts


# Over time


def test_seconds_that_are_not_fully_reported_are_left_out() -> None:
    totals = lives.account(30)
    course = live.course(lives.live(totals, 30), TimelineCache(), lambda: None)
    assert [point.t for point in course] == [each + 0.75 for each in range(29)]
    assert {point.open for point in course} == {50}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_the_cached_timeline_equals_a_fresh_one(
    stretches: list[int],
) -> None:
    end = sum(stretches)
    totals = lives.account(min(end, 40), connections=2)
    past, at = TimelineCache(), 0
    for stretch in stretches:
        at = min(at + stretch, 40)
        now = lives.live(totals, at)
        fresh = timeline(now.run.started_ns, totals, until_ns=now.run.finished_ns - 2 * S)
        assert live.course(now, past, lambda: None) == fresh


def test_old_points_of_the_timeline_are_not_computed_again() -> None:
    totals = lives.account(4000, every_s=50, connections=2)
    past, pauses = TimelineCache(), [0, 0]
    for index in (0, 1):

        def pause(index: int = index) -> None:
            pauses[index] += 1

        now = lives.live(totals, 4000)
        course = live.course(now, past, pause)
        assert len(course) <= 1800
        assert len(course) == len(past.points)
    assert pauses[0] > 20
    assert pauses[1] <= 1
    other = replace(now, run=replace(now.run, run_id="other", started_ns=lives.START_NS + 10 * S))
    assert live.course(other, past, lambda: None)[0].t < 4
    assert past.run_id == "other"


# Codes


def test_the_latest_codes_are_the_last_of_all_codes() -> None:
    totals = lives.account(40)
    assert list(per_code(totals, 7)) == list(per_code(totals))[-7:]
    assert list(per_code(totals, 700)) == list(per_code(totals))
    assert list(per_code(Totals(), 7)) == []


def test_a_code_is_on_its_way_until_its_account_is_closed() -> None:
    totals = lives.account(4)
    totals.announce(3, lives.START_NS + 4 * S)
    assert [row.status for row in live.latest_codes(lives.live(totals, 5), 2)] == [
        "accepted", "on its way",
    ]  # fmt: skip
    totals.set_status(3, "accepted")
    assert live.latest_codes(lives.live(totals, 5), 1)[0].status == "on its way"
    assert live.latest_codes(lives.live(totals, 50), 1)[0].status == "accepted"
    totals.set_status(3, "rejected")
    assert live.latest_codes(lives.live(totals, 5), 1)[0].status == "rejected"


# For Prometheus


def test_metrics_of_a_live_run_have_current_figures() -> None:
    totals = lives.account(10, missing=2)
    vitals = ServerVitals(lives.START_NS)
    vitals.add(Series("health", "health", "ms"), lives.START_NS, 12.0)
    now = lives.live(totals, 10, vitals=vitals)
    found = families(text_of(live.report_for_metrics(now)))
    assert values(found["sseload_connections_open"]) == {(): 50}
    assert values(found["sseload_run_complete"]) == {(): 0}
    assert values(found["sseload_server"]) == {("health", "health", "ms"): 12}
    assert values(found["sseload_connects"]) == {("succeeded",): 50, ("failed",): 0}
    assert values(found["sseload_deliveries"])["delivered",] == 8 * 50 - 2
    assert values(found["sseload_deliveries"])["missing",] == 2
    latency = {each.name: each.value for each in found["sseload_delivery_latency_seconds"].samples}
    assert latency["sseload_delivery_latency_seconds_count"] == 8 * 50 - 2


def test_failed_health_checks_are_judged_during_the_run() -> None:
    vitals = ServerVitals(lives.START_NS)
    now = lives.live(lives.account(10), 10, vitals=vitals)
    assert live.report_so_far(now).health is None
    vitals.health = HealthChecks(made=7, failures=Counter({"HTTP 503": 2}))
    report = live.report_so_far(now)
    assert report.health is not None
    assert (report.health.checks, report.health.failed) == (7, 2)
    assert {each.rule: each.grade for each in report.verdict.reasons}["health"] == "warning"


# The page


@pytest.mark.parametrize("workers", [1, 3])
def test_the_page_shows_a_live_run(workers: int) -> None:
    root = fragment(Shown(live=lives.live(lives.account(20, workers=workers), 20)))
    assert (
        words(root.find(".//h1"))
        == "✓ Good So far, every connected client received every code in time."
    )
    head = part(root, "head")
    assert head.get("data-running") == "yes"
    assert "Run k3x9q2 against http://127.0.0.1:8000 by websocket" in words(head)
    assert ("3 workers" in words(head)) == (workers == 3)
    phases = {words(each): each.get("class") for each in part(root, "phase").iter("li")}
    assert phases == {
        "warm-up": "past", "connect": "past", "settle": "past", "broadcast": "now",
        "drain": "later", "disconnect": "later",
    }  # fmt: skip
    figures = [words(each) for each in classes(root, "figure")]
    owed = f"{18 * 50 * workers:,}"
    assert figures[0].startswith(f"Delivered 100 %{owed} of {owed} owed, in time")
    rows = cells(part(root, "codes"))
    assert rows[1][:1] == ["18"]
    assert rows[1][2:5] == ["accepted", str(50 * workers), str(50 * workers)]


def test_the_page_shows_losses_so_far() -> None:
    root = fragment(Shown(live=lives.live(lives.account(5, missing=30), 5)))
    verdict = part(root, "verdict")
    assert verdict.get("class") == "verdict issues"
    assert "So far, 80 % of what connected clients were owed arrived in time." in words(verdict)
    assert "30 missing" in words(verdict)
    assert [each.get("class") for each in part(root, "codes").iter("tr")][-1] == "lost"


def test_the_page_has_states_before_and_after_a_run() -> None:
    nothing = fragment(Shown())
    assert "No run yet" in words(nothing)
    assert part(nothing, "head").get("data-running") == "no"
    assert {each.get("href") for each in nothing.iter("a")} == {"./", "delivery/new"}
    refused = fragment(Shown(trouble="--codes 0 cannot be: it must be at least 1."))
    assert "The run could not be carried out. --codes 0 cannot be" in words(
        part(refused, "trouble")
    )
    begun = fragment(Shown(live=lives.live(Totals(), 0)))
    assert words(part(begun, "verdict")) == "Nothing is connected yet."
    done = fragment(Shown(report=sample(50, 10, missing=3)))
    assert words(part(done, "verdict").find("h1")).startswith("! Warning 99.4 %")
    links = {each.get("href") for each in done.iter("a")}
    assert links == {
        "./", "delivery/new", "delivery/codes.csv", "delivery/report.html", "delivery/report.json",
            "#chart-traffic",
    }  # fmt: skip
    assert "delivery/report.html" not in {each.get("href") for each in begun.iter("a")}


def test_charts_stand_above_tables_however_many_nodes_there_are() -> None:
    plan = ChannelPlan([f"c{number}" for number in range(1, 31)])
    totals = lives.account(5, plan=plan)
    totals.nodes = NodeTotals([f"http://127.0.0.1:{9000 + each}" for each in range(10)], ONE_STREAM)
    root = fragment(Shown(live=lives.live(totals, 5)))
    parts = [each.get("data-part", "") for each in root.iter() if each.get("data-part")]
    assert parts.index("chart-6") < parts.index("channels") < parts.index("nodes")
    # A hundred pairs of nodes scroll in a box of their own.
    (pairs,) = (
        each
        for each in part(root, "nodes").iter("div")
        if each.get("aria-labelledby") == "node-pairs"
    )
    assert len(list(pairs.iter("tr"))) == 101
    assert "tall" in (pairs.get("class") or "").split()


def safe(root: ET.Element) -> None:
    for each in root.iter():
        assert each.tag not in ("style", "img", "iframe", "object", "base")
        for name in each.attrib:
            assert not name.startswith("on"), name
            assert name not in ("style", "srcset", "xlink:href"), name
        # The button that stops the run.
        assert each.get("action") == ("delivery/stop" if each.tag == "form" else None)
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    for each in root.iter():
        for label in each.get("aria-labelledby", "").split():
            assert label in ids
    assert len(list(root.iter("h1"))) == 1
    for figure in root.iter("figure"):
        assert figure.find("details//table") is not None


@given(samples())
@settings(max_examples=12, deadline=None)
def test_any_report_renders_to_a_valid_page(report: Report) -> None:
    standing = Shown(report=report)
    now = delivery.fragment(standing, TimelineCache())
    root = parse(delivery.document(standing, now))
    safe(root)
    (script,) = root.iter("script")
    assert script.get("src") == "delivery/page.js"
    assert not (script.text or "").strip()
    assert len(list(root.iter("figure"))) == 7


def test_foreign_texts_are_escaped() -> None:
    report = hostile_report()
    text = delivery.fragment(Shown(report=report, trouble=report.run.id), TimelineCache())
    safe(parse(f"<body>{text}</body>"))
    assert "<script" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800]", text)
    now = lives.live(lives.account(4), 4)
    run = replace(now.run, run_id=report.run.id, target=report.run.target, notes=["<b>"])
    text = delivery.fragment(Shown(live=replace(now, run=run, doing="<script>")), TimelineCache())
    safe(parse(f"<body>{text}</body>"))
    assert "<script" not in text


def test_the_page_of_a_long_run_is_rendered_quickly_in_small_pieces() -> None:
    seconds = 1802
    now = lives.live(lives.account(seconds), seconds)
    past, best, longest = TimelineCache(), 9.0, 9.0
    marks: list[float] = []

    def mark() -> None:
        marks.append(time.process_time())

    for _ in range(5):
        marks.clear()
        mark()
        text = delivery.fragment(Shown(live=now), past, mark)
        mark()
        best = min(best, marks[-1] - marks[0])
        longest = min(longest, max(after - before for before, after in pairwise(marks)))
    # CPU time: a fifth of these where the machine has nothing else to do.
    assert best < 0.15
    assert longest < 0.06
    assert len(text) < 250_000


def test_a_summary_with_counts_is_read_like_an_encoded_one() -> None:
    histogram = Histogram()
    for value in (3, 70_000, 70_001, 5):
        histogram.add(value)
    read = hdr.histogram(histogram.summary(encoded=False))
    assert read is not None
    assert read.summary() == histogram.summary()
    assert hdr.histogram(Histogram().summary(encoded=False)) is None


def test_a_run_in_channels_shows_the_worst_of_them() -> None:
    plan = ChannelPlan([f"c{number}" for number in range(1, 31)])
    totals = lives.account(40, missing=3, leaked=4, plan=plan)
    now = lives.live(totals, 40)
    report = live.report_so_far(now)
    assert len(report.channels) == 20
    assert (report.channels[0].name, report.channels[0].leaked) == ("c1", 4)
    assert report.verdict.grade == "issues"
    page = fragment(Shown(live=now))
    said = "4 copies of codes reached sessions outside the codes' channels."
    assert words(page.find(".//h1")).endswith(said)
    assert "The worst 20 of 30 channels" in words(section(page, "channels"))
    assert cells(section(page, "channels"))[1][0] == "c1"
    assert cells(section(page, "leaks"))[1] == ["1", "c1", "2 of worker 0", "ann", "c2"]
    clean = lives.live(lives.account(10, plan=plan), 10)
    assert "all that they were owed, in time" in words(fragment(Shown(live=clean)).find(".//h1"))
