"""The form for a run, and what Locust's own page shows of it, in a real browser.

With SSELOAD_SHOTS=DIR, the tests leave screenshots there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.support import browser as browsers
from tests.support.axe import violations
from tests.support.browser import LAPTOP, PATIENCE_MS, PHONE, shot, tab
from tests.support.ports import free_port
from tests.support.runs import PATIENCE, Run, target
from tests.support.web_ui import web_ui

pytestmark = [pytest.mark.e2e, pytest.mark.dear]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.browser() as started:
        yield started


@contextmanager
def locust(
    folder: Path, *arguments: str, faults: tuple[str, ...] = ()
) -> Iterator[tuple[Run, str]]:
    with (
        target(folder, *faults) as (server, _),
        web_ui(folder, "--target", "websocket", "--host", server.url, *arguments) as started,
    ):
        yield started


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control with this accessible name has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => { const each = document.activeElement;
                return (each.labels?.[0] ?? each).innerText?.trim() ?? ''; }"""
        )
        if focused == name:
            return
    pytest.fail(f"{name!r} cannot be reached by the keyboard")


def entered(page: Page, name: str) -> str:
    return page.locator(f"[name={name}]").input_value()


def test_a_run_by_keyboard_alone(chromium: Browser, tmp_path: Path) -> None:
    with (
        locust(tmp_path, faults=("--lose", "0.2")) as (_, url),
        tab(chromium) as (page, console),
    ):
        page.goto(url)
        expect(page.locator("input[name=userCount]")).to_have_value("51")
        tab_to(page, "New run")
        page.keyboard.press("Enter")
        expect(page).to_have_title("sseload: new run")
        assert [entered(page, name) for name in ("connections", "spawn_rate")] == ["50", "100"]

        # A shape fills in the form, and the list keeps the focus.
        tab_to(page, "Shape")
        page.keyboard.type("storm")
        expect(page.locator("[name=storm_after]")).to_have_value("20")
        expect(page.get_by_role("status")).to_contain_text("The options of the shape storm")
        assert entered(page, "connections") == "200"
        expect(page.locator("#shape")).to_be_focused()

        # A mistake is said by the field, and in a list that has the focus.
        tab_to(page, "Connections")
        page.keyboard.type("30")
        tab_to(page, "Codes")
        page.keyboard.type("0")
        tab_to(page, "Duration, seconds")
        page.keyboard.type("40")
        page.keyboard.press("Enter")
        expect(page.locator("#mistakes")).to_be_focused()
        expect(page.locator("#codes-error")).to_contain_text("Invalid --codes 0")
        expect(page.locator("#codes")).to_have_attribute("aria-invalid", "true")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#codes")).to_be_focused()
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type("40")
        tab_to(page, "Start the run")
        page.keyboard.press("Enter")

        # The run is shown, and stopped.
        page.wait_for_url(f"{url}/delivery")
        expect(page.locator("header")).to_have_attribute("data-running", "yes")
        expect(page.locator(".figure").first).to_contain_text("owed", timeout=PATIENCE_MS)
        expect(page.locator(".phases .now")).to_have_text("broadcast", timeout=PATIENCE_MS)
        tab_to(page, "Stop the run")
        page.keyboard.press("Enter")
        expect(page.locator("header")).to_have_attribute("data-running", "no", timeout=PATIENCE_MS)
        report = requests.get(f"{url}/delivery/report.json", timeout=PATIENCE).json()
        assert report["connections"]["attempted"] == 30
        assert report["run"]["options"]["storm_after"] == 20
        tab_to(page, "New run")
        page.keyboard.press("Enter")
        expect(page.locator("[name=connections]")).to_have_value("30")
        assert [entered(page, name) for name in ("shape", "codes", "duration")] == [
            "storm", "40", "40",
        ]  # fmt: skip
        assert [each for each in console if "422" not in each] == []


def test_without_script_a_shape_is_filled_in_by_a_button(chromium: Browser, tmp_path: Path) -> None:
    with (
        locust(tmp_path) as (_, url),
        tab(chromium, java_script_enabled=False) as (page, _),
    ):
        page.goto(f"{url}/delivery/new")
        page.locator("#shape").select_option("rooms")
        page.get_by_role("button", name="Fill in").click()
        assert [entered(page, name) for name in ("target", "connections")] == ["rooms", "200"]
        assert page.locator("#target_file").is_hidden()
        page.locator("#target").select_option("file")
        page.locator("#target_file").fill("mine.toml")
        page.get_by_role("button", name="Start the run").click()
        expect(page.locator("#target-error")).to_contain_text("mine.toml: cannot read the profile")
        assert entered(page, "target_file") == "mine.toml"


