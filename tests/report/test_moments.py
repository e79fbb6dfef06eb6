"""The moments of a run, and their marks in every chart over time."""

from __future__ import annotations

from dataclasses import replace

from sseload_users.core.histogram import Histogram
from sseload_users.core.node_figures import NodeOutage
from sseload_users.core.run_figures import StormRecovery, VitalsSeries
from sseload_users.report import charts, console, html
from sseload_users.report.charts import RunTime
from sseload_users.report.model import Report
from sseload_users.report.moments import Moment, moments, outage_sentence
from sseload_users.verdict.symptoms import Finding
from tests.report.test_report_nodes import report_of
from tests.support.pages import cells, classes, parse, words
from tests.support.reports import sample


def eventful() -> Report:
    """A report of a storm, two outages, and a diagnosis that names a time."""
    report = report_of(2, {})
    report.run.started_at = "2026-11-24T09:30:00Z"
    report.storm = StormRecovery(
        started_at=["2026-11-24T09:30:07.500Z"], ended=20, back=20,
        back_50_s=1.0, back_95_s=2.0, back_100_s=3.0,
        own_ms=Histogram().summary(), limited_by="server",
    )  # fmt: skip
    report.nodes[0].outages = [NodeOutage(from_s=20.0, to_s=24.5)]
    report.nodes[1].outages = [NodeOutage(from_s=30.0, to_s=None)]
    report.diagnosis = [
        Finding("one_moment", "s", 1.0, {"from_s": 12.0, "to_s": 13.5, "codes": 3}),
        Finding("isolated_instances", "s", 1.0, {"groups": 2}),
    ]
    values: list[float | None] = [1.0] * len(report.timeline)
    report.vitals = [VitalsSeries(source="process", name="cpu", unit="%", values=values)]
    for row in report.timeline:
        row.latencies = [2048, 5]
    return report


def test_storms_outages_and_diagnoses_are_moments() -> None:
    report = eventful()
    end = report.timeline[-1].t
    assert moments(report) == [
        Moment(7.5, 7.5, "storm"),
        Moment(12.0, 13.5, "one moment"),
        Moment(20.0, 24.5, "node 1 away"),
        Moment(30.0, end, "node 2 away"),
    ]
    # While the run goes on, the report has no storm yet.
    assert moments(replace(report, storm=None), [3.0])[0] == Moment(3.0, 3.0, "storm")


def test_without_nodes_the_server_is_one() -> None:
    report = sample(20, 5)
    rows = report.timeline
    assert moments(report) == []
    rows[9].ended, rows[9].open = 18, 2
    rows[10].open, rows[11].open = 4, 20
    (found,) = moments(report)
    assert found == Moment(rows[8].t, rows[11].t, "most sessions away")


def test_planned_ends_of_all_sessions_are_an_outage() -> None:
    report = sample(20, 5)
    rows = report.timeline
    rows[9].ended, rows[9].open = 20, 0
    rows[10].open = 0
    # What did not return in time counts as dropped later, and is no second outage.
    rows[11].dropped, rows[11].open = 20, 20
    assert moments(report) == [Moment(rows[8].t, rows[11].t, "most sessions away")]
    for row in rows:
        row.ended = None  # as in an older report
    assert moments(report) == [Moment(rows[10].t, rows[11].t, "most sessions away")]


def test_the_outages_of_a_single_server_are_said() -> None:
    report = sample(20, 5)
    rows = report.timeline
    assert outage_sentence(report) == ""
    for row in rows[:10]:
        row.open = 20
    rows[9].ended = 20
    for row in rows[9:]:
        row.open = 0
    never = f"most sessions were away from {rows[8].t:.1f} s after the run began to its end"
    assert outage_sentence(report) == never
    rows[12].open = rows[13].open = 20
    when = f"from {rows[8].t:.1f} s to {rows[12].t:.0f} s after the run began"
    assert outage_sentence(report) == f"most sessions were away {when}"
    assert f"Outages       most sessions were away {when}" in words_of_console(report)
    assert f"Most sessions were away {when}." in words(parse(html.document(report)))
    for row in rows[12:24]:
        row.open = 20
    rows[24].ended = 18
    again_s = rows[-1].t - rows[23].t
    assert outage_sentence(report) == (
        f"most sessions were away 2 times, {4 + again_s:.0f} s in all; first {when}"
    )
    report.nodes = report_of(2, {}).nodes
    assert outage_sentence(report) == ""


