"""A real browser: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

#: How long a page may take, in milliseconds.
PATIENCE_MS = 60_000

LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def chromium() -> str:
    """The path of Chromium; without it, tests are skipped, or fail in CI."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is missing: apt-get install chromium")
        pytest.skip("chromium is not installed")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser."""
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
        )
        try:
            yield started
        finally:
            started.close()


@contextmanager
def tab(browser: Browser, **context: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page with its own profile, and the messages on its console."""
    with browser.new_context(**{"viewport": LAPTOP, **context}) as profile:
        profile.set_default_timeout(PATIENCE_MS)
        page = profile.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: _add(message, complaints))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        yield page, complaints


def shot(page: Page, name: str) -> None:
    """Leave a screenshot in the folder that SSELOAD_SHOTS names, if it does."""
    if folder := os.environ.get("SSELOAD_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def _add(message: ConsoleMessage, complaints: list[str]) -> None:
    # Chromium gives advice on Locust's own form, such as on how password fields are completed.
    kind: str = message.type
    if kind != "verbose":
        complaints.append(f"{kind}: {message.text}")
