"""What charts draw, read from the picture alone, is what the report says."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.histogram import Histogram
from sseload_users.core.run_figures import PaceFigures, VitalsSeries
from sseload_users.report import charts, groups, html
from sseload_users.report.charts import RunTime
from sseload_users.report.groups import Group
from sseload_users.report.model import Report, TimelinePoint
from tests.report.test_report_nodes import report_of
from tests.support.pages import cells, classes, parse, words
from tests.support.reports import sample

#: Half a pixel, as a share of the height or width of a plot, which is what rounding may take.
_PIXEL = 0.01


@dataclass
class Axis:
    """An axis as a reader sees it: labels at their places, from 0 to 1."""

    places: list[float]
    values: list[float]
    logarithmic: bool

    def at(self, place: float) -> float:
        """The value at a place, by the first and the last label."""
        values = [math.log(each) for each in self.values] if self.logarithmic else self.values
        share = (place - self.places[0]) / (self.places[-1] - self.places[0])
        value = values[0] + share * (values[-1] - values[0])
        return math.exp(value) if self.logarithmic else value

    def is_near(self, value: float, other: float) -> bool:
        """Whether two values are at the same place, as far as one can see."""
        whole = [self.at(0.0), self.at(1.0)]
        if self.logarithmic:
            value, other, *whole = map(math.log, (value, other, *whole))
        return abs(value - other) <= _PIXEL * abs(whole[1] - whole[0])


class Plot:
    """One panel of a figure."""

    def __init__(self, panel: ET.Element, x: Axis | None) -> None:
        self._marks = panel
        self._x = x
        lines = [each for each in panel.findall("line") if each.get("class") in ("grid", "base")]
        labels = [each for each in panel.findall("text") if each.get("text-anchor") == "end"]
        downs = [float(line.get("y1", "")) for line in lines]
        self.height = float(
            next((each.get("height", "") for each in panel.iter("svg") if self._is_plot(each)), "")
            or max(downs)
        )
        unit = next(words(each) for each in panel.findall("text") if each.get("y") == "-11")
        self.y = Axis(
            [1 - down / self.height for down in downs],
            [number(words(each)) for each in labels],
            "logarithmic" in unit,
        )

    def line(self, style: str) -> list[tuple[float, float]]:
        """The corners of the lines of a style."""
        found = []
        for mark in classes(self._marks, f"stroke-{style}"):
            if mark.tag == "path":
                numbers = [float(each) for each in re.findall(r"[\d.]+", mark.get("d", ""))]
                for across, down in zip(numbers[::2], numbers[1::2], strict=True):
                    found.append((self._across(across / 1000), self.y.at(1 - down / self.height)))
        return found

    def dots(self, style: str) -> list[tuple[float, float]]:
        """The dots of a style."""
        return [
            (
                self._across(percent(mark.get("cx", ""))),
                self.y.at(1 - float(mark.get("cy", "")) / self.height),
            )
            for mark in classes(self._marks, f"fill-{style}")
            if mark.tag == "circle"
        ]

    def bars(self, style: str) -> list[tuple[float, float, float, float]]:
        """The bars of a style: where each begins and ends, its bottom and its top."""
        found = []
        for mark in classes(self._marks, f"fill-{style}"):
            if mark.tag == "rect":
                left, width = percent(mark.get("x", "")), percent(mark.get("width", ""))
                top, high = float(mark.get("y", "")), float(mark.get("height", ""))
                ends = (self._across(left), self._across(left + width))
                values = [self.y.at(1 - down / self.height) for down in (top + high, top)]
                found.append((*ends, *values))
        return [(a, b, c, d) for a, b, c, d in found]

    def _across(self, place: float) -> float:
        return place if self._x is None else self._x.at(place)

    @staticmethod
    def _is_plot(svg: ET.Element) -> bool:
        return svg.get("class") == "run" or "viewbox" in svg.attrib


def number(label: str) -> float:
    value = float(re.sub("[,%kMG ]", "", label))
    return value * {"k": 1e3, "M": 1e6, "G": 1e9}.get(label[-1], 1.0)


def percent(text: str) -> float:
    return float(text.removesuffix("%")) / 100


def seconds(label: str) -> float:
    value, _, unit = label.partition(" ")
    return float(value) * {"": 1, "s": 1, "min": 60, "h": 3600}[unit]


def plots(drawn: Markup) -> list[Plot]:
    """The panels of a figure, with its horizontal axis as its labels say, if it is over time."""
    figure = parse(drawn)
    (svg,) = (each for each in figure.iter("svg") if each.get("role") == "img")
    ticks = classes(svg, "ticks")
    x = None
    if ticks:
        labels = list(ticks[0].iter("text"))
        places = [percent(each.get("x", "")) for each in labels]
        x = Axis(places, [seconds(words(each)) for each in labels], logarithmic=False)
    return [Plot(each, x) for each in svg.findall("g") if each.get("class") != "ticks"]


def timeline(intervals: int) -> Iterator[TimelinePoint]:
    draw = random.Random(22)
    (row,) = sample(5, 1).timeline[:1]
    for t in range(1, intervals + 1):
        base = draw.uniform(2, 9)
        yield replace(
            row, t=float(t), open=draw.randrange(300), connecting=draw.randrange(90),
            connected=draw.randrange(1, 90), failed=draw.randrange(1, 9),
            dropped=draw.randrange(1, 9), errors=draw.randrange(1, 30), sent=draw.randrange(1, 7),
            received=draw.randrange(1, 2000), p50_ms=base, p90_ms=base * 2, p95_ms=base * 3,
            p99_ms=base * 4, max_ms=base * draw.uniform(5, 90), lag_p99_ms=draw.uniform(0.1, 4),
            cpu_percent=draw.uniform(0, 90), waited_percent=draw.uniform(0, 40),
            latencies=[2048, 60, 3072, 30, 98304, 10],
        )  # fmt: skip


@pytest.fixture(scope="module")
def run() -> RunTime:
    return RunTime(list(timeline(40)))


def assert_drawn(plot: Plot, drawn: list[tuple[float, float]], run: RunTime, field: str) -> None:
    assert len(drawn) == len(run.timeline)
    for (at, value), row in zip(drawn, run.timeline, strict=True):
        assert at == pytest.approx(row.t, abs=0.05)
        assert plot.y.is_near(value, getattr(row, field)), (field, at)


#: Of each panel of each chart over time: the field of the timeline that each style draws.
LINES: dict[Callable[[RunTime], Markup], list[dict[str, str]]] = {
    charts.latency: [
        {"s1": "p50_ms", "s4": "p90_ms", "s3": "p95_ms", "s2": "p99_ms", "s5": "max_ms"}
    ],
    charts.connections: [{"s1": "open", "s2": "connecting"}],
    charts.generator: [{"s4": "lag_p99_ms"}, {"s3": "cpu_percent"}, {"s2": "waited_percent"}],
}
BARS: dict[Callable[[RunTime], Markup], list[dict[str, str]]] = {
    charts.connections: [{}, {"interrupted": "dropped"}, {"missing": "errors"}],
    charts.connects: [{"s1": "connected"}, {"missing": "failed"}],
    charts.traffic: [{"s1": "received"}, {"s2": "sent"}],
}


@pytest.mark.parametrize("chart", LINES, ids=lambda chart: chart.__name__)
def test_lines_over_time_go_through_the_figures_of_the_timeline(
    run: RunTime, chart: Callable[[RunTime], Markup]
) -> None:
    for plot, styles in zip(plots(chart(run)), LINES[chart], strict=False):
        for style, field in styles.items():
            assert_drawn(plot, plot.line(style), run, field)


@pytest.mark.parametrize("chart", BARS, ids=lambda chart: chart.__name__)
def test_bars_over_time_are_as_high_as_the_figures_of_the_timeline(
    run: RunTime, chart: Callable[[RunTime], Markup]
) -> None:
    for plot, styles in zip(plots(chart(run)), BARS[chart], strict=True):
        for style, field in styles.items():
            drawn = plot.bars(style)
            assert all(plot.y.is_near(foot, 0.0) for *_, foot, _ in drawn)
            middles = [((start + end) / 2 + 0.5, top) for start, end, _, top in drawn]
            assert_drawn(plot, middles, run, field)


def test_vitals_are_drawn_at_the_run_time(run: RunTime) -> None:
    draw = random.Random(3)
    series = [
        VitalsSeries(source="process", name=name, unit="", values=[
            draw.uniform(0, 70) for _ in run.timeline
        ])
        for name in ("cpu", "rss")
    ]  # fmt: skip
    for plot, style, each in zip(
        plots(charts.vitals(run, series)), ("s1", "s2"), series, strict=True
    ):
        for (at, value), row, wanted in zip(
            plot.line(style), run.timeline, each.values, strict=True
        ):
            assert at == pytest.approx(row.t, abs=0.05)
            assert wanted is not None
            assert plot.y.is_near(value, wanted)


def test_long_runs_keep_the_extremes_of_what_is_put_together() -> None:
    long = RunTime(list(timeline(3000)), most_bins=100)
    (plot,) = plots(charts.latency(long))
    drawn = plot.line("s2")
    assert len(drawn) <= 200
    known = [row.p99_ms or 0.0 for row in long.timeline]
    for end in (min, max):
        assert plot.y.is_near(end(value for _, value in drawn), end(known))
    (received, _) = plots(charts.traffic(long))
    sums = [top for *_, top in received.bars("s1")]
    assert sum(sums) == pytest.approx(sum(row.received for row in long.timeline), rel=0.01)
    # Rates of longer parts are still those of a second.
    (connects, failed) = plots(charts.connects(long))
    for panel, style, column in ((connects, "s1", "connected"), (failed, "missing", "failed")):
        (length,) = {part.end - part.start for part in long.parts}
        many = length * sum(top for *_, top in panel.bars(style))
        assert many == pytest.approx(sum(getattr(row, column) for row in long.timeline), rel=0.01)


# Groups of connections


def summary(*values_ms: float) -> LatencySummary:
    histogram = Histogram()
    histogram.add_all([round(1000 * each) for each in values_ms])
    return histogram.summary()


def assert_groups(drawn: Markup, rows: list[Group]) -> None:
    """Whether a chart's dots are the figures of these groups, and its table has them."""
    latency, delivered = plots(drawn)
    for style, name in (("s1", "p50"), ("s3", "p95"), ("s2", "p99"), ("s5", "max")):
        wanted = [
            ((at + 0.5) / len(rows), each.latencies[name])
            for at, each in enumerate(rows)
            if name in each.latencies
        ]
        dots = latency.dots(style)
        assert [at for at, _ in dots] == pytest.approx([at for at, _ in wanted], abs=1e-3)
        for (_, value), (_, known) in zip(dots, wanted, strict=True):
            assert latency.y.is_near(value, known), name
    shares = [100 * each.received / each.owed for each in rows if each.owed]
    dots = delivered.dots("s4")
    assert len(dots) == len(shares)
    for (_, value), share in zip(dots, shares, strict=True):
        assert delivered.y.is_near(value, share)
    table = cells(parse(drawn))
    assert [row[-2:] for row in table[1:]] == [
        [f"{each.received:,}", f"{each.owed:,}"] for each in rows
    ]


