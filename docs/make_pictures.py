"""Generate the pictures in docs/pictures from real runs against the embedded target.

    make pictures

It takes four minutes and needs the development environment and Debian's chromium.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sseload_users.demo import process

_HERE = Path(__file__).parent
_OUT = _HERE / "pictures"
_LOCUST = Path(sys.executable).parent / "locust"

#: Small enough that a picture is readable at half its size.
_SIZE = {"width": 1120, "height": 860}
_PATIENCE_MS = 30_000


def main() -> None:
    """Generate all pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is missing: apt-get install chromium")
    _OUT.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _reports(browser, Path(folder))
        _capacity(browser, Path(folder))
        _audiences(browser, Path(folder))
        _live(browser)
        browser.close()
    for picture in sorted(_OUT.glob("*.png")):
        print(f"{picture.relative_to(_HERE.parent)}: {picture.stat().st_size / 1000:.0f} kB")


def _reports(browser: Browser, folder: Path) -> None:
    """Take pictures of report.html and of a comparison."""
    before, after = folder / "before", folder / "after"
    size = ("200", "20", "8")
    _run(before, (), *size)
    _run(after, ("--cost-per-delivery", "0.0001", "--lose", "0.003"), *size)
    compared = folder / "compared.html"
    subprocess.run(  # noqa: S603 - this program itself
        [sys.executable, "-m", "sseload_users", "compare", str(before), str(after),
         "--html", str(compared)],
        stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    with _page(browser) as page:
        page.goto((after / "report.html").as_uri())
        _shoot(page, "report")
        page.goto(compared.as_uri())
        _shoot(page, "compare")


def _capacity(browser: Browser, folder: Path) -> None:
    """Take pictures of a ladder and a storm in report.html."""
    config = _HERE.parent / "config"
    ladder, storm = folder / "ladder", folder / "storm"
    _run(ladder, ("--max-connections", "180"), "--config", str(config / "ladder.conf"),
         "--duration", "4")  # fmt: skip
    _run(storm, ("--cost-per-delivery", "0.0001"), "--config", str(config / "storm.conf"),
         "-u", "301", "--duration", "20", "--storm-after", "8", "--storm-jitter", "4")  # fmt: skip
    with _page(browser) as page:
        page.goto((ladder / "report.html").as_uri())
        _shoot(page, "ladder")
        _shoot(page, "ladder-server", heading="Connections")
        page.goto((storm / "report.html").as_uri())
        _shoot(page, "storm", heading="Connections")


def _audiences(browser: Browser, folder: Path) -> None:
    """Take pictures of channels, of nodes, and of a rolling deploy in report.html."""
    rooms, nodes, deploy = folder / "rooms", folder / "nodes", folder / "deploy"
    _run_embedded(
        rooms, "--leak 0.0005 --lose 0.002", "--config", "rooms", "--channel-churn", "0",
        "--duration", "8",
    )  # fmt: skip
    _run_embedded(nodes, "--nodes 3 --backplane none", "150", "30", "8", "--target", "websocket")
    _run_embedded(
        deploy, "--nodes 3 --restart-after 3 --restart-away 2", "--config", "deploy",
        "--duration", "24",
    )  # fmt: skip
    with _page(browser) as page:
        page.goto((rooms / "report.html").as_uri())
        _shoot(page, "channels", heading="Channel by channel")
        page.goto((nodes / "report.html").as_uri())
        _shoot(page, "nodes", heading="Nodes")
        page.goto((deploy / "report.html").as_uri())
        _shoot(page, "deploy", heading="Connections")


def _run_embedded(folder: Path, options: str, *words: str) -> None:
    """Run against the embedded target with these options of its own."""
    subprocess.run(  # noqa: S603 - this program itself
        [sys.executable, "-m", "sseload_users", *words, f"--embedded={options}",
         "--delivery-report", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def _run(folder: Path, faults: tuple[str, ...], *words: str) -> None:
    with process.start(*faults) as server:
        port = server.url.rpartition(":")[2]
        subprocess.run(  # noqa: S603 - this program itself
            [sys.executable, "-m", "sseload_users", *words, "--target", "websocket",
             "--host", server.url, "--watch-process", f":{port}",
             "--delivery-report", str(folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip


def _live(browser: Browser) -> None:
    """Take pictures of the form, and of a run in progress: the tab in Locust's page, /delivery."""
    with (
        process.start("--drop", "0.0004", "--cost-per-delivery", "0.00002") as server,
        _locust(server.url) as url,
        _page(browser) as page,
    ):
        page.goto(f"{url}/delivery/new")
        page.get_by_label("Connections", exact=True).fill("300")
        page.locator("summary", has_text="Connections").click()
        _shoot(page, "form")
        page.get_by_role("button", name="Start the run").click()
        page.goto(url)
        page.get_by_role("tab", name="Delivery").click()
        expect(page.locator("tbody tr").nth(13)).to_be_visible(timeout=_PATIENCE_MS)
        _shoot(page, "tab")
        page.goto(f"{url}/delivery")
        expect(page.locator("#chart-reach .stroke-s1").first).to_be_attached()
        time.sleep(5)
        _shoot(page, "delivery")
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 420, "height": 860})
        _shoot(page, "delivery-phone")


@contextmanager
def _locust(host: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen(  # noqa: S603 - Locust from this environment
        [_LOCUST, "--web-host", "127.0.0.1", "--web-port", str(port), "--host", host,
         "--target", "websocket", "--codes", "60", "--duration", "60", "--reconnect",
         "--spawn-rate", "60"],
        cwd=_HERE.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not _answers(url):
            if time.monotonic() > deadline:
                sys.exit(f"{_LOCUST} does not answer.")
            time.sleep(0.2)
        yield url
    finally:
        child.terminate()
        child.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@contextmanager
def _page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport=_SIZE, color_scheme="light") as context:  # type: ignore[arg-type]
        context.set_default_timeout(_PATIENCE_MS)
        yield context.new_page()


def _shoot(page: Page, name: str, heading: str | None = None) -> None:
    """Take a picture of the window, optionally scrolled to a heading."""
    if heading is not None:
        top = page.get_by_role("heading", name=heading, exact=True)
        top.evaluate("each => scrollTo(0, each.getBoundingClientRect().top + scrollY - 24)")
    page.screenshot(path=_OUT / f"{name}.png")


if __name__ == "__main__":
    main()
