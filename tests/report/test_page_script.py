"""The script of a page that is one file, in a real browser."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Browser, Page, expect

from sseload_users.core.formatting import ms
from sseload_users.report import html
from sseload_users.report.model import Report
from tests.support import browser as browsers
from tests.support.browser import tab
from tests.support.reports import sample


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.browser() as started:
        yield started


@pytest.fixture
def report() -> Report:
    return sample(60, 24, missing=7, channels=12)


@pytest.fixture
def page(chromium: Browser, report: Report, tmp_path: Path) -> Iterator[Page]:
    path = tmp_path / "report.html"
    path.write_text(html.document(report), encoding="utf-8")
    with tab(chromium) as (opened, console):
        opened.goto(path.as_uri())
        yield opened
        assert console == []


def test_arrow_keys_and_the_pointer_read_figures(page: Page, report: Report) -> None:
    chart = page.locator("#chart-latency")
    said = chart.locator(".readout")
    expect(said).to_be_empty()
    chart.locator(".plot").focus()
    page.keyboard.press("ArrowRight")
    first = next(row for row in report.timeline if row.p99_ms is not None)
    expect(said).to_contain_text(f"p50 {ms(first.p50_ms)} ms")
    page.keyboard.press("End")
    last = chart.locator(".hit").last
    expect(said).to_have_text(last.locator("title").text_content() or "")
    chart.locator(".hit").first.hover()
    expect(said).to_have_text(chart.locator(".hit title").first.text_content() or "")


def test_drawn_points_are_the_figures_of_the_report(page: Page, report: Report) -> None:
    """Points on the screen, by their pixels, against the report's figures."""
    found = page.evaluate(
        """() => {
            const plot = document.querySelector("#chart-latency .plot");
            const all = (selector) => [...plot.querySelectorAll(selector)];
            const middle = (each) => {
                const box = each.getBoundingClientRect();
                return box.y + box.height / 2;
            };
            const lines = all("line.base, line.grid").map(middle);
            return {
                low: Math.max(...lines),
                high: Math.min(...lines),
                labels: all("text").map((each) => each.textContent),
                ys: all("circle.fill-s2").map(middle),
            };
        }"""
    )
    highest = max(float(each) for each in found["labels"] if each.replace(".", "").isdigit())
    values = [row.p99_ms for row in report.timeline if row.p99_ms is not None]
    scale = found["low"] - found["high"]
    drawn = [highest * (found["low"] - y) / scale for y in found["ys"]]
    assert drawn == pytest.approx(values, abs=highest * 1.5 / scale)


def test_a_chart_is_downloaded_as_csv_and_svg(page: Page, report: Report, tmp_path: Path) -> None:
    chart = page.locator("#chart-deliveries")
    with page.expect_download() as begun:
        chart.get_by_role("button", name="Figures as CSV").click()
    assert begun.value.suggested_filename == "chart-deliveries.csv"
    begun.value.save_as(tmp_path / "figures.csv")
    with (tmp_path / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["code"], row["delivered"]) for row in rows] == [
        (str(code.seq), str(code.delivered)) for code in report.per_code
    ]
    with page.expect_download() as begun:
        chart.get_by_role("button", name="Chart as SVG").click()
    begun.value.save_as(tmp_path / "chart.svg")
    with page.expect_download() as begun:
        chart.get_by_role("button", name="Chart as PNG").click()
    begun.value.save_as(tmp_path / "chart.png")
    png = (tmp_path / "chart.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    wide = chart.locator(".plot svg").first.bounding_box()
    assert wide is not None
    # Two pixels for each of the page's, with room for the labels.
    assert int.from_bytes(png[16:20], "big") == pytest.approx(2 * (wide["width"] + 70), abs=2)
    root = ET.parse(tmp_path / "chart.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) >= len(report.per_code)


def test_the_legend_switches_series(page: Page) -> None:
    line = page.locator("#chart-latency .plot circle.fill-s2")
    button = page.locator("#chart-latency .legend").get_by_role("button", name="p99")
    expect(line.first).to_be_visible()
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(line.first).to_be_hidden()
    button.click()
    expect(line.first).to_be_visible()


def test_tables_sort_and_filter(page: Page, report: Report) -> None:
    table = page.get_by_role("group", name="Code by code").locator("table")
    by_name = table.locator("thead").get_by_role("button", name="delivered")
    delivered = [code.delivered for code in report.per_code]

    def shown() -> list[int]:
        at = by_name.evaluate("button => button.closest('th').cellIndex")
        found = table.locator(f"tbody tr:visible > :nth-child({at + 1})").all_inner_texts()
        return [int(each) for each in found]

    assert shown() == delivered
    by_name.click()
    assert shown() == sorted(delivered)
    by_name.click()
    assert shown() == sorted(delivered, reverse=True)
    page.locator("section", has=table).get_by_label("Filter rows").fill("c7")
    assert len(shown()) == sum(code.channel == "c7" for code in report.per_code) > 0


def test_the_page_is_complete_without_script(
    chromium: Browser, report: Report, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.document(report), encoding="utf-8")
    with tab(chromium, java_script_enabled=False) as (page, console):
        page.goto(path.as_uri())
        assert page.locator("button").count() == 0
        assert page.locator("figure svg[role=img]").count() == 10
        assert console == []


def test_an_empty_chart_has_nothing_to_press(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.document(sample(0, 0)), encoding="utf-8")
    with tab(chromium) as (page, console):
        page.goto(path.as_uri())
        expect(page.locator("#chart-latency")).to_contain_text("Nothing was delivered.")
        assert page.locator("#chart-latency button").count() == 0
        assert console == []
