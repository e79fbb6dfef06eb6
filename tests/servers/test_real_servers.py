"""Runs against third-party servers and the embedded target: every code is delivered."""

from __future__ import annotations

import contextlib
import csv
import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sseload_users.core.config_path import config_path
from sseload_users.demo import process
from tests.servers.nchan import Nchan, missing, nchan
from tests.servers.socketio_servers import socketio_server
from tests.support.runs import QUICK, Outcome, run
from tests.support.socket_servers import CERTIFICATES

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES = 300, 4
TRUSTED = ("--ca-file", str(CERTIFICATES / "ca.pem"))


@dataclass(frozen=True)
class Place:
    """Where a run goes.

    Attributes:
        server: what is there: "embedded", "nchan", "nchan tls", "python" or "node".
        profile: by which it is spoken to.
        greeted: messages without a code that each connection gets.
        confirmed: there is a message that confirms the subscription.
    """

    server: str
    profile: str
    greeted: int = 0
    confirmed: bool = False

    def __str__(self) -> str:
        return f"{self.server}, {self.profile}"


PLACES = [
    Place("python", "socketio"),
    Place("node", "socketio"),
    Place("node 2", "socketio2"),
    Place("nchan", "nchan"),
    Place("nchan", "nchan-sse"),
    Place("nchan tls", "nchan"),
    Place("nchan tls", "nchan-sse"),
    Place("embedded", "websocket", confirmed=True),
    Place("embedded", "sse", confirmed=True),
    # Its greeting is an ordinary event; Socket.IO's acknowledgement confirms.
    Place("embedded", "code-server", greeted=1),
    Place("embedded", "code-server-socket", greeted=1),
    Place("embedded", "code-server-sse", confirmed=True),
]
#: What profiles leave open.
VALUES = dict.fromkeys(
    ("code-server-socket", "code-server-sse"), ("--value", "ingest_token=demo-ingest-token")
)


@contextlib.contextmanager
def nginx() -> Iterator[Nchan]:
    """Run nginx with nchan; skip the test if it is not installed."""
    if (why := missing()) is not None:
        assert os.environ.get("CI") != "true", why
        pytest.skip(why)
    with nchan() as running:
        yield running


@contextlib.contextmanager
def serving(server: str) -> Iterator[str]:
    """Run a server and yield its URL."""
    if server == "embedded":
        with process.start() as embedded:
            yield embedded.url
    elif server.startswith("nchan"):
        with nginx() as running:
            yield running.origin(tls=server.endswith("tls"))
    else:
        with socketio_server(server) as other:
            yield f"http{other.url.removeprefix('ws').partition('/socket.io')[0]}"


