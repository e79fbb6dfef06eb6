"""The web pages in a real browser: Locust's form and tab, and /delivery.

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

from sseload_users.report import html
from tests.support import browser as browsers
from tests.support.axe import violations
from tests.support.browser import LAPTOP, PATIENCE_MS, PHONE, shot, tab
from tests.support.metrics import families, values
from tests.support.reports import WORST, sample
from tests.support.runs import PATIENCE, Run, target
from tests.support.web_ui import web_ui

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

HOSTILE = '<script>window.stolen=1</script><img src=x onerror="window.stolen=1">'

LOGIN = """
import os
from flask import Blueprint, redirect, session
from flask_login import UserMixin, login_user
from locust import events
from sseload_users import CodeBroadcaster, CodeListener


class TestUser(UserMixin):
    id = "somebody"


@events.init.add_listener
def login(environment, **_):
    ui = environment.web_ui
    ui.app.secret_key = "a test's"
    ui.login_manager.user_loader(lambda name: TestUser() if name == "somebody" else None)
    ui.auth_args = {"username_password_callback": "/load/enter"}
    enter = Blueprint("enter", __name__, url_prefix="/load")

    @enter.route("/enter", methods=["POST"])
    def let_in():
        login_user(TestUser())
        return redirect("/load/")

    ui.app.register_blueprint(enter)
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.browser() as started:
        yield started


@contextmanager
def locust(
    folder: Path, *arguments: str, path: str = "", faults: tuple[str, ...] = ()
) -> Iterator[tuple[Run, str]]:
    """Start Locust's web UI against a new embedded target; return the run and the UI's URL."""
    with (
        target(folder, *faults) as (server, _),
        web_ui(
            folder, "--target", "websocket", "--host", server.url, *arguments, path=path
        ) as started,
    ):
        yield started


def start(page: Page, users: int) -> None:
    """Fill in Locust's form and press its start button."""
    page.locator("input[name=userCount]").fill(str(users))
    page.locator("input[name=spawnRate]").fill("50")
    page.get_by_role("button", name="Start", exact=False).click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def run_id(page: Page) -> str:
    return page.locator("header b").first.inner_text()


def links(page: Page) -> set[str]:
    found = page.locator("a").evaluate_all("all => all.map(each => each.href)")
    return {str(each) for each in found}


def check_layout(page: Page) -> None:
    """Check that the page fits the screen, and that everything has an accessible name."""
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "the page is wider than the screen"
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('a, summary, [tabindex], svg[role=img], progress')]
            .filter(each => each.checkVisibility())
            .filter(each => !(each.innerText?.trim() || each.getAttribute('aria-label')
              || document.getElementById(each.getAttribute('aria-labelledby')?.split(' ')[0])))
            .map(each => each.outerHTML.slice(0, 99))"""
    )
    assert unnamed == []
    charts = page.locator("figure").count()
    assert page.locator("figure details table").count() == charts == 7


def test_two_runs_from_start_to_stop(chromium: Browser, tmp_path: Path) -> None:
    arguments = ("--codes", "60", "--duration", "60", "--stop-timeout", "3")
    with (
        locust(tmp_path, *arguments, faults=("--lose", "0.02")) as (run, url),
        tab(chromium) as (page, console),
    ):
        page.goto(f"{url}/delivery")
        assert heading(page) == "No run yet"
        page.get_by_role("link", name="Locust", exact=True).click()
        start(page, 26)
        check_delivery_tab(page)

        page.get_by_role("link", name="Delivery page").click()
        expect(page.locator(".phases .now")).to_have_text("broadcast")
        first = run_id(page)
        check_refresh_preserves_open_tables(page)
        expect(page.locator("#chart-reach .stroke-s1").first).to_be_attached()
        check_layout(page)
        shot(page, "running-light")
        page.emulate_media(color_scheme="dark")
        shot(page, "running-dark")
        page.emulate_media(color_scheme="light")

        # The run is stopped in Locust's page; this page shows its end.
        other = page.context.new_page()
        other.goto(url)
        other.get_by_role("button", name="Stop").click()
        check_stopped_run(page, url)
        assert run_id(page) == first

        other.get_by_role("button", name="New").click()
        start(other, 11)
        expect(page.locator("header")).to_have_attribute("data-running", "yes")
        expect(page.locator("header b").first).not_to_have_text(first)
        expect(page.locator(".figure", has_text="Connections")).to_contain_text("of 10 asked for")
        check_theme_follows_locust(page, other)
        check_phone(chromium, url)
        assert console == []
        run.interrupt()
        outcome = run.finish()
        # A leader that is gone is said on the page, which still shows what was known.
        expect(page.locator("#lost")).to_be_visible(timeout=PATIENCE_MS)
        assert heading(page)
    assert outcome.stdout.count("Verdict") == 2


def check_delivery_tab(page: Page) -> None:
    """Check that the Delivery tab in Locust's page shows a code."""
    page.get_by_role("tab", name="Delivery").click()
    row = page.locator("tbody tr", has=page.locator("td:first-child", has_text=re.compile("^2$")))
    expect(row.locator("td").nth(2)).to_have_text("accepted", timeout=PATIENCE_MS)
    expect(row.locator("td").nth(3)).to_have_text("25")
    shot(page, "locust-tab")


