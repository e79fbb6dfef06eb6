from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from sseload_users.core.histogram import Histogram
from sseload_users.core.run_figures import VitalsSeries
from sseload_users.report import charts, hdr
from sseload_users.report.charts import RunTime, palette, scale
from sseload_users.report.charts.bins import MOST_BINS, bins, chunks
from sseload_users.report.model import CodeRow, Phase, Report, TimelinePoint
from sseload_users.report.moments import Moment
from tests.support.pages import cells, classes, parse, words
from tests.support.reports import sample, samples


def over_time(report: Report, moments: Sequence[Moment] = ()) -> RunTime:
    return RunTime(report.timeline, report.phases, moments)


CHARTS: dict[str, Callable[[Report], Markup]] = {
    "connections": lambda report: charts.connections(over_time(report)),
    "traffic": lambda report: charts.traffic(over_time(report)),
    "latency": lambda report: charts.latency(over_time(report)),
    "generator": lambda report: charts.generator(over_time(report)),
    "reach": lambda report: charts.reach(report.per_code, report.reach),
    "deliveries": lambda report: charts.deliveries(report.per_code),
    "distribution": lambda report: charts.distribution({"delivery": report.delivery_ms}),
}


def interval(t: float, **changes: Any) -> TimelinePoint:
    point = TimelinePoint(
        t=t, open=50, connecting=0, connected=0, failed=0, dropped=0, ended=0, stall_ms=None,
        sent=0, received=0, p50_ms=None, p90_ms=None,
        p95_ms=None, p99_ms=None, max_ms=None, latencies=[],
        errors=0, lag_p99_ms=None, cpu_percent=None, waited_percent=None, rss_mib=None,
    )  # fmt: skip
    return replace(point, **changes)


def code(seq: int, owed: int, delivered: int, *arrivals: float, **changes: Any) -> CodeRow:
    first, p50, p95, p99, last = arrivals or (None,) * 5
    row = CodeRow(
        seq=seq, id="", sent_at=None, status="accepted", channel="", payload_bytes=None, owed=owed,
        delivered=delivered, late=0, recovered=0, interrupted=0, missing=owed - delivered,
        duplicate=0, leaked=0,
        first_ms=first, p50_ms=p50, p95_ms=p95, p99_ms=p99, last_ms=last,
    )  # fmt: skip
    return replace(row, **changes)


def plot(figure: ET.Element) -> ET.Element:
    (found,) = (each for each in figure.iter("svg") if each.get("role") == "img")
    return found


def path(figure: ET.Element, style: str) -> list[tuple[float, float]]:
    """The points of all lines of a style, as they are drawn."""
    numbers = [
        float(each)
        for line in classes(plot(figure), f"stroke-{style}")
        if line.tag == "path"
        for each in re.findall(r"[\d.]+", line.get("d", ""))
    ]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def say(figure: ET.Element) -> list[str]:
    return [words(title) for title in figure.iter("title")]


@pytest.mark.parametrize("name", CHARTS)
@given(report=samples())
@settings(max_examples=12, deadline=None)
def test_every_chart_is_accessible(name: str, report: Report) -> None:
    figure = parse(CHARTS[name](report))
    assert figure.tag == "figure"
    ids = {each.get("id"): each for each in figure.iter() if each.get("id")}
    labels = plot(figure).get("aria-labelledby", "").split()
    assert labels == [f"chart-{name}-title", f"chart-{name}-about"]
    assert all(words(ids[label]) for label in labels)
    assert words(ids[labels[1]]).endswith(".")
    details = figure.find("details")
    assert details is not None
    head, *rows = cells(details)
    assert all(len(row) == len(head) for row in rows)
    assert not re.search(r"\b(nan|inf|None)\b", ET.tostring(figure, "unicode"))
    for mark in plot(figure).iter():
        for side in ("width", "height", "r"):
            assert float(mark.get(side, "0").rstrip("%")) >= 0