def chart_of(report: Report, name: str) -> Markup:
    """One chart of a report's page."""
    page = html.document(report)
    (found,) = re.findall(rf'<figure class="chart" id="chart-{name}">.*?</figure>', page, re.S)
    return Markup(found)


def test_nodes_are_drawn_by_what_their_connections_received() -> None:
    report = report_of(3, {(1, 2): 4, (2, 1): 1})
    rows = groups.nodes(report)
    assert [(each.name, each.owed, each.received) for each in rows] == [
        ("1", 30, 29), ("2", 30, 26), ("3", 30, 30),
    ]  # fmt: skip
    assert rows[0].latencies == dict.fromkeys(("p50", "p95", "p99", "max"), 5.0)
    drawn = chart_of(report, "nodes")
    assert_groups(drawn, rows)
    assert "Received the least: node 2, http://node2:8000, 26 of 30 (86.7 %)." in words(
        parse(drawn)
    )


def test_workers_and_regions_are_drawn() -> None:
    report = sample(60, 20, missing=9, workers=3, regions=("eu", "us", "asia"))
    for name, rows in (("workers", groups.workers(report)), ("regions", groups.regions(report))):
        assert len(rows) == 3
        assert_groups(chart_of(report, name), rows)
    assert "chart-workers" not in html.document(sample(20, 2))