def test_axe_finds_nothing_in_the_form(chromium: Browser, tmp_path: Path) -> None:
    wrong = {"codes": "0", "slow_share": "2", "target": "file", "target_file": "none.toml"}
    with locust(tmp_path) as (_, url):
        for theme in ("light", "dark"):
            for name, screen in (("laptop", LAPTOP), ("phone", PHONE)):
                with tab(chromium, viewport=screen, color_scheme=theme) as (page, console):
                    page.goto(f"{url}/delivery/new")
                    shot(page, f"form-{name}-{theme}")
                    page.evaluate(
                        "document.querySelectorAll('details').forEach(d => d.open = true)"
                    )
                    assert violations(page) == [], (theme, name)
                    check_fits(page)
                    assert console == []
                    for field, text in wrong.items():
                        control = page.locator(f"[name={field}]")
                        if field == "target":
                            control.select_option(text)
                        else:
                            control.fill(text)
                    page.get_by_role("button", name="Start the run").click()
                    expect(page.locator("#mistakes li")).to_have_count(3)
                    assert violations(page) == [], (theme, name)
                    check_fits(page)
                    shot(page, f"form-mistakes-{name}-{theme}")
                    # Chromium notes the status 422 as an error.
                    assert [each for each in console if "422" not in each] == []


def check_fits(page: Page) -> None:
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "the page is wider than the screen"


def test_locusts_page_shows_the_verdict_all_outcomes_and_downloads(
    chromium: Browser, tmp_path: Path
) -> None:
    arguments = ("--codes", "4", "--duration", "3")
    with (
        locust(tmp_path, *arguments, faults=("--lose", "0.2")) as (_, url),
        tab(chromium) as (page, console),
    ):
        requests.post(f"{url}/swarm", data={"user_count": 31, "spawn_rate": 50}, timeout=PATIENCE)
        page.goto(f"{url}/?tab=delivery")
        whole = page.locator("tbody tr").first
        expect(whole.locator("td").nth(2)).to_have_text("issues", timeout=PATIENCE_MS)
        report = requests.get(f"{url}/delivery/report.json", timeout=PATIENCE).json()
        outcomes = ("owed", "delivered", "late", "recovered", "interrupted", "missing", "leaked")
        shown = whole.locator("td").all_inner_texts()[3:10]
        assert shown == [str(report["deliveries"][name]) for name in outcomes]
        expect(page.locator("#sseload .grade")).to_have_text(re.compile("Issues$"))
        assert page.locator("#sseload .headline").inner_text() == headline(page, url)
        check_nothing_is_covered(page)
        shot(page, "locust-delivery")
        page.get_by_role("tab", name="Download data").click()
        for name, begin in (("Download delivery report", "<!doctype"), ("JSON", "{")):
            with page.expect_download() as started:
                page.get_by_role("link", name=name).first.click()
            assert Path(started.value.path()).read_text("utf-8").startswith(begin)
        assert bar_violations(page) == []
        page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        check_nothing_is_covered(page)
        assert bar_violations(page) == []
        assert console == []


def headline(page: Page, url: str) -> str:
    other = page.context.new_page()
    other.goto(f"{url}/delivery")
    text = other.locator(".verdict .headline").inner_text()
    other.close()
    return text


def bar_violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the bar; Locust's own page is Locust's."""
    return [each for each in violations(page) if "#sseload" in each]


def check_nothing_is_covered(page: Page) -> None:
    """Check that each cell and link on the screen can be seen and clicked."""
    covered = page.evaluate(
        """() => [...document.querySelectorAll('td, th, #sseload a, [role=tab]')]
            .map(each => [each, each.getBoundingClientRect()])
            .map(([each, box]) => [each, box.x + box.width / 2, box.y + box.height / 2])
            .filter(([, x, y]) => x > 0 && y > 0 && x < innerWidth && y < innerHeight)
            .filter(([each, x, y]) => {
                const top = document.elementFromPoint(x, y);
                return top && !each.contains(top) && getComputedStyle(top).position === 'fixed';
            }).map(([each]) => each.outerHTML.slice(0, 80))"""
    )
    assert covered == []


def test_locusts_page_says_why_a_run_could_not_start(chromium: Browser, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with (
        locust(tmp_path, "--warm-up", "0.2") as (run, url),
        tab(chromium) as (page, console),
    ):
        page.goto(url)
        page.locator("input[name=host]").fill(nowhere)
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("alert")).to_contain_text(
            "The run could not be carried out.", timeout=PATIENCE_MS
        )
        expect(page.get_by_role("alert")).to_contain_text(nowhere)
        page.goto(f"{url}/delivery/new")
        expect(page.get_by_role("alert")).to_contain_text(nowhere)
        assert entered(page, "host") == nowhere
        assert console == []
        # A leader that is gone is said here, too.
        page.goto(url)
        run.interrupt()
        run.finish()
        expect(page.locator("#sseload-lost")).to_be_visible(timeout=PATIENCE_MS)