def test_latencies_over_time_are_drawn_at_their_values() -> None:
    timeline = [
        interval(0.0),
        interval(5.0, p50_ms=4.0, p99_ms=8.0),
        interval(10.0, p50_ms=2.0, p99_ms=6.0),
    ]
    figure = parse(charts.latency(RunTime(timeline)))
    assert path(figure, "s1") == [(500.0, 85.0), (1000.0, 127.5)]
    assert path(figure, "s2") == [(500.0, 0.0), (1000.0, 42.5)]
    assert cells(figure)[1:] == [["0-5 s", "4.00", "8.00", "0"], ["5-10 s", "2.00", "6.00", "0"]]
    assert say(figure)[0] == "0-5 s: p50 4.00 ms, p99 8.00 ms"
    assert "p99 was 8.00 ms at most, at 5 s." in words(figure)


def test_all_percentiles_that_are_known_are_drawn() -> None:
    values = {"p50": 2.0, "p90": 4.0, "p95": 5.0, "p99": 8.0, "max": 10.0}
    changes = {f"{name}_ms": value for name, value in values.items()}
    figure = parse(charts.latency(RunTime([interval(t, **changes) for t in (5.0, 10.0)])))
    keys = [words(item) for item in figure.iter("li")]
    assert keys == list(values)
    for style, value in zip(("s1", "s4", "s3", "s2", "s5"), values.values(), strict=True):
        assert path(figure, style) == [(500.0, 170 - 17 * value), (1000.0, 170 - 17 * value)]
    assert cells(figure)[1][:6] == ["0-5 s", "2.00", "4.00", "5.00", "8.00", "10.0"]


def test_the_heat_map_has_a_cell_for_each_range_of_latencies() -> None:
    timeline = [
        interval(5.0, received=100, latencies=[2048, 96, 16384, 4]),
        interval(10.0, received=3, latencies=[3072, 3]),
    ]
    figure = parse(charts.heat(RunTime(timeline)))
    found = {}
    for mark in classes(plot(figure), "fill-s1"):
        for box in re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)", mark.get("d", "")):
            left, top, right, foot = map(float, box)
            # The axis is logarithmic, from 2 to 50 ms.
            low, high = (2 * 25 ** (1 - down / 170) for down in (foot, top))
            found[left, right, round(low, 1), round(high, 1)] = float(mark.get("fill-opacity", ""))
    assert found == {
        (0, 500, 2.0, 3.1): 1.0,
        (0, 500, 16.4, 24.6): 0.4,
        (500, 1000, 3.1, 4.1): 1.0,
    }
    assert cells(figure)[1:] == [
        ["0-5 s", "100", "2.05-3.07", "96 %", "16.4-24.6"],
        ["5-10 s", "3", "3.07-4.10", "100 %", "3.07-4.10"],
    ]
    assert say(figure)[0] == (
        "0-5 s: 100 deliveries, 96 % of them in 2.05-3.07 ms, the slowest in 16.4-24.6 ms"
    )


def test_a_long_silence_interrupts_the_line() -> None:
    came = [*range(1, 10), 100, 101]
    figure = parse(charts.latency(RunTime([interval(t, p50_ms=4.0, p99_ms=5.0) for t in came])))
    lines = [each for each in classes(plot(figure), "stroke-s1") if each.tag == "path"]
    assert [len(re.findall("[ML]", line.get("d", ""))) for line in lines] == [9, 2]


def test_bars_show_sums_and_small_ones_stay_visible() -> None:
    timeline = [interval(1.0, received=1), interval(2.0, received=1000, sent=2), interval(3.0)]
    figure = parse(charts.traffic(RunTime(timeline)))
    heights = [float(bar.get("height", "")) for bar in classes(plot(figure), "fill-s1")]
    assert heights == [1.5, 130.0]
    assert cells(figure)[1:] == [["0-1 s", "0", "1"], ["1-2 s", "2", "1,000"], ["2-3 s", "0", "0"]]
    assert "2 codes sent, 1,001 deliveries received." in words(figure)