def check_refresh_preserves_open_tables(page: Page) -> None:
    """Check that an open table stays open and focused while the page refreshes itself."""
    expect(page.locator(".verdict .headline")).to_contain_text("So far, ")
    table = page.locator("#chart-traffic details")
    table.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(table).to_have_attribute("open", "")
    rows = table.locator("tbody tr").count()
    expect(table.locator("tbody tr")).not_to_have_count(rows)
    expect(table).to_have_attribute("open", "")
    expect(table.locator("summary")).to_be_focused()


def check_stopped_run(page: Page, url: str) -> None:
    """Check the verdict, the links and the figures of a stopped run."""
    expect(page.locator("header")).to_have_attribute("data-running", "no")
    expect(page.locator(".verdict .headline")).not_to_contain_text("So far")
    expect(page.locator(".verdict")).to_contain_text("The run was ended in the broadcast phase")
    check_layout(page)
    for link in links(page):
        assert requests.get(link, timeout=PATIENCE).ok, link
    report = requests.get(f"{url}/delivery/report.json", timeout=PATIENCE).json()
    assert report["run"]["id"] == run_id(page)
    owed, delivered = (report["deliveries"][name] for name in ("owed", "delivered"))
    assert f"{delivered:,} of {owed:,} owed" in page.locator(".figure").first.inner_text()
    shot(page, "stopped-light")


def check_theme_follows_locust(page: Page, locust_page: Page) -> None:
    """Check that a theme chosen in Locust's page applies to this one, also after a reload."""
    before = page.evaluate("document.documentElement.dataset.theme ?? 'none'")
    locust_page.locator("header button").last.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert before == "none"
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def check_phone(chromium: Browser, url: str) -> None:
    """Check the page on a phone."""
    with tab(chromium, viewport=PHONE, has_touch=True, color_scheme="dark") as (phone, console):
        phone.goto(f"{url}/delivery")
        expect(phone.locator("#chart-traffic .fill-s1").first).to_be_attached()
        check_layout(phone)
        shot(phone, "phone-dark")
        assert console == []


def test_axe_finds_nothing_during_a_run_and_after_it(chromium: Browser, tmp_path: Path) -> None:
    arguments = ("--codes", "40", "--duration", "40", "--stop-timeout", "3")
    with locust(tmp_path, *arguments, faults=("--lose", "0.02")) as (_, url):
        requests.post(f"{url}/swarm", data={"user_count": 21, "spawn_rate": 50}, timeout=PATIENCE)
        for running in ("yes", "no"):
            for theme in ("light", "dark"):
                for screen in (LAPTOP, PHONE):
                    with tab(chromium, viewport=screen, color_scheme=theme) as (page, console):
                        page.goto(f"{url}/delivery")
                        expect(page.locator("header")).to_have_attribute(
                            "data-running", running, timeout=PATIENCE_MS
                        )
                        expect(page.locator("#chart-traffic .fill-s1").first).to_be_attached()
                        assert violations(page) == [], (running, theme, screen)
                        assert console == []
            requests.post(f"{url}/stop", timeout=PATIENCE)


