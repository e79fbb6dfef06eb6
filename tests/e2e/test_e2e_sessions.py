"""What becomes of sessions in real runs: dropped, made again, idle for long, read slowly."""

from __future__ import annotations

import csv
import json
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sseload_users.core.config_path import config_path
from sseload_users.demo.record import Record
from tests.support.ground_truth import expected_figures, reported_figures
from tests.support.runs import QUICK, Outcome, run, run_against_target
from tests.support.socket_servers import read_until, serving

pytestmark = pytest.mark.e2e

CONNECTIONS, CODES, QUARTER = 24, 4, 6


@dataclass(frozen=True)
class Case:
    """One run.

    Attributes:
        profile: a built-in one.
        faults: the target's options.
        words: the run's further options.
        changed: what is different in the profile.
        duration: seconds over which the codes are spread.
        size: how many connections and codes.
    """

    profile: str
    faults: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    duration: int = 1
    size: tuple[int, int] = (CONNECTIONS, CODES)


DROPPED = {
    "websocket": "closed by server: 1012",
    "code-server": "closed by server: 1012",
    "sse": "end of stream",
}
#: More than the kernels hold for a connection, if it is sent a few times.
PAD = "x" * 900_000
BIG = ('"source" = "load-test" }', f'"source" = "load-test", "metadata" = {{ "pad" = "{PAD}" }} }}')
UPKEEP = ("every = 30 #", "every = 0.4 #")

TOKEN = ("--value", "ingest_token=demo-ingest-token")

CASES = {
    **{
        f"reconnect, {name}": Case(
            name,
            ("--drop", "0.25", "--drop-code", "1012", "--drop-after", "3"),
            ("--reconnect",),
            duration=6,
        )
        for name in DROPPED
    },
    "heartbeats missed": Case(
        "code-server",
        ("--drop", "0.25", "--drop-how", "silent", "--ping-interval", "0.5",
         "--ping-timeout", "1.5"),
        ("--reconnect",),
        duration=6,
    ),
    "attempts": Case("websocket", ("--refuse", "0.25"), ("--connect-attempts", "5")),
    "too few attempts": Case("code-server", ("--refuse", "1"), ("--connect-attempts", "2")),
    "idle by Socket.IO": Case(
        "code-server", ("--ping-interval", "0.2", "--ping-timeout", "0.6"), duration=5
    ),
    "idle by an event stream": Case("sse", ("--sse-ping", "0.2"), duration=5),
    "kept alive": Case(
        "code-server-sse", ("--pong-timeout", "1.4"), TOKEN, changed=(UPKEEP,), duration=5
    ),
    "not kept alive": Case("code-server-sse", ("--pong-timeout", "1.4"), TOKEN, duration=5),
    "slow": Case(
        "code-server",
        words=("--slow-share", "0.25", "--slow-rate", "300000"),
        changed=(BIG,),
        size=(8, 7),
    ),
}  # fmt: skip

Played = tuple[Outcome, Record]


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Played]]]:
    """All runs, a few at a time: mostly they wait."""
    folder = tmp_path_factory.mktemp("runs")

    def one(name: str, case: Case) -> Played:
        own, profile = folder / name, case.profile
        own.mkdir()
        if case.changed:
            text = config_path(f"targets/{profile}.toml").read_text("utf-8")
            for old, new in case.changed:
                assert text.count(old) == 1
                text = text.replace(old, new)
            (own / "mine.toml").write_text(text, "utf-8")
            profile = str(own / "mine.toml")
        return run_against_target(
            own / "run", *map(str, (*case.size, case.duration)), *QUICK,
            "--target", profile, *case.words, faults=case.faults,
        )  # fmt: skip

    with ThreadPoolExecutor(5) as pool:
        longest_first = sorted(CASES, key=lambda name: -CASES[name].duration)
        played = {name: pool.submit(one, name, CASES[name]) for name in longest_first}
        yield played


def causes(outcome: Outcome) -> dict[tuple[str, str], int]:
    return {
        (each["operation"], each["cause"]): each["count"]
        for each in outcome.report["errors"]["causes"]
    }


@pytest.mark.parametrize("name", DROPPED)
def test_who_is_dropped_comes_back_and_the_cause_is_told(
    runs: dict[str, Future[Played]], name: str
) -> None:
    outcome, truth = runs[f"reconnect, {name}"].result()
    right = expected_figures(outcome.report, truth, scheduled=CODES, reconnecting=True)
    if name == "code-server":
        right["deliveries"]["foreign"] += right["connections"]["succeeded"]
    assert reported_figures(outcome.report, right) == right
    connections = outcome.report["connections"]
    # All of them are back before the last code.
    assert connections["dropped"] == connections["reconnected"] == QUARTER
    assert causes(outcome) == {("session", DROPPED[name]): QUARTER}
    assert connections["recovery_ms"]["count"] == QUARTER
    assert 0 < connections["recovery_ms"]["p50"] < 3000
    rows = outcome.table("connections")
    assert Counter((row["sessions"], row["drops"]) for row in rows) == {
        ("1", "0"): CONNECTIONS - QUARTER,
        ("2", "1"): QUARTER,
    }
    assert {row["last_cause"] for row in rows} == {"", f"session: {DROPPED[name]}"}
    assert f"{QUARTER}  {DROPPED[name]}  session" in outcome.stdout
    assert f"{QUARTER} dropped · {QUARTER} reconnected" in outcome.stdout


def test_missed_heartbeats_are_a_cause_of_their_own(runs: dict[str, Future[Played]]) -> None:
    outcome, _ = runs["heartbeats missed"].result()
    (cause,) = causes(outcome).items()
    assert cause[0] == ("session", "heartbeat missed")
    assert cause[1] >= QUARTER
    assert outcome.report["connections"]["reconnected"] >= QUARTER - 2