def test_failed_operations_get_a_panel_only_if_there_are_any() -> None:
    calm = parse(charts.connections(RunTime([interval(1.0), interval(2.0)])))
    bad = parse(charts.connections(RunTime([interval(1.0), interval(2.0, errors=3, connecting=7)])))
    assert "no operation failed" in words(calm)
    assert not classes(calm, "fill-missing")
    assert len(classes(plot(bad), "fill-missing")) == 1
    assert "3 operations failed" in words(bad)
    assert cells(bad)[2] == ["1-2 s", "50", "7", "0", "3"]


def test_drops_get_their_own_panel_and_count_as_failures() -> None:
    figure = parse(charts.connections(RunTime([interval(1.0), interval(2.0, dropped=2, errors=5)])))
    assert len(classes(plot(figure), "fill-interrupted")) == 1
    assert "50 connections open at most, 2 dropped; 5 operations failed." in words(figure)
    keys = [words(item) for item in figure.iter("li")]
    assert keys[2:] == ["dropped", "failed, drops included"]
    assert cells(figure)[2] == ["1-2 s", "50", "0", "2", "5"]
    assert say(figure)[-1].endswith("0 connecting, 2 dropped, 5 failed")


def test_each_vitals_series_gets_a_panel_on_the_run_time_axis() -> None:
    timeline = [interval(t) for t in (1.0, 2.0, 3.0)]
    vitals = [
        VitalsSeries(source="process", name="cpu", unit="%", values=[10.0, 50.0, None]),
        VitalsSeries(source="process", name="rss", unit="MiB", values=[80.0, 80.0, 100.0]),
        VitalsSeries(source="metrics", name='<b>"', unit="", values=[None, None, None]),
    ]
    figure = parse(charts.vitals(RunTime(timeline), vitals))
    assert path(figure, "s1") == [(333.3, 63.0), (666.7, 35.0)]
    assert [y for _, y in path(figure, "s2")] == [14.0, 14.0, 0.0]
    assert path(figure, "s3") == []
    assert cells(figure)[0] == ["time", "cpu, %", "rss, MiB", '<b>"']
    assert cells(figure)[2] == ["1-2 s", "50", "80", "-"]
    assert "Cpu up to 50 %; rss 80 to 100 MiB." in words(figure)
    assert say(figure)[-1] == '2-3 s: cpu, % -; rss, MiB 100; <b>" -'


def test_losses_have_their_own_scale() -> None:
    per_code = [code(1, 5000, 5000, *[1.0] * 5), code(2, 5000, 4997, *[1.0] * 5, late=1, missing=2)]
    figure = parse(charts.deliveries(per_code))
    assert [words(item) for item in figure.iter("li")] == ["delivered", "late", "missing"]
    (whole, lost) = classes(plot(figure), "fill-missing")
    assert (whole.get("height"), lost.get("height")) == ("1.5", "53.3")
    assert "9,997 of 10,000 (99.97 %) owed deliveries arrived in time: 1 late, 2 missing." in words(
        figure
    )
    assert cells(figure)[2] == ["2", "5,000", "4,997", "1", "0", "2"]
    assert say(figure)[1].startswith("code 2: 4,997 of 5,000 (99.9 %) delivered, 1 late, 0 inter")
    clean = parse(charts.deliveries(per_code[:1]))
    assert [words(item) for item in clean.iter("li")] == ["delivered"]


def test_the_distribution_matches_the_histogram() -> None:
    histogram = Histogram()
    histogram.add_all(range(1000, 101_000, 100))
    figure = parse(charts.distribution({"delivery": histogram.summary()}))
    table = {row[0]: row[1] for row in cells(figure)}
    assert {share: table[share] for share in ("0 %", "50 %", "99 %", "100 %", "values")} == {
        "0 %": "1.00", "50 %": "50.9", "99 %": "99.9", "100 %": "101", "values": "1,000",
    }  # fmt: skip
    assert [words(each) for each in classes(figure, "value")] == [
        "p50 50.9 ms",
        "p99 99.9 ms",
        "p99.9 101 ms",
    ]
    assert len(path(figure, "s1")) == 201
    both = parse(charts.distribution({"A": histogram.summary(), "<B>": histogram.summary()}))
    assert [words(item) for item in both.iter("li")] == ["A", "<B>"]