@dataclass(frozen=True)
class Played:
    """The outcomes of a run and of a check after it, with Locust's table of the run."""

    load: Outcome
    check: Outcome
    requests: dict[tuple[str, str], int]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Place, Future[Played]]]:
    """Start the selected runs, a few at a time; they mostly wait."""

    folder = tmp_path_factory.mktemp("runs")

    def one(place: Place) -> Played:
        with serving(place.server) as url:
            words = (
                "--target",
                place.profile,
                "--host",
                url,
                *TRUSTED,
                *VALUES.get(place.profile, ()),
            )
            load = run(
                folder / str(place) / "load",
                str(CONNECTIONS), str(CODES), "1", "-r", "400", *QUICK, *words,
                "--csv", str(folder / str(place)),
            )  # fmt: skip
            check = run(folder / str(place) / "check", "check", *words, report=False)
        with (folder / f"{place}_stats.csv").open(newline="") as file:
            requests = {
                (row["Type"], row["Name"]): int(row["Request Count"])
                for row in csv.DictReader(file)
            }
        return Played(load, check, requests)

    asked = {
        item.callspec.params["place"]: None
        for item in request.session.items
        if item.parent is request.node and hasattr(item, "callspec")
    }
    with ThreadPoolExecutor(4) as pool:
        yield {place: pool.submit(one, place) for place in asked}


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_every_code_is_delivered(runs: dict[Place, Future[Played]], place: Place) -> None:
    outcome = runs[place].result().load
    assert outcome.status == 0, outcome.stderr
    assert outcome.reasons == {}
    report = outcome.report
    assert report["errors"]["failed"] == 0
    assert report["connections"]["succeeded"] == report["connections"]["attempted"] == CONNECTIONS
    assert report["codes"]["accepted"] == CODES
    deliveries = report["deliveries"]
    assert deliveries["owed"] == deliveries["delivered"] == CONNECTIONS * CODES
    assert deliveries["foreign"] == CONNECTIONS * place.greeted
    for none in ("duplicate", "out_of_order", "unexpected", "malformed", "released"):
        assert deliveries[none] == 0, none
    assert report["received_per_connection"] == {str(CODES): CONNECTIONS}
    assert report["run"]["complete"] is True
    assert report["run"]["notes"] == []
    kind = {"websocket": "WS", "socketio": "SIO", "sse": "SSE"}[report["run"]["transport"]]
    by_request = {("POST", "ingest"): CODES}
    over_socketio = {("SIO", "ingest connect"): 1, ("SIO", "ingest"): CODES}
    requests = {
        (kind, "connect"): CONNECTIONS,
        (kind, "code"): CONNECTIONS * CODES,
        **(over_socketio if place.profile in VALUES else by_request),
    }
    requests["", "Aggregated"] = sum(requests.values())
    assert runs[place].result().requests == requests


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_check_prints_every_step(runs: dict[Place, Future[Played]], place: Place) -> None:
    outcome = runs[place].result().check
    assert outcome.status == 0, outcome.stdout
    assert outcome.stderr == ""
    steps = re.findall(r"^ *[\d,]+ ms  (\S+) ", outcome.stdout, re.MULTILINE)
    before = {
        "websocket": ["health"],
        "sse": ["health"],
        "code-server": ["health", "verify"],
        "code-server-socket": ["health"],
        "code-server-sse": ["health", "before"],
    }
    publish = ["publish"] if place.profile in VALUES else []
    assert steps == [
        "profile", *before.get(place.profile, []), "connect", "settle", *publish,
        "send", "receive", "send", "receive", "ok",
    ]  # fmt: skip
    assert ("and the server confirmed each" in outcome.stdout) is place.confirmed


def test_messages_stored_by_nchan_are_unexpected(tmp_path: Path) -> None:
    profile = tmp_path / "oldest.toml"
    text = config_path("targets/nchan.toml").read_text("utf-8")
    profile.write_text(text.replace('path = "/sub"', 'path = "/sub-oldest"'))
    with nginx() as server:
        # All connections return after some codes have been sent.
        outcome = run(
            tmp_path / "run", "20", "4", "4", *QUICK, "--target", str(profile),
            "--host", server.origin(), "--storm-after", "1.5",
        )  # fmt: skip
    deliveries = outcome.report["deliveries"]
    assert outcome.report["connections"]["succeeded"] == 40
    assert deliveries["delivered"] == deliveries["owed"]
    # Two codes were sent before the storm; some may have been sent in a gap.
    assert deliveries["unexpected"] >= 20
    assert deliveries["foreign"] == deliveries["duplicate"] == 0
    assert outcome.reasons == {"unexpected": "warning"}


def test_codes_of_another_run_on_the_channel_are_foreign(tmp_path: Path) -> None:
    def one(name: str, profile: str) -> Outcome:
        return run(
            tmp_path / name, "20", "8", "3", *QUICK, "--target", profile,
            "--host", server.origin(),
        )  # fmt: skip

    with nginx() as server, ThreadPoolExecutor(2) as pool:
        both = [pool.submit(one, *each) for each in (("a", "nchan"), ("b", "nchan-sse"))]
        outcomes = [each.result() for each in both]
    for outcome in outcomes:
        assert outcome.reasons == {}
        deliveries = outcome.report["deliveries"]
        assert deliveries["owed"] == deliveries["delivered"] == 160
        assert deliveries["foreign"] > 0
        assert deliveries["unexpected"] == deliveries["duplicate"] == 0
    ids = {outcome.report["run"]["id"] for outcome in outcomes}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-z]+", each) for each in ids)