def test_slow_readers_are_drawn_apart_from_the_others() -> None:
    report = sample(20, 5)
    report.paces = [
        PaceFigures(
            slow=slow, owed=100, delivered=100 - lost, late=0, recovered=0, interrupted=0,
            missing=lost, delivery_ms=latency,
        )
        for slow, lost, latency in (
            (True, 30, summary(900.0, 3000.0, 9000.0)), (False, 0, summary(2.0, 4.0, 9.0)),
        )
    ]  # fmt: skip
    drawn = chart_of(report, "paces")
    assert_groups(drawn, groups.paces(report))
    # A linear axis would show nothing of the others.
    assert plots(drawn)[0].y.logarithmic
    legend = [words(each) for each in parse(chart_of(report, "distribution")).iter("li")]
    assert legend == ["slow readers", "others"]


def test_of_many_channels_the_worst_are_drawn_and_a_distribution_of_all() -> None:
    report = sample(600, 600, channels=300, missing=12)
    draw = random.Random(4)
    for channel in report.channels:
        channel.p99 = draw.lognormvariate(2, 1)
        channel.max = 2 * channel.p99
    rows = groups.channels(report)
    worst = groups.worst(rows, 20)
    assert {each.name for each in worst if each.lost} == {each.name for each in rows if each.lost}
    drawn = chart_of(report, "channels")
    assert_groups(drawn, worst)
    assert "The worst 20 of 300." in words(parse(drawn))
    spread = parse(chart_of(report, "channel-spread"))
    ranges = [(*map(float, row[0].split("-")), *map(int, row[1:3])) for row in cells(spread)[1:]]
    assert sum(many for _, _, many, _ in ranges) == 300
    for low, high, many, lossy in ranges:
        inside = [each for each in rows if low <= each.latencies["p99"] < high]
        assert (many, lossy) == (len(inside), sum(each.lost > 0 for each in inside))
    (plot,) = plots(chart_of(report, "channel-spread"))
    tops = [top for *_, top in plot.bars("s1")]
    wanted = [many - lossy for *_, many, lossy in ranges if many > lossy]
    assert all(plot.y.is_near(*both) for both in zip(tops, wanted, strict=True))
    assert len(plot.bars("missing")) == sum(lossy > 0 for *_, lossy in ranges)
    lost = sum(each.lost > 0 for each in rows)
    assert f"{300 - lost} of 300" in words(spread)


def test_names_that_do_not_fit_are_slanted_and_shortened_in_their_middle() -> None:
    rows = [Group(f"room-of-the-{at:04}", 4, 4, {"p99": 5.0}) for at in range(12)]
    figure = parse(charts.groups("chart-x", "X", rows, of_all=12, x_name="room"))
    labels = [words(each) for each in classes(figure, "slanted")]
    assert labels == [f"room-o…e-{at:04}" for at in range(12)]
    few = parse(charts.groups("chart-x", "X", rows[:1], of_all=1, x_name="room"))
    assert not classes(few, "slanted")


def test_groups_without_deliveries_have_no_dots() -> None:
    rows = [Group("a", 3, 0, {}), Group("b", 0, 0, {})]
    drawn = charts.groups("chart-x", "X", rows, of_all=2, x_name="x")
    assert_groups(drawn, rows)
    assert "Nothing was delivered." in words(parse(drawn))
    spread = parse(charts.channel_spread(rows))
    assert "1 of 2 (50 %) channels received all that they were owed; 1 received nothing." in words(
        spread
    )