@given(st.dictionaries(st.integers(0, 10**8), st.integers(1, 9), min_size=1, max_size=40))
def test_a_histogram_survives_a_round_trip(counts: dict[int, int]) -> None:
    histogram = Histogram()
    for value, many in counts.items():
        histogram.add(value, many)
    read = hdr.histogram(histogram.summary())
    assert read is not None
    assert (read.counts, read.total) == (histogram.counts, histogram.total)
    assert (read.min_us, read.max_us) == (histogram.min_us, histogram.max_us)
    assert read.percentiles_ms((0, 50, 99, 100)) == histogram.percentiles_ms((0, 50, 99, 100))
    assert hdr.histogram(Histogram().summary()) is None


@pytest.mark.parametrize(
    "text", ["!", "aaaa", "é", 5, "HISTFAAAAEV42pNpmSzMwMDAxAABzFCaEUoz2X+AsAA"]
)
def test_an_invalid_histogram_is_refused(text: Any) -> None:
    histogram = Histogram()
    histogram.add(5)
    with pytest.raises(ValueError, match="not an HdrHistogram"):
        hdr.histogram(replace(histogram.summary(), hdr=text))


@given(st.lists(st.integers(0, 10**6), max_size=1000))
@settings(max_examples=30)
def test_thinning_keeps_extremes_and_sums(values: list[int]) -> None:
    timeline = [
        interval(float(t + 1), received=value, p99_ms=value / 10) for t, value in enumerate(values)
    ]
    parts = bins([point.t for point in timeline])
    assert len(parts) <= MOST_BINS
    assert sum(part.total(values) for part in parts) == sum(values)
    points = [point for part in parts for point in part.points([each.p99_ms for each in timeline])]
    assert len(points) <= 2 * MOST_BINS
    assert points == sorted(points)
    for end in (min, max):
        assert end((p[1] for p in points), default=0) == end(values, default=0) / 10
    assert [row for part in chunks(timeline) for row in part] == timeline
    assert all(before.end == after.start for before, after in itertools.pairwise(parts))


