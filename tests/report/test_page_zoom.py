"""Zooming into the charts over time of a page that is one file, in a real browser."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from sseload_users.report import html
from sseload_users.report.model import Report
from tests.support import browser as browsers
from tests.support.browser import PHONE, tab
from tests.support.reports import sample

#: The charts over time of a report without vitals.
OVER_TIME = tuple(
    f"chart-{name}"
    for name in ("latency", "heat", "connections", "connects", "traffic", "generator")
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.browser() as started:
        yield started


@pytest.fixture(scope="module")
def report() -> Report:
    made = sample(60, 24, missing=7)
    for row in made.timeline:
        if row.p99_ms is not None:
            row.latencies = [2048, max(1, row.received)]
    return made


@pytest.fixture(scope="module")
def path(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("page") / "report.html"
    written.write_text(html.document(report), encoding="utf-8")
    return written


@pytest.fixture
def page(chromium: Browser, path: Path) -> Iterator[Page]:
    with tab(chromium) as (opened, console):
        opened.goto(path.as_uri())
        yield opened
        assert console == []


def drag(page: Page, plot: Locator, start: float, end: float) -> None:
    """Drag the pointer from one share of a plot's width to another."""
    plot.scroll_into_view_if_needed()
    box = plot.locator("svg").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + start * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + end) / 2 * box["width"], box["y"] + 70)
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 60)
    page.mouse.up()


def ticks(chart: Locator) -> dict[str, float]:
    """Where the labels of the time axis are, in shares of the plot's width."""
    found: dict[str, float] = chart.evaluate(
        """chart => Object.fromEntries([...chart.querySelectorAll(".ticks text")].map(each => [
            each.textContent.replace("\\u00a0", " "),
            parseFloat(each.getAttribute("x")) / 100,
        ]))"""
    )
    return found


def dots(page: Page) -> list[dict[str, Any]]:
    """The visible dots of p99: their shares of the plot's width and height, by their pixels."""
    found: list[dict[str, Any]] = page.evaluate(
        """() => {
            const svg = document.querySelector("#chart-latency .plot svg");
            const box = svg.getBoundingClientRect();
            const lines = [...svg.querySelectorAll("line.base, line.grid")]
                .map(each => each.getBoundingClientRect().y);
            const [low, high] = [Math.max(...lines), Math.min(...lines)];
            return [...svg.querySelectorAll("circle.fill-s2")].map(each => {
                const own = each.getBoundingClientRect();
                return {
                    across: (own.x + own.width / 2 - box.x) / box.width,
                    up: (low - own.y - own.height / 2) / (low - high),
                };
            }).filter(each => each.across >= -1e-3 && 1 + 1e-3 >= each.across);
        }"""
    )
    return found


def places(page: Page, name: str) -> list[list[Any]]:
    """Where all visible texts and marks of a chart are on the screen, across."""
    found: list[list[Any]] = page.locator(f"#{name} .plot").evaluate(
        """plot => [...plot.querySelectorAll("text, rect, circle, path, line")]
            .map(each => [each.textContent, each.getBoundingClientRect()])
            .map(([words, box]) => [words, Math.round(box.x), Math.round(box.width)])"""
    )
    return found


def test_dragging_shows_a_part_of_the_run_in_all_charts_over_time(
    page: Page, report: Report
) -> None:
    end = report.timeline[-1].t
    drag(page, page.locator("#chart-traffic .plot"), 0.25, 0.5)
    expect(page.locator("#chart-traffic .x-name")).to_contain_text(" to ")
    for name in OVER_TIME:
        chart = page.locator(f"#{name}")
        shown = ticks(chart)
        assert len(shown) >= 2, name
        for label, across in shown.items():
            minutes, _, rest = label.removesuffix(" s").rpartition(":")
            at = 60 * int(minutes or 0) + int(rest)
            assert (at / end - 0.25) / 0.25 == pytest.approx(across, abs=0.02), (name, label)
        expect(chart.locator(".x-name")).to_contain_text("time since the run began: ")
    # What is drawn is the figures of that part, at their times; the vertical axis is the same.
    inside = [
        row for row in report.timeline if row.p99_ms is not None and 0.25 <= row.t / end <= 0.5
    ]
    highest = max(float(each) for each in page.locator("#chart-latency .plot text")
                  .all_text_contents() if each.replace(".", "").isdigit())  # fmt: skip
    drawn = dots(page)
    assert [each["across"] for each in drawn] == pytest.approx(
        [(row.t / end - 0.25) * 4 for row in inside], abs=0.02
    )
    assert [highest * each["up"] for each in drawn] == pytest.approx(
        [row.p99_ms for row in inside], abs=highest * 0.01
    )
    # Marks beside the plot are cut off.
    assert page.locator("#chart-latency .window").first.evaluate(
        "each => getComputedStyle(each).overflow"
    ) == "hidden"  # fmt: skip


def test_charts_not_over_time_stay_as_they_are(page: Page) -> None:
    before = page.locator("#chart-deliveries .plot").inner_html()
    page.locator("#chart-latency").get_by_role("button", name="Zoom in").click()
    assert page.locator("#chart-deliveries .plot").inner_html() == before
    assert page.locator("#chart-deliveries").get_by_role("button", name="Zoom in").count() == 0


