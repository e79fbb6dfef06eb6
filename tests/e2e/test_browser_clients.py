"""Chromium's EventSource and WebSocket, and sseload's, side by side at the same servers.

What the browser receives, sseload must receive; where the browser fails, sseload must fail. The
server counts what each of them requested and was sent.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support import browser as browsers
from tests.support.npm import node_environment, require_npm_packages
from tests.support.parallel import selected_params
from tests.support.runs import QUICK, Outcome, run

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES, CODES_PER_STREAM = 3, 6, 2
PROGRAM = Path(__file__).parents[1] / "servers" / "browser_cases_node.js"
WEBSOCKETS = {"deflated", "unrequested", "moved"}
#: Seconds of the broadcast, where it must go on until all connections have tried to come back.
SECONDS = {"gone": "3"}
#: Further options of the runs.
OPTIONS = {"gone": ("--reconnect",), "resumed": ("--reconnect", "--delivery-timeout", "5")}

PROFILE = """
transport = "{transport}"
guarantee = "{guarantee}"
connect = {{ path = "/{path}", query = {{ client = "sseload" }} }}
code = {{ field = "code" }}
ingest = {{ method = "POST", path = "/codes", body = {{ code = "{{code}}" }} }}
"""

#: Starts a client in a page; `seen` is what it has received.
CLIENT = """path => {
    window.seen = { codes: [], opened: 0, errors: 0 };
    const url = new URL(`${path}?client=browser`, location.href);
    if (path === "/ws") {
        url.protocol = "ws:";
        window.client = new WebSocket(url);
    } else {
        window.client = new EventSource(url);
    }
    client.onopen = () => { seen.opened += 1; };
    client.onerror = () => { seen.errors += 1; };
    client.onmessage = ({ data }) => { seen.codes.push(JSON.parse(data).code); };
}"""
#: WebSocket and EventSource number their states differently.
CLOSED = "client.readyState === client.CLOSED"


@dataclass(frozen=True)
class Counts:
    """What the server knows of a client.

    Attributes:
        requests: for a stream or WebSocket, whatever became of them.
        redirected: the requests that were redirected.
        opened: the requests that opened a stream or WebSocket.
        refused: the requests that got status 204.
        sent: codes.
        resumed: the `Last-Event-ID` of each request that had one.
        negotiated: the extensions of each WebSocket.
    """

    requests: int
    redirected: int
    opened: int
    refused: int
    sent: int
    resumed: list[str]
    negotiated: list[str]


@dataclass(frozen=True)
class Meeting:
    """A browser's page and a run of sseload that were connected to a server at the same time."""

    url: str
    page: Page
    outcome: Outcome

    def wait(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        self.page.wait_for_function(condition)

    def seen(self, name: str) -> Any:
        """Return what the page's client has received: its codes, or the number of events."""
        return self.page.evaluate(f"seen.{name}")

    def truth(self, client: str) -> Counts:
        """Return what the server knows of "browser" or "sseload"."""
        return Counts(**truth(self.url)[client])

    @property
    def deliveries(self) -> dict[str, int]:
        """The run's account."""
        found: dict[str, int] = self.outcome.report["deliveries"]
        return found

    @property
    def connections(self) -> dict[str, Any]:
        """The run's connections."""
        found: dict[str, Any] = self.outcome.report["connections"]
        return found


def truth(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/truth", timeout=10) as response:
        found: dict[str, Any] = json.load(response)
    return found


@contextlib.contextmanager
def servers() -> Iterator[dict[str, str]]:
    """Run a server for each case; yield their URLs; skip the tests without Node."""
    require_npm_packages()
    child = subprocess.Popen(
        ["node", str(PROGRAM)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=node_environment(),
    )
    assert child.stdout is not None
    try:
        ports = json.loads(child.stdout.readline())
        yield {case: f"http://127.0.0.1:{port}" for case, port in ports.items()}
    finally:
        child.kill()
        child.wait(15)
        child.stdout.close()


def connect(page: Page, url: str, path: str) -> None:
    """Start the page's client; return when its request was answered."""
    page.goto(f"{url}/page")
    page.evaluate(CLIENT, f"/{path}")
    page.wait_for_function("seen.opened || seen.errors")


@pytest.fixture(scope="module")
def meetings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[str, Page, Future[Outcome]]]]:
    """Connect a page for each selected case, and start its run; two run at a time."""
    folder = tmp_path_factory.mktemp("meetings")

    def play(case: str, url: str, path: str) -> Outcome:
        profile = folder / f"{case}.toml"
        transport = "websocket" if path == "ws" else "sse"
        guarantee = "resume" if case == "resumed" else "live"
        profile.write_text(PROFILE.format(transport=transport, guarantee=guarantee, path=path))
        return run(
            folder / case, str(CONNECTIONS), str(CODES), SECONDS.get(case, "1"),
            "--target", str(profile), "--host", url, *QUICK, *OPTIONS.get(case, ()),
        )  # fmt: skip

    with (
        servers() as urls,
        browsers.browser() as chromium,
        contextlib.ExitStack() as pages,
        ThreadPoolExecutor(2) as pool,
    ):
        started = {}
        for case in (params["meeting"] for params in selected_params(request)):
            page, _ = pages.enter_context(browsers.tab(chromium))
            path = "ws" if case in WEBSOCKETS else "stream"
            connect(page, urls[case], path)
            started[case] = (urls[case], page, pool.submit(play, case, urls[case], path))
        yield started


@pytest.fixture
def meeting(
    request: pytest.FixtureRequest, meetings: dict[str, tuple[str, Page, Future[Outcome]]]
) -> Meeting:
    url, page, outcome = meetings[request.param]
    return Meeting(url, page, outcome.result())


def at(case: str) -> pytest.MarkDecorator:
    """Run a test with the server of this case; see browser_cases_node.js."""
    return pytest.mark.parametrize("meeting", [case], indirect=True)


def check_both_received_all(meeting: Meeting) -> None:
    meeting.wait(f"seen.codes.length >= {CODES}")
    assert meeting.truth("browser").sent == len(set(meeting.seen("codes"))) == CODES
    sent = meeting.truth("sseload").sent
    assert sent == meeting.deliveries["owed"] == CONNECTIONS * CODES
    assert meeting.outcome.report["codes"]["accepted"] == CODES
    assert meeting.outcome.reasons == {}


def check_neither_connected(meeting: Meeting, operation: str, cause: str) -> None:
    meeting.wait(CLOSED)
    assert (meeting.seen("opened"), meeting.seen("codes")) == (0, [])
    assert meeting.truth("browser").requests == 1
    assert meeting.truth("sseload").requests == CONNECTIONS
    assert meeting.connections["failed"] == CONNECTIONS
    assert meeting.outcome.causes == {(operation, cause): CONNECTIONS}
    assert meeting.outcome.status != 0


@at("flushed")
def test_both_receive_a_compressed_stream_that_is_flushed(meeting: Meeting) -> None:
    check_both_received_all(meeting)
    assert meeting.deliveries["delivered"] == CONNECTIONS * CODES
    assert meeting.outcome.report["compression"]["negotiated"] == {"gzip": CONNECTIONS}


@at("unflushed")
def test_neither_receives_a_compressed_stream_that_is_never_flushed(meeting: Meeting) -> None:
    for client, connections in (("browser", 1), ("sseload", CONNECTIONS)):
        counts = meeting.truth(client)
        assert (counts.opened, counts.sent) == (connections, connections * CODES)
    assert (meeting.seen("opened"), meeting.seen("codes")) == (1, [])
    assert meeting.connections["succeeded"] == CONNECTIONS
    assert meeting.deliveries["missing"] == meeting.deliveries["owed"] == CONNECTIONS * CODES
    assert meeting.outcome.grade == "issues"


@at("redirected")
def test_both_follow_a_stream_to_where_it_has_moved(meeting: Meeting) -> None:
    check_both_received_all(meeting)
    assert meeting.deliveries["delivered"] == CONNECTIONS * CODES
    for client, connections in (("browser", 1), ("sseload", CONNECTIONS)):
        counts = meeting.truth(client)
        assert counts.redirected == counts.opened == connections


@at("gone")
def test_neither_comes_back_to_a_stream_after_status_204(meeting: Meeting) -> None:
    meeting.wait(CLOSED)
    assert len(meeting.seen("codes")) == CODES_PER_STREAM
    assert meeting.deliveries["delivered"] == CONNECTIONS * CODES_PER_STREAM
    assert meeting.connections["ended"] == CONNECTIONS
    for client, connections in (("browser", 1), ("sseload", CONNECTIONS)):
        counts = meeting.truth(client)
        assert counts.sent == connections * CODES_PER_STREAM
        assert (counts.opened, counts.refused) == (connections, connections)
        assert counts.requests == 2 * connections


@at("resumed")
def test_both_resume_a_stream_after_the_last_event(meeting: Meeting) -> None:
    meeting.wait(f"seen.codes.length >= {CODES}")
    assert meeting.truth("browser").sent == len(set(meeting.seen("codes"))) == CODES
    assert meeting.truth("sseload").sent == meeting.deliveries["owed"] == CONNECTIONS * CODES
    assert meeting.deliveries["delivered"] >= CONNECTIONS * CODES_PER_STREAM
    assert meeting.deliveries["recovered"] > 0
    assert meeting.deliveries["missing"] == meeting.deliveries["interrupted"] == 0
    assert meeting.outcome.report["diagnosis"] == []
    for client, connections in (("browser", 1), ("sseload", CONNECTIONS)):
        counts = meeting.truth(client)
        assert counts.resumed == [str(CODES_PER_STREAM)] * connections
        assert counts.requests == counts.opened == 2 * connections


@at("deflated")
def test_both_negotiate_permessage_deflate(meeting: Meeting) -> None:
    check_both_received_all(meeting)
    assert meeting.deliveries["delivered"] == CONNECTIONS * CODES
    negotiated = meeting.page.evaluate("client.extensions")
    assert negotiated.startswith("permessage-deflate")
    assert meeting.outcome.report["compression"]["negotiated"] == {negotiated: CONNECTIONS}
    assert meeting.truth("browser").negotiated == ["permessage-deflate"]
    assert meeting.truth("sseload").negotiated == ["permessage-deflate"] * CONNECTIONS


@at("unrequested")
def test_neither_accepts_a_subprotocol_that_was_not_offered(meeting: Meeting) -> None:
    check_neither_connected(meeting, "handshake", "bad handshake answer")
    for client, connections in (("browser", 1), ("sseload", CONNECTIONS)):
        assert meeting.truth(client).opened == connections


@at("moved")
def test_neither_follows_a_websocket_to_where_it_has_moved(meeting: Meeting) -> None:
    check_neither_connected(meeting, "handshake", "redirected: HTTP 307")
    for client, connections in (("browser", 1), ("sseload", CONNECTIONS)):
        counts = meeting.truth(client)
        assert (counts.redirected, counts.opened) == (connections, 0)