def test_large_reports_are_drawn_quickly_and_small() -> None:
    timeline = [
        interval(float(t), received=t % 7, sent=1, p50_ms=1 + t % 5, p90_ms=3.0 + t % 7,
                 p95_ms=4.0 + t % 8, p99_ms=9.0 + t % 11, max_ms=700.0 + t % 13,
                 latencies=[number for at in range(10, 22) for number in (1 << at, 1 + t % 5)],
                 lag_p99_ms=0.1 + t % 3, cpu_percent=float(t % 100), waited_percent=float(t % 9),
                 errors=t % 2)
        for t in range(1, 36_001)
    ]  # fmt: skip
    timeline[20_000].p99_ms = 777.0
    report = replace(sample(20, 2), timeline=timeline)
    report.per_code = [code(seq, 500, 499, 1.0, 2.0, 3.0, 4.0, 5.0) for seq in range(1, 20_001)]
    histogram = Histogram()
    histogram.add_all(1000 + step * step // 1000 for step in range(100_000))
    report.delivery_ms = histogram.summary()
    for name, draw in CHARTS.items():
        started = time.process_time()
        drawn = draw(report)
        # CPU time, with a wide margin: a page of all charts takes less than a second.
        assert time.process_time() - started < 0.5, name
        assert len(drawn) < 120_000, name
    figure = parse(charts.latency(RunTime(timeline)))
    assert "p99 was 777 ms at most, at 5:33:21." in words(figure)
    assert min(down for _, down in path(figure, "s2")) < 60
    assert len(path(figure, "s2")) <= 300


def test_negative_values_have_a_place_on_the_axis() -> None:
    axis = scale.linear([-30.0, 80.0])
    assert axis.ticks == ((-50.0, "-50"), (0.0, "0"), (50.0, "50"), (100.0, "100"))
    assert (axis.at(-50.0), axis.at(100.0)) == (0.0, 1.0)


def test_no_change_is_below_minus_100_per_cent() -> None:
    rows = [charts.Change("p99", 250.0, -80.0, 700.0, "s1")]
    figure = parse(charts.changes(rows))
    labels = [words(each) for each in figure.iter("text")]
    assert not {"-200 %", "-400 %"} & set(labels)
    low, high = (across for across, _ in path(figure, "s1"))
    # From -100 % to +800 %.
    assert [low, high] == pytest.approx([1000 * 20 / 900, 1000 * 8 / 9], 0.01)


def test_labels_do_not_collide_in_a_narrow_plot() -> None:
    histogram = Histogram()
    histogram.add(5000, 999_999)
    histogram.add(5100)
    figure = parse(charts.distribution({"delivery": histogram.summary()}))
    foot = max(float(each.get("y", "0")) for each in figure.iter("text"))
    for row in (foot, foot - 19):
        spans = [
            (float(each.get("x", "").rstrip("%")) * 2.7, len(words(each)) * 6)
            for each in plot(figure).iter("text")
            if float(each.get("y", "0")) == row
        ]
        assert all(a + w / 2 <= b - v / 2 for (a, w), (b, v) in itertools.pairwise(sorted(spans)))
    assert [words(each) for each in classes(figure, "value")][:2] == ["p50 5.00 ms", "p99 5.00 ms"]


@given(st.lists(st.floats(0, 1e9), max_size=20), st.booleans())
@example([1.0, 5e-324, 5e-324], False)
def test_an_axis_covers_all_values_with_few_ticks(values: list[float], whole: bool) -> None:
    for each in (scale.linear(values, whole=whole), scale.latencies(values)):
        assert all(0 <= each.at(value) <= 1 for value in values)
        assert max(values, default=0.0) <= each.high * (1 + 1e-9)
        assert 2 <= len(each.ticks) <= 7
        labels = [label for _, label in each.ticks]
        assert len(set(labels)) == len(labels)
        assert each.at(each.ticks[-1][0]) > each.at(each.ticks[0][0])
    if whole:
        assert all(value % 1 == 0 for value, _ in scale.linear(values, whole=True).ticks)


@given(st.floats(0, 1e8))
def test_a_time_axis_has_few_ticks_in_plain_units(end: float) -> None:
    axis = scale.time(end)
    assert 1 <= len(axis.ticks) <= 7
    assert axis.ticks[0] == (0, "0")
    assert all(re.fullmatch(r"[\d,]+ (s|min|h|d)", label) for _, label in axis.ticks[1:])


def test_one_straggler_among_many_makes_the_axis_logarithmic() -> None:
    assert not scale.latencies([1.0, 2.0, 20.0]).logarithmic
    axis = scale.latencies([4.0] * 10 + [5000.0])
    assert axis.logarithmic
    assert (10.0, "10") in axis.ticks


def test_phase_names_are_escaped() -> None:
    hostile = '<b>" onload="\x1b\u202e'
    phases = [Phase(name=hostile, started_at="2026-11-24T09:30:00Z", seconds=9.0)]
    for draw in (charts.connections, charts.traffic, charts.latency, charts.generator):
        timeline = [
            interval(t, p50_ms=1.0, p99_ms=1.0, received=1, cpu_percent=1.0) for t in range(1, 10)
        ]
        figure = draw(RunTime(timeline, phases))
        assert "<b>" not in figure
        assert not [each for each in parse(figure).iter() if "onload" in each.attrib]
        assert not re.search("[\x1b\u202e]", figure)
        assert '<b>" onload="' in words(parse(figure))


def test_with_many_steps_only_broadcasts_are_marked() -> None:
    names = ["warm-up", "connect", "settle", "broadcast", "drain", "disconnect"] * 4
    phases = [
        Phase(name=name, started_at=f"2026-11-24T09:30:{second:02}Z", seconds=1.0)
        for second, name in enumerate(names)
    ]
    figure = charts.traffic(RunTime([interval(t, sent=1) for t in range(1, 25)], phases))
    # In each of its two panels, the beginning and the end of each.
    assert str(figure).count('class="phase"') == 2 * 4 * 2


def test_phase_names_appear_only_where_they_fit() -> None:
    phases = [
        Phase(name=name, started_at=f"2026-11-24T09:30:{at:02}Z", seconds=seconds)
        for name, at, seconds in (("one", 0, 2.0), ("two", 2, 0.5), ("three", 3, 7.0))
    ]
    figure = charts.traffic(RunTime([interval(t, sent=1) for t in range(1, 11)], phases))
    names = [words(each) for each in parse(figure).iter("text") if "data-off" not in each.attrib]
    assert "three" in names
    assert not {"one", "two"} & set(names)


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


THEMES = pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])