def test_attempts_are_made_as_often_as_allowed(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["attempts"].result()
    connections = outcome.report["connections"]
    assert connections["succeeded"] == CONNECTIONS
    refused = sum(each.refused is not None for each in truth.connections.values())
    assert causes(outcome) == {("handshake", "HTTP 503"): refused}
    assert refused == connections["failed"] >= QUARTER
    assert outcome.report["deliveries"]["delivered"] == CONNECTIONS * CODES
    assert all(row["connected"] == "yes" for row in outcome.table("connections"))

    outcome, truth = runs["too few attempts"].result()
    assert outcome.report["connections"]["attempted"] == len(truth.connections) == 2 * CONNECTIONS
    assert outcome.report["connections"]["succeeded"] == 0
    assert outcome.status == 1


@pytest.mark.parametrize("name", ["idle by Socket.IO", "idle by an event stream", "kept alive"])
def test_idle_connections_stay(runs: dict[str, Future[Played]], name: str) -> None:
    outcome, truth = runs[name].result()
    assert outcome.status == 0
    assert "Verdict  ✓ GOOD" in outcome.stdout
    # Not the harness's: its books know no requests that keep sessions alive.
    report = json.loads((outcome.folder / "report.json").read_text("utf-8"))
    assert report["connections"]["dropped"] == report["errors"]["failed"] == 0
    assert report["deliveries"]["delivered"] == CONNECTIONS * CODES
    kept_alive = report["errors"]["operations"] - CONNECTIONS - CODES
    assert (kept_alive >= 5 * CONNECTIONS) is (name == "kept alive")
    assert not any(each.dropped for each in truth.connections.values())


def test_who_does_not_say_that_it_is_still_there_gets_no_more_codes(
    runs: dict[str, Future[Played]],
) -> None:
    outcome, truth = runs["not kept alive"].result()
    right = expected_figures(outcome.report, truth, scheduled=CODES)
    assert outcome.report["connections"]["dropped"] == 0
    assert outcome.report["deliveries"]["missing"] == right["deliveries"]["missing"]
    assert outcome.report["deliveries"]["missing"] >= CONNECTIONS
    assert outcome.reasons == {"codes_received": "issues"}


def test_slow_readers_make_the_server_wait_and_harm_nobody_else(
    runs: dict[str, Future[Played]],
) -> None:
    outcome, truth = runs["slow"].result()
    report = outcome.report
    (note,) = report["run"]["notes"]
    assert note == (
        "2 connections read slowly, at 300,000 bytes a second (--slow-share): what they had not "
        "read by the end is missing."
    )
    received = {
        int(row["connection"]): int(row["delivered"]) for row in outcome.table("connections")
    }
    slow = {number for number, codes in received.items() if codes < 7}
    assert slow == {4, 8}
    assert all(codes == 7 for number, codes in received.items() if number not in slow)
    # What the kernels had no room for, the server still had when the run was over.
    unwritten = Counter(number for code in truth.codes.values() for number in code.failed)
    assert len(unwritten) == 2
    # That they read late is not the generator's lag.
    assert report["generator"]["lag_ms"]["max"] < 1000
    assert report["connections"]["dropped"] == 0
    assert report["run"]["options"]["slow_share"] == 0.25


# What a stream's server asks for


class Streams:
    """A server of event streams that end at once, each time with a wish and an id."""

    def __init__(self, retries: tuple[str, ...]) -> None:
        self.retries = retries
        self.asked: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._lock = threading.Lock()

    def __call__(self, connection: socket.socket) -> None:
        head = read_until(connection, b"\r\n\r\n").decode()
        if head.startswith("POST"):
            length = int(head.lower().partition("content-length: ")[2].split()[0])
            while length:
                length -= len(connection.recv(length))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if not head.startswith("GET"):
            return
        last = head.lower().partition("last-event-id: ")[2].partition("\r\n")[0]
        user = head.partition("username=")[2].split()[0]
        with self._lock:
            asked = self.asked[user]
            asked.append((time.monotonic(), last))
            number = len(asked)
        retry = self.retries[min(number, len(self.retries)) - 1]
        connection.sendall(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
            f'{retry}id: {user}-{number}\ndata: {{"type":"connected"}}\n\n'.encode()
        )


def test_a_streams_server_says_how_long_to_wait_at_least(tmp_path: Path) -> None:
    text = config_path("targets/sse.toml").read_text("utf-8")
    profile = tmp_path / "mine.toml"
    profile.write_text(text.replace('[health]\npath = "/health"\n', ""), "utf-8")
    users = tmp_path / "users.csv"
    with users.open("w", newline="") as file:
        csv.writer(file).writerows([["username"], ["ann"], ["bob"]])
    streams = Streams(("retry: 900\n", "", "retry: 0\n"))
    with serving(streams) as port:
        outcome = run(
            tmp_path / "run", "2", "2", "6", *QUICK, "--target", str(profile), "--reconnect",
            "--users-file", str(users), "--host", f"http://127.0.0.1:{port}",
        )  # fmt: skip
    assert set(streams.asked) == {"ann", "bob"}
    for user, asked in streams.asked.items():
        moments = [moment for moment, _ in asked]
        assert len(moments) >= 3
        # It holds until the server says something else.
        assert moments[1] - moments[0] >= 0.9
        assert moments[2] - moments[1] >= 0.9
        # Each session goes on from where the one before ended.
        assert [last for _, last in asked] == [
            "",
            *(f"{user}-{n + 1}" for n in range(len(asked) - 1)),
        ]
    dropped = outcome.report["connections"]["dropped"]
    assert causes(outcome)["session", "end of stream"] == dropped >= 4