def words_of_console(report: Report) -> str:
    return console.summary(report, 120).replace("\u00a0", " ")


def test_stalls_of_the_generator_are_moments() -> None:
    report = sample(20, 5)
    rows = report.timeline
    rows[5].stall_ms, rows[6].lag_p99_ms = 1000.0, 1000.0
    assert moments(report) == []
    rows[9].stall_ms, rows[10].lag_p99_ms, rows[12].stall_ms = 1000.1, 1500.0, 4000.0
    rows[20].stall_ms = 2000.0
    assert moments(report) == [
        Moment(rows[8].t, rows[12].t, "generator stalled"),
        Moment(rows[19].t, rows[20].t, "generator stalled"),
    ]


def test_of_a_generator_that_stalls_all_the_time_few_moments_are_marked() -> None:
    row = sample(5, 1).timeline[0]
    points = [replace(row, t=float(t), stall_ms=2000.0 * (t % 7 == 0)) for t in range(1, 1801)]
    report = replace(sample(5, 1), timeline=points)
    assert 1 <= len(moments(report)) <= 50


def test_each_moment_is_marked_in_each_panel_of_each_chart_over_time() -> None:
    report = eventful()
    found = moments(report)
    root = parse(html.document(report))
    over_time = {
        figure.get("id", ""): figure
        for figure in root.iter("figure")
        if any("data-seconds" in each.attrib for each in figure.iter("div"))
    }
    assert set(over_time) == {
        f"chart-{name}"
        for name in ("latency", "heat", "connections", "connects", "traffic", "generator", "server")
    }
    for name, figure in over_time.items():
        (svg,) = (each for each in figure.iter("svg") if each.get("role") == "img")
        end = float(
            next(each.get("data-seconds", "") for each in figure.iter("div") if "data-seconds" in
                 each.attrib)
        )  # fmt: skip
        for panel in (each for each in svg.findall("g") if each.get("transform")):
            places = sorted(
                float(each.get("x1", "").rstrip("%")) / 100 * end
                for each in classes(panel, "moment")
            )
            assert [round(each, 1) for each in places] == [each.start_s for each in found], name
            stretches = sorted(
                (float(each.get("x", "").rstrip("%")), float(each.get("width", "").rstrip("%")))
                for each in classes(panel, "fill-moment")
            )
            assert [round(width * end / 100, 1) for _, width in stretches] == [
                round(each.end_s - each.start_s, 1) for each in found if each.end_s > each.start_s
            ]
        # The page's script takes the rows of the tooltips that are shown for the figures as CSV.
        assert len(classes(svg, "hit")) == len(cells(figure)) - 1, name
        keys = [words(item) for item in figure.iter("li")]
        assert keys[-4:-1] == [
            "storm, 7.5 s", "one moment, 12 s - 13.5 s", "node 1 away, 20 s - 24.5 s",
        ]  # fmt: skip
        assert any("; node 1 away" in words(title) for title in figure.iter("title"))


def test_a_legend_has_some_of_many_moments_and_the_number_of_the_others() -> None:
    found = [Moment(at, at, "storm") for at in range(9)]
    figure = parse(charts.traffic(RunTime(sample(5, 2).timeline, (), found)))
    keys = [words(item) for item in figure.iter("li")]
    assert keys[-2:] == ["storm, 5 s", "3 more"]