@THEMES
def test_texts_and_marks_have_enough_contrast(colours: dict[str, str]) -> None:
    for name in ("ink", "soft", "link", "good", "warning", "issues"):
        for behind in ("page", "card"):
            assert contrast(colours[name], colours[behind]) >= 4.5, (name, behind)
    for grade in ("good", "warning", "issues"):
        for name in ("ink", grade, "warning", "issues"):
            assert contrast(colours[name], colours[f"{grade}-card"]) >= 4.5, (name, grade)
    for name in (*palette.SERIES, "late", "interrupted", "missing"):
        assert contrast(colours[name], colours["card"]) >= 3, name


# Machado, Oliveira and Fernandes (2009): what protanopes, deuteranopes and tritanopes see,
# in linear RGB.
DEFICIENCIES = {
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
               (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
               (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
               (0.004733, 0.691367, 0.303900)),
}  # fmt: skip


def oklab(colour: str, deficiency: str) -> tuple[float, ...]:
    """A colour as it is perceived, where equal distances look about equally large."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]

    def times(matrix: Any, vector: Any) -> list[float]:
        return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]

    seen = [min(max(each, 0.0), 1.0) for each in times(DEFICIENCIES[deficiency], linear)]
    cones = times(
        ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
         (0.0883024619, 0.2817188376, 0.6299787005)), seen,
    )  # fmt: skip
    return tuple(times(
        ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
         (0.0259040371, 0.7827717662, -0.8086757660)), [each ** (1 / 3) for each in cones],
    ))  # fmt: skip


@THEMES
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_series_are_distinguishable_with_colour_vision_deficiencies(
    colours: dict[str, str], deficiency: str
) -> None:
    for together in (palette.SERIES, ("s1", "late", "interrupted", "missing")):
        for first, second in itertools.combinations(together, 2):
            a, b = (oklab(colours[name], deficiency) for name in (first, second))
            distance = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5
            assert distance >= 0.1, (first, second, distance)


def test_the_theme_follows_the_system_unless_the_page_sets_it() -> None:
    assert '@media (prefers-color-scheme:dark){:root:not([data-theme="light"])' in charts.STYLE
    assert ':root[data-theme="dark"]{color-scheme:dark' in charts.STYLE
    used = set(re.findall(r"var\(--([\w-]+)\)", charts.STYLE))
    assert used <= set(palette.LIGHT)
    assert set(palette.LIGHT) == set(palette.DARK)
    drawn = set(itertools.chain.from_iterable(
        re.findall(r"(?:stroke|fill)-[\w]+", draw(sample(20, 5, late=1, missing=2, interrupted=1)))
        for draw in CHARTS.values()
    ))  # fmt: skip
    assert all(f".{name}{{" in charts.STYLE for name in drawn)
