"""Sessions in real runs: dropped, reconnected, idle and read slowly."""

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
        faults: options of the target.
        arguments: further options of the run.
        changed: texts to replace in the profile.
        duration: seconds over which the codes are spread.
        size: the numbers of connections and codes.
    """

    profile: str
    faults: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    duration: int = 1
    size: tuple[int, int] = (CONNECTIONS, CODES)


DROPPED = {
    "websocket": "closed by server: 1012",
    "code-server": "closed by server: 1012",
    "sse": "end of stream",
}
#: A few of these exceed the socket buffers of a connection.
PAD = "x" * 900_000
BIG = ('"padding" = "{padding}" } }', f'"pad" = "{PAD}" }} }}')
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
        arguments=("--slow-share", "0.25", "--slow-rate", "300000"),
        changed=(BIG,),
        size=(8, 7),
    ),
}  # fmt: skip

Played = tuple[Outcome, Record]


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[Played]]]:
    """Start all runs, a few at a time: they mostly wait."""
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
            "--target", profile, *case.arguments, faults=case.faults,
        )  # fmt: skip

    with ThreadPoolExecutor(5) as pool:
        longest_first = sorted(CASES, key=lambda name: -CASES[name].duration)
        played = {name: pool.submit(one, name, CASES[name]) for name in longest_first}
        yield played


@pytest.mark.parametrize("name", DROPPED)
def test_dropped_connections_reconnect_and_the_cause_is_reported(
    runs: dict[str, Future[Played]], name: str
) -> None:
    outcome, truth = runs[f"reconnect, {name}"].result()
    expected = expected_figures(outcome.report, truth, scheduled=CODES, reconnecting=True)
    if name == "code-server":
        expected["deliveries"]["foreign"] += expected["connections"]["succeeded"]
    assert reported_figures(outcome.report, expected) == expected
    connections = outcome.report["connections"]
    # All of them have reconnected before the last code.
    assert connections["dropped"] == connections["reconnected"] == QUARTER
    assert outcome.causes == {("session", DROPPED[name]): QUARTER}
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


def test_missed_heartbeats_have_their_own_cause(runs: dict[str, Future[Played]]) -> None:
    outcome, _ = runs["heartbeats missed"].result()
    ((cause, count),) = outcome.causes.items()
    assert cause == ("session", "heartbeat missed")
    assert count >= QUARTER
    assert outcome.report["connections"]["reconnected"] >= QUARTER - 2


def test_connects_are_retried_up_to_the_limit(runs: dict[str, Future[Played]]) -> None:
    outcome, truth = runs["attempts"].result()
    connections = outcome.report["connections"]
    assert connections["succeeded"] == CONNECTIONS
    refused = sum(each.refused is not None for each in truth.connections.values())
    assert outcome.causes == {("handshake", "HTTP 503"): refused}
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
    # Not `outcome.report`: its consistency check does not know the number of upkeep requests.
    report = json.loads((outcome.folder / "report.json").read_text("utf-8"))
    assert report["connections"]["dropped"] == report["errors"]["failed"] == 0
    assert report["deliveries"]["delivered"] == CONNECTIONS * CODES
    kept_alive = report["errors"]["operations"] - CONNECTIONS - CODES
    assert (kept_alive >= 5 * CONNECTIONS) is (name == "kept alive")
    assert not any(each.dropped for each in truth.connections.values())


def test_connections_without_keep_alive_miss_codes(
    runs: dict[str, Future[Played]],
) -> None:
    outcome, truth = runs["not kept alive"].result()
    expected = expected_figures(outcome.report, truth, scheduled=CODES)
    assert outcome.report["connections"]["dropped"] == 0
    assert outcome.report["deliveries"]["missing"] == expected["deliveries"]["missing"]
    assert outcome.report["deliveries"]["missing"] >= CONNECTIONS
    assert outcome.reasons == {"codes_received": "issues"}


def test_slow_readers_do_not_affect_others(
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
    readers, others = report["paces"]
    assert (readers["slow"], others["slow"]) == (True, False)
    assert readers["owed"] == 7 * len(slow)
    assert readers["delivered"] == sum(received[number] for number in slow)
    assert others["owed"] == others["delivered"] == 7 * (len(received) - len(slow))
    assert (
        readers["delivery_ms"]["count"] + others["delivery_ms"]["count"]
        == (report["delivery_ms"]["count"])
    )
    # The server still held what did not fit into the socket buffers.
    unwritten = Counter(number for code in truth.codes.values() for number in code.failed)
    assert len(unwritten) == 2
    # Reading slowly does not count as generator lag.
    assert report["generator"]["lag_ms"]["max"] < 1000
    assert report["connections"]["dropped"] == 0
    assert report["run"]["options"]["slow_share"] == 0.25


# Retry time and last event id of event streams


class Streams:
    """A server whose event streams send a retry time and an id, and end at once."""

    def __init__(self, retries: tuple[str, ...]) -> None:
        self.retries = retries
        self.requests: dict[str, list[tuple[float, str]]] = defaultdict(list)
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
            requests = self.requests[user]
            requests.append((time.monotonic(), last))
            number = len(requests)
        retry = self.retries[min(number, len(self.retries)) - 1]
        connection.sendall(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
            f'{retry}id: {user}-{number}\ndata: {{"type":"connected"}}\n\n'.encode()
        )


def test_reconnects_respect_the_retry_time_and_the_last_event_id(tmp_path: Path) -> None:
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
    assert set(streams.requests) == {"ann", "bob"}
    for user, requests in streams.requests.items():
        times = [time_s for time_s, _ in requests]
        assert len(times) >= 3
        # The retry time holds until the server sends another one.
        assert times[1] - times[0] >= 0.9
        assert times[2] - times[1] >= 0.9
        # Each session continues after the last event of the previous one.
        assert [last for _, last in requests] == [
            "",
            *(f"{user}-{n + 1}" for n in range(len(requests) - 1)),
        ]
    dropped = outcome.report["connections"]["dropped"]
    assert outcome.causes["session", "end of stream"] == dropped >= 4
