"""axe-core finds nothing wrong with the pages that are files, in both themes, on both screens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sseload_users.core.run_figures import VitalsSeries
from sseload_users.report import comparison_views, html, trend_page
from sseload_users.report.comparison import compare
from sseload_users.report.history import KeptRun, summary
from sseload_users.report.model import Report
from sseload_users.report.trends import trends
from tests.support import browser as browsers
from tests.support.axe import violations
from tests.support.browser import LAPTOP, PHONE, tab
from tests.support.reports import WORST, sample, step_of


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.browser() as started:
        yield started


def full() -> Report:
    """A report with nearly all parts that a page can have."""
    report = sample(60, 60, channels=30, leaked=12, resume=True, recovered=5, workers=2)
    values: list[float | None] = [1.0] * len(report.timeline)
    report.vitals = [VitalsSeries(source="process", name="cpu", unit="%", values=values)]
    steps = [step_of(sample(size, 2, missing=size // 9), f"{size}") for size in (50, 100)]
    return replace(report, steps=steps)


def kept(many: int) -> list[KeptRun]:
    """Runs of one name; the last half of them is slower."""
    found = []
    for seed in range(many):
        report = sample(30, 5, seed=seed, median_ms=4.0 if seed < many / 2 else 9.0)
        report.run.id = f"run{seed:03}"
        found.append(summary(report, Path("reports")))
    return found


def compared() -> str:
    before, after = sample(30, 10, seed=1), sample(30, 10, seed=2, missing=7, median_ms=9.0)
    return comparison_views.document(before, after, compare(before, after))


def trend() -> str:
    runs = kept(8)
    return trend_page.document(runs, trends(runs))


PAGES: dict[str, Callable[[], str]] = {
    "good": lambda: html.document(sample(50, 10)),
    "issues": lambda: html.document(sample(**WORST)),
    "full": lambda: html.document(full()),
    "compare": compared,
    "trend": trend,
    "runs": lambda: trend_page.runs_document(kept(3), "reports"),
    "empty": lambda: html.document(sample(0, 0)),
}


@pytest.mark.dear
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(chromium: Browser, tmp_path: Path, name: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGES[name](), encoding="utf-8")
    for screen in (LAPTOP, PHONE):
        for theme in ("light", "dark"):
            with tab(chromium, viewport=screen, color_scheme=theme) as (page, console):
                page.goto(path.as_uri())
                page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                assert violations(page) == [], (screen, theme)
                assert console == []
