"""`init --har` with recordings that Chromium made of pages that know nothing of sseload."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.servers.strangers.running import serving
from tests.support import browser as browsers
from tests.support.browser import tab
from tests.support.har_recorder import HarRecorder
from tests.support.runs import ROOT, SSELOAD, clean_environment

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

TEXT = "hello from the browser"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.browser() as started:
        yield started


def board(page: Page, host: str) -> None:
    """Log in by the form, and write to the board."""
    page.goto(f"{host}/login")
    page.fill("[name=username]", "ann")
    page.fill("[name=password]", "correct horse")
    page.click("button")
    page.wait_for_function("document.getElementById('posts').textContent.includes('following')")
    page.evaluate("(text) => post(text)", TEXT)
    page.wait_for_function(
        "(text) => document.getElementById('posts').textContent.includes(text)", arg=TEXT
    )


def announcement(page: Page, host: str) -> None:
    """Read notices by an event stream, and make one from a form."""
    page.goto(host)
    page.wait_for_function("source.readyState === 1")
    page.fill("[name=title]", "News")
    page.fill("[name=text]", TEXT)
    page.click("button")
    page.wait_for_function("document.body.textContent.includes('number')")


def guestbook(page: Page, host: str) -> None:
    """Enter by the form, and write an entry, both as multipart forms."""
    page.goto(host)
    page.fill("[name=guest]", "ann")
    page.fill("[name=password]", "correct & horse")
    page.click("button")
    page.wait_for_function("document.body.textContent.includes('connected')")
    page.evaluate("(text) => write(text)", TEXT)
    page.wait_for_function("(text) => document.body.textContent.includes(text)", arg=TEXT)


def kitchen(page: Page, host: str) -> None:
    """Join a room with Socket.IO's own client, and say something there."""
    page.goto(f"{host}/socket.io/socket.io.js")
    page.add_script_tag(url=f"{host}/socket.io/socket.io.js")
    page.evaluate("""() => new Promise((resolve) => {
        window.socket = io();
        window.heard = new Promise((heard) => socket.on('chat message', heard));
        socket.on('joined', resolve);
        socket.on('connect', () => socket.emit('join', 'kitchen'));
    })""")
    # The client begins with polling; what comes after the upgrade comes by WebSocket.
    page.wait_for_function("socket.io.engine.transport.name === 'websocket'")
    page.evaluate(
        """async (text) => {
        await fetch('/rooms/kitchen/say', {method: 'POST', body: JSON.stringify({
            from: 'ann', body: text})});
        await heard;
    }""",
        TEXT,
    )


def init(recording: Path, profile: Path, *further: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SSELOAD, "init", "--har", str(recording), "--out", str(profile), *further],
        check=False, cwd=recording.parent, env={**clean_environment(), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("program", "use"),
    [
        ("members.py", board),
        ("notices.py", announcement),
        ("lobby.js", kitchen),
        ("guestbook.py", guestbook),
    ],
    ids=["login and WebSocket", "page token and event stream", "Socket.IO", "multipart forms"],
)
def test_a_recording_of_chromium_gives_a_profile_that_fits(
    tmp_path: Path, chromium: Browser, program: str, use: Callable[[Page, str], None]
) -> None:
    recording, profile = tmp_path / "page.har", tmp_path / "mine.toml"
    with serving(program) as address, tab(chromium) as (page, _):
        recorder = HarRecorder(page)
        use(page, f"http://{address}")
        if program != "notices.py":
            recorder.wait_for(TEXT)
        recorder.write(recording)
    # Another process of the server knows no session and no token of the recording.
    with serving(program, int(address.rpartition(":")[2])):
        done = init(recording, profile)
    assert done.returncode == 0, (
        done.stdout + done.stderr + profile.read_text() if profile.exists() else done.stderr
    )
    assert "the profile fits the server" in done.stdout
    said = done.stdout + profile.read_text("utf-8")
    assert "correct horse" not in said
    assert "correct & horse" not in said


def test_a_recording_whose_form_has_a_file_is_refused_in_one_sentence(
    tmp_path: Path, chromium: Browser
) -> None:
    with serving("guestbook.py") as address, tab(chromium) as (page, _):
        recorder = HarRecorder(page)
        guestbook(page, f"http://{address}")
        recorder.wait_for(TEXT)
        page.evaluate("(text) => write(text, true)", "another text")
        page.wait_for_function("document.body.textContent.includes('another text')")
        recorder.wait_for("another text")
        recorder.write(tmp_path / "page.har")
    har = json.loads((tmp_path / "page.har").read_text("utf-8"))
    entries = har["log"]["entries"]
    entries[:] = [
        each
        for each in entries
        if not (each["request"]["method"] == "POST" and TEXT in json.dumps(each["request"]))
    ]
    (tmp_path / "page.har").write_text(json.dumps(har), "utf-8")
    done = init(tmp_path / "page.har", tmp_path / "mine.toml")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "The form of POST /entries has a file, which a profile cannot send" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "mine.toml").exists()


def sanitized(recording: Path, *, without: str = "") -> None:
    """Leave out of a recording what Chromium leaves out by default, and requests to a path."""
    har = json.loads(recording.read_text("utf-8"))
    entries = har["log"]["entries"]
    if without:
        entries[:] = [each for each in entries if not each["request"]["url"].endswith(without)]
    for entry in entries:
        for part in (entry["request"], entry["response"]):
            part["headers"] = [
                each
                for each in part["headers"]
                if each["name"].lower() not in ("cookie", "set-cookie", "authorization")
            ]
    recording.write_text(json.dumps(har), "utf-8")


def test_a_recording_without_cookies_logs_in_anew_or_says_what_is_missing(
    tmp_path: Path, chromium: Browser
) -> None:
    recording = tmp_path / "page.har"
    with serving("members.py") as address:
        with tab(chromium) as (page, _):
            recorder = HarRecorder(page)
            board(page, f"http://{address}")
            recorder.wait_for(TEXT)
            recorder.write(recording)
            (session,) = (
                each["value"] for each in page.context.cookies() if each["name"] == "session"
            )
        sanitized(recording)
        done = init(recording, tmp_path / "mine.toml")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the profile fits the server" in done.stdout
        # The page was recorded by somebody who had logged in before.
        sanitized(recording, without="/login")
        done = init(recording, tmp_path / "other.toml")
        given = init(recording, tmp_path / "given.toml", "--header", f"Cookie: session={session}")
    assert done.returncode == 1
    assert "has neither cookies nor Authorization headers" in done.stderr
    assert "“Allow to generate HAR with sensitive data”" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "other.toml").exists()
    assert given.returncode == 0, given.stdout + given.stderr
    assert session not in given.stdout + (tmp_path / "given.toml").read_text("utf-8")
