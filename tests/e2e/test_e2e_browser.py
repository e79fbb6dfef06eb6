"""What people look at, in a real browser: Locust's form and tab, /delivery, run after run.

With SSELOAD_SHOTS=DIR, pictures of what was looked at are left there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.support import browser as browsers
from tests.support.browser import PATIENCE_MS, PHONE, tab
from tests.support.metrics import families, values
from tests.support.runs import PATIENCE, Run, target
from tests.support.web_ui import web_ui

pytestmark = pytest.mark.e2e

HOSTILE = '<script>window.stolen=1</script><img src=x onerror="window.stolen=1">'

LOGIN = """
import os
from flask import Blueprint, redirect, session
from flask_login import UserMixin, login_user
from locust import events
from sseload_users import CodeBroadcaster, CodeListener


class Somebody(UserMixin):
    id = "somebody"


@events.init.add_listener
def login(environment, **_):
    ui = environment.web_ui
    ui.app.secret_key = "a test's"
    ui.login_manager.user_loader(lambda name: Somebody() if name == "somebody" else None)
    ui.auth_args = {"username_password_callback": "/load/enter"}
    enter = Blueprint("enter", __name__, url_prefix="/load")

    @enter.route("/enter", methods=["POST"])
    def let_in():
        login_user(Somebody())
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


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("SSELOAD_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def begin(page: Page, users: int) -> None:
    """Fill in Locust's form, and press its button."""
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


def looks_right(page: Page) -> None:
    """The basics for those who see, and for those who do not."""
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "it is wider than the screen"
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('a, summary, [tabindex], svg[role=img], progress')]
            .filter(each => each.checkVisibility())
            .filter(each => !(each.innerText?.trim() || each.getAttribute('aria-label')
              || document.getElementById(each.getAttribute('aria-labelledby')?.split(' ')[0])))
            .map(each => each.outerHTML.slice(0, 99))"""
    )
    assert unnamed == []
    charts = page.locator("figure").count()
    assert page.locator("figure details table").count() == charts == 6


def test_a_run_is_begun_watched_stopped_and_followed_by_another(
    chromium: Browser, tmp_path: Path
) -> None:
    words = ("--codes", "60", "--duration", "60", "--stop-timeout", "3")
    with (
        locust(tmp_path, *words, faults=("--lose", "0.02")) as (run, url),
        tab(chromium) as (page, complaints),
    ):
        # Before any run.
        page.goto(f"{url}/delivery")
        assert heading(page) == "No run yet"
        page.get_by_role("link", name="Locust", exact=True).click()
        begin(page, 26)

        # The tab fills.
        page.get_by_role("tab", name="Delivery").click()
        row = page.locator(
            "tbody tr", has=page.locator("td:first-child", has_text=re.compile("^2$"))
        )
        expect(row.locator("td").nth(2)).to_have_text("accepted", timeout=PATIENCE_MS)
        expect(row.locator("td").nth(3)).to_have_text("25")
        shot(page, "locust-tab")

        # The page goes on by itself, and leaves alone what its reader has opened.
        page.get_by_role("link", name="Delivery charts").click()
        expect(page.locator(".phases .now")).to_have_text("broadcast")
        first = run_id(page)
        expect(page.locator(".verdict .headline")).to_contain_text("So far, ")
        table = page.locator("#chart-traffic details")
        table.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(table).to_have_attribute("open", "")
        rows = table.locator("tbody tr").count()
        expect(table.locator("tbody tr")).not_to_have_count(rows)
        expect(table).to_have_attribute("open", "")
        expect(table.locator("summary")).to_be_focused()
        expect(page.locator("#chart-reach .stroke-s1").first).to_be_attached()
        looks_right(page)
        shot(page, "running-light")
        page.emulate_media(color_scheme="dark")
        shot(page, "running-dark")
        page.emulate_media(color_scheme="light")

        # It is stopped where it was begun; here one sees how it ended, and that it did.
        other = page.context.new_page()
        other.goto(url)
        other.get_by_role("button", name="Stop").click()
        expect(page.locator("header")).to_have_attribute("data-running", "no")
        expect(page.locator(".verdict .headline")).not_to_contain_text("So far")
        expect(page.locator(".verdict")).to_contain_text("It was ended in the broadcast phase")
        assert run_id(page) == first
        looks_right(page)
        for link in links(page):
            assert requests.get(link, timeout=PATIENCE).ok, link
        report = requests.get(f"{url}/delivery/report.json", timeout=PATIENCE).json()
        assert report["run"]["id"] == first
        owed, delivered = (report["deliveries"][name] for name in ("owed", "delivered"))
        figures = page.locator(".figure").first.inner_text()
        assert f"{delivered:,} of {owed:,} owed" in figures
        shot(page, "stopped-light")

        # Another one, of its own.
        other.get_by_role("button", name="New").click()
        begin(other, 11)
        expect(page.locator("header")).to_have_attribute("data-running", "yes")
        expect(page.locator("header b").first).not_to_have_text(first)
        expect(page.locator(".figure", has_text="Connections")).to_contain_text("of 10 asked for")

        # Whoever chose a theme in Locust's page has it here.
        was_dark = page.evaluate("document.documentElement.dataset.theme ?? 'none'")
        other.locator("header button").last.click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert was_dark == "none"
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")

        # On a phone.
        with tab(chromium, viewport=PHONE, has_touch=True, color_scheme="dark") as (phone, said):
            phone.goto(f"{url}/delivery")
            expect(phone.locator("#chart-traffic .fill-s1").first).to_be_attached()
            looks_right(phone)
            shot(phone, "phone-dark")
            assert said == []
        assert complaints == []
        run.interrupt()
        outcome = run.finish()
    assert outcome.stdout.count("Verdict") == 2


def test_without_a_script_the_page_comes_again_by_itself(chromium: Browser, tmp_path: Path) -> None:
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


def test_behind_a_path_and_a_login_and_with_hostile_words(
    chromium: Browser, tmp_path: Path
) -> None:
    (tmp_path / "locustfile.py").write_text(LOGIN)
    words = (
        "-f", str(tmp_path / "locustfile.py"), "--web-base-path", "/load", "--web-login",
        "--target", "code-server", "--codes", "2", "--duration", "0.4",
    )  # fmt: skip
    with (
        locust(tmp_path, *words, path="/load") as (_, url),
        tab(chromium) as (page, complaints),
    ):
        assert requests.get(f"{url}/metrics", timeout=PATIENCE).url.startswith(f"{url}/login")
        page.goto(f"{url}/delivery")
        page.locator("input[name=username]").fill("somebody")
        page.locator("input[name=password]").fill("a password")
        page.locator("button[type=submit]").click()
        begin(page, 6)
        page.goto(f"{url}/delivery")
        expect(page.locator("header")).to_have_attribute("data-running", "no")
        expect(page.locator("h1")).to_contain_text(
            "Every connected client received every code in time."
        )
        page.get_by_role("link", name="report.html").click()
        assert "Every connected client" in heading(page)
        page.go_back()

        # Whom nobody knows: the server's answer and the name are words on the page.
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

        # Whoever is logged out meanwhile is asked to log in again.
        page.context.clear_cookies()
        page.wait_for_url(re.compile(r"/load/login"))
        assert [each for each in complaints if "stolen" in each or "Policy" in each] == []


def test_the_master_shows_what_its_workers_do(chromium: Browser, tmp_path: Path) -> None:
    words = ("--processes", "2", "--codes", "40", "--duration", "40", "--expect-workers", "2")
    with (
        locust(tmp_path, *words) as (run, url),
        tab(chromium) as (page, complaints),
    ):
        run.wait_until(
            lambda: (
                requests.get(f"{url}/worker-count", timeout=PATIENCE).json()["worker_count"] == 2
            ),
            "two workers",
        )
        page.goto(url)
        begin(page, 9)
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
        assert complaints == []