def test_without_javascript_the_page_reloads_itself(chromium: Browser, tmp_path: Path) -> None:
    with (
        locust(tmp_path, "--codes", "60", "--duration", "60") as (_, url),
        tab(chromium, java_script_enabled=False) as (page, _),
    ):
        requests.post(f"{url}/swarm", data={"user_count": 6, "spawn_rate": 50}, timeout=PATIENCE)
        page.goto(f"{url}/delivery")
        codes = page.locator(".figure", has_text="Codes")
        before = codes.inner_text()
        expect(codes).not_to_have_text(before, use_inner_text=True, timeout=PATIENCE_MS)
        assert "owed" in page.locator("main").inner_text()


def test_base_path_login_and_hostile_names(chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text(LOGIN)
    arguments = (
        "-f", str(tmp_path / "locustfile.py"), "--web-base-path", "/load", "--web-login",
        "--target", "code-server", "--codes", "2", "--duration", "0.4",
    )  # fmt: skip
    with (
        locust(tmp_path, *arguments, path="/load") as (_, url),
        tab(chromium) as (page, console),
    ):
        assert requests.get(f"{url}/metrics", timeout=PATIENCE).url.startswith(f"{url}/login")
        page.goto(f"{url}/delivery")
        page.locator("input[name=username]").fill("somebody")
        page.locator("input[name=password]").fill("a password")
        page.locator("button[type=submit]").click()
        start(page, 6)
        page.goto(f"{url}/delivery")
        expect(page.locator("header")).to_have_attribute("data-running", "no")
        expect(page.locator("h1")).to_contain_text(
            "Every connected client received every code in time."
        )
        page.get_by_role("link", name="report.html").click()
        assert "Every connected client" in heading(page)
        page.go_back()

        # An unknown user: the page shows the name and the server's text as plain text.
        answer = page.request.post(
            f"{url}/swarm",
            form={"user_count": "6", "spawn_rate": "50", "username": HOSTILE},
        )
        assert answer.ok
        expect(page.locator(".trouble")).to_contain_text(HOSTILE)
        assert page.evaluate("window.stolen") is None
        assert page.locator("img").count() == 0
        page.reload()
        expect(page.locator(".trouble")).to_contain_text(HOSTILE)
        assert page.evaluate("window.stolen") is None

        # After a logout, the page redirects to the login.
        page.context.clear_cookies()
        page.wait_for_url(re.compile(r"/load/login"))
        assert [each for each in console if "stolen" in each or "Policy" in each] == []


def test_the_master_shows_the_work_of_its_workers(chromium: Browser, tmp_path: Path) -> None:
    arguments = ("--processes", "2", "--codes", "40", "--duration", "40", "--expect-workers", "2")
    with (
        locust(tmp_path, *arguments) as (run, url),
        tab(chromium) as (page, console),
    ):
        run.wait_until(
            lambda: (
                requests.get(f"{url}/worker-count", timeout=PATIENCE).json()["worker_count"] == 2
            ),
            "two workers",
        )
        page.goto(url)
        start(page, 9)
        page.get_by_role("tab", name="Delivery").click()
        row = page.locator(
            "tbody tr", has=page.locator("td:first-child", has_text=re.compile("^1$"))
        )
        expect(row.locator("td").nth(4)).to_have_text("8", timeout=PATIENCE_MS)
        page.goto(f"{url}/delivery")
        expect(page.locator("header")).to_contain_text("2 workers")
        expect(page.locator(".figure").first).to_contain_text("100 %")
        scraped = families(requests.get(f"{url}/metrics", timeout=PATIENCE).text)
        assert values(scraped["sseload_workers"]) == {(): 2}
        assert values(scraped["sseload_connections_open"]) == {(): 8}
        assert console == []


@pytest.mark.parametrize("width", [390, 320])
def test_a_report_fits_a_phone(chromium: Browser, tmp_path: Path, width: int) -> None:
    report = sample(**WORST)
    report.run.options = {
        "connect_concurrency_per_process": "a long setting, " * 9,
        "thresholds": "/a/long/path/without/any/blank/" * 9,
    }
    (tmp_path / "report.html").write_text(html.document(report), encoding="utf-8")
    with tab(chromium, viewport={"width": width, "height": 844}) as (page, _):
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