def test_keys_zoom_move_and_show_the_whole_run_again(page: Page, report: Report) -> None:
    chart = page.locator("#chart-connections")
    before = {name: places(page, name) for name in OVER_TIME}
    plot, said = chart.locator(".plot"), chart.locator(".readout")
    plot.focus()
    page.keyboard.press("+")
    expect(chart.locator(".x-name")).not_to_have_text("time since the run began")
    first = ticks(page.locator("#chart-latency"))
    page.keyboard.press("Shift+ArrowRight")
    second = ticks(page.locator("#chart-latency"))
    assert max(second.values()) <= 1
    assert first != second
    # Arrow keys read only what is shown.
    page.keyboard.press("Home")
    at = float((said.text_content() or "").partition("-")[0])
    assert at >= report.timeline[-1].t / 4
    page.keyboard.press("-")
    page.keyboard.press("-")
    expect(said).to_have_text("The whole run is shown.")
    page.keyboard.press("+")
    page.keyboard.press("Escape")
    expect(said).to_have_text("The whole run is shown.")
    assert {name: places(page, name) for name in OVER_TIME} == before


@pytest.mark.dear
def test_the_shortest_part_is_two_seconds(page: Page) -> None:
    closer = page.locator("#chart-latency").get_by_role("button", name="Zoom in")
    for _ in range(12):
        closer.click()
    times = [each.removesuffix(" s") for each in ticks(page.locator("#chart-latency"))]
    assert 1 <= len(times) <= 3
    page.locator("#chart-heat").get_by_role("button", name="Whole run").click()
    expect(page.locator("#chart-latency .x-name")).to_have_text("time since the run began")


@pytest.mark.dear
def test_a_part_of_a_long_run_has_finer_lines(
    chromium: Browser, report: Report, tmp_path: Path
) -> None:
    rows = [row for row in report.timeline if row.p99_ms is not None]
    timeline = [replace(rows[at % len(rows)], t=at + 1.0) for at in range(1200)]
    written = tmp_path / "long.html"
    written.write_text(html.document(replace(report, timeline=timeline)), encoding="utf-8")
    with tab(chromium) as (page, console):
        page.goto(written.as_uri())
        chart = page.locator("#chart-latency")
        whole, close = (
            chart.locator(f".plot path.stroke-s2.{name}") for name in ("whole", "close")
        )
        counts = [(each.get_attribute("d") or "").count("L") for each in (whole.first, close.first)]
        assert counts[1] > 3 * counts[0]
        expect(whole).to_have_css("display", "inline")
        expect(close).to_have_css("display", "none")
        for _ in range(2):
            chart.get_by_role("button", name="Zoom in").click()
        expect(close).to_have_css("display", "inline")
        expect(whole).to_have_css("display", "none")
        chart.get_by_role("button", name="p99").click()
        expect(close).to_have_css("display", "none")
        assert console == []


@pytest.mark.dear
def test_downloads_of_a_part_have_its_figures_and_say_which(
    page: Page, report: Report, tmp_path: Path
) -> None:
    chart = page.locator("#chart-traffic")
    drag(page, chart.locator(".plot"), 0.5, 0.75)

    def saved(button: str, suffix: str) -> Path:
        with page.expect_download() as begun:
            chart.get_by_role("button", name=button).click()
        name = begun.value.suggested_filename
        assert name.startswith("chart-traffic-")
        assert name.endswith(f"s.{suffix}")
        begun.value.save_as(tmp_path / name)
        return tmp_path / name

    with saved("Figures as CSV", "csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    end = report.timeline[-1].t
    starts = [float(row["time"].partition("-")[0]) for row in rows]
    assert 0.5 * end - 2 <= min(starts) <= max(starts) <= 0.75 * end
    assert len(rows) == pytest.approx(len(report.timeline) / 4, abs=2)
    root = ET.parse(saved("Chart as SVG", "svg")).getroot()
    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(each.startswith("time since the run began: ") for each in texts)
    assert saved("Chart as PNG", "png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.dear
def test_a_finger_selects_across_and_scrolls_up_and_down(chromium: Browser, path: Path) -> None:
    with tab(chromium, viewport=PHONE, has_touch=True, is_mobile=True) as (page, console):
        page.goto(path.as_uri())
        plot = page.locator("#chart-latency .plot")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box is not None
        touches = page.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            touches.send(
                "Input.dispatchTouchEvent",
                {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]},
            )

        middle = box["y"] + 60
        touch("touchStart", (box["x"] + 100, middle))
        for step in range(1, 6):
            touch("touchMove", (box["x"] + 100 + 25 * step, middle))
        touch("touchEnd")
        name = page.locator("#chart-latency .x-name")
        expect(name).to_contain_text("time since the run began: ")
        before, scrolled = name.text_content(), page.evaluate("scrollY")
        touch("touchStart", (box["x"] + 100, middle + 80))
        for step in range(1, 6):
            touch("touchMove", (box["x"] + 100, middle + 80 - 25 * step))
        touch("touchEnd")
        page.wait_for_function("before => scrollY > before", arg=scrolled)
        assert name.text_content() == before
        assert console == []
