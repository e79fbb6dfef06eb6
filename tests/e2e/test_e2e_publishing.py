"""Whole runs whose codes go in over a connection of the publisher's, against a server that
knows nothing of sseload and writes down what came."""

from __future__ import annotations

import csv
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers.broadcast import TOKEN, Code, Server
from tests.support import runs
from tests.support.ground_truth import expected_figures, reported_figures, sequence_of
from tests.support.runs import QUICK, Outcome

pytestmark = pytest.mark.e2e

SOCKET = ("--target", "code-server-socket", "--value", f"ingest_token={TOKEN}")

PLAIN = """\
transport = "{listeners}"
[connect]
path = "{path}"
[confirm]
fields = {{ "type" = "connected" }}
[code]
field = "code"
[ingest]
over = "connection"
send = {{ "code" = "{{code}}" }}
expect = {expect}
[ingest.connect]
transport = "websocket"
path = "/publish"
"""
STORED = '{ "fields" = { "type" = "stored", "code" = "{code}" } }'
REFUSE = '[[ingest.refuse]]\nfields = { "type" = "error" }\nreason = "message"\n'


def plain(
    folder: Path, *, expect: str = STORED, listeners: str = "websocket", more: str = ""
) -> str:
    """The path of a profile for the server's plain WebSockets and streams."""
    path = folder / "plain.toml"
    where = "/listen" if listeners == "websocket" else "/stream"
    path.write_text(PLAIN.format(listeners=listeners, path=where, expect=expect) + more)
    return str(path)


def run(folder: Path, server: Server, *words: str, codes: int = 6, **how: Any) -> Outcome:
    """Eight connections, and so many codes within a second."""
    return runs.run(folder, "8", str(codes), "1", *QUICK, *words, "--host", server.url, **how)


def counts(outcome: Outcome) -> dict[str, int]:
    """What became of the codes; nothing where it is none."""
    names = ("accepted", "rejected", "unanswered", "unsent")
    return {name: outcome.report["codes"][name] for name in names if outcome.report["codes"][name]}


def causes(outcome: Outcome) -> dict[str, int]:
    """Why codes failed."""
    return {
        each["cause"]: each["count"]
        for each in outcome.report["errors"]["causes"]
        if each["operation"] == "ingest"
    }


def numbers(server: Server) -> list[int]:
    """The sequence numbers of the codes that came in."""
    return [sequence_of(each.text) for each in server.codes]


def test_codes_go_in_over_socketio_and_are_acknowledged(tmp_path: Path) -> None:
    with Server().running() as server:
        outcome = run(tmp_path, server, *SOCKET)
    assert (outcome.status, outcome.reasons) == (0, {})
    assert counts(outcome) == {"accepted": 6}
    assert numbers(server) == [1, 2, 3, 4, 5, 6]
    assert server.sessions == 1
    report = outcome.report
    # The publisher's is no connection of the report's, and nothing is owed to it.
    assert report["connections"]["attempted"] == report["connections"]["succeeded"] == 8
    assert report["deliveries"]["owed"] == report["deliveries"]["delivered"] == 48
    assert report["run"]["ingest"] == "Socket.IO message at /socket.io/, namespace /ws/ingest"
    said = outcome.stdout + outcome.stderr + outcome.folder.joinpath("report.html").read_text()
    assert TOKEN not in said + json.dumps(report)


def test_the_stamp_is_that_of_the_bytes_that_go_out(tmp_path: Path) -> None:
    """The server's record says when codes came: after their stamp, and at once."""

    def slow(server: Server, code: Code) -> None:
        time.sleep(0.1)
        server.take(code)

    with Server(slow).running() as server:
        outcome = run(tmp_path, server, *SOCKET)
    assert counts(outcome) == {"accepted": 6}
    stamps = {row["seq"]: row["sent_at"] for row in outcome.report["per_code"]}
    assert len(stamps) == 6
    for code in server.codes:
        sent_ns = int(code.text.rpartition("-")[2], 36)
        assert 0 <= code.ns - sent_ns < 60e6
    for name in ("delivery_ms", "ingest_ms"):
        figures = outcome.report["codes"] if name == "ingest_ms" else outcome.report
        assert 100 <= figures[name]["p50"] < 160, name


@pytest.mark.parametrize("listeners", ["websocket", "sse"])
def test_codes_go_in_over_a_websocket_whatever_listeners_use(
    tmp_path: Path, listeners: str
) -> None:
    with Server().running() as server:
        outcome = run(tmp_path, server, "--target", plain(tmp_path, listeners=listeners))
    assert (outcome.status, outcome.reasons) == (0, {})
    assert counts(outcome) == {"accepted": 6}
    assert outcome.report["run"]["transport"] == listeners


def test_the_publisher_connects_as_listeners_do_and_owes_itself_nothing(tmp_path: Path) -> None:
    text = PLAIN.format(listeners="websocket", path="/listen", expect=STORED)
    path = tmp_path / "same.toml"
    path.write_text(text.partition("[ingest.connect]")[0])
    with Server().running() as server:
        outcome = run(tmp_path, server, "--target", str(path))
    assert (outcome.status, outcome.reasons) == (0, {})
    assert server.paths.count("/listen") == 9
    assert outcome.report["deliveries"]["owed"] == 48
    assert outcome.report["deliveries"]["foreign"] == 0


def test_what_expects_nothing_is_owed_once_it_is_written(tmp_path: Path) -> None:
    def loses_the_second(server: Server, code: Code) -> None:
        if code.count != 2:
            server.broadcast(code)

    profile = plain(tmp_path, expect='"none"')
    with Server(loses_the_second).running() as server:
        outcome = run(tmp_path, server, "--target", profile)
    assert counts(outcome) == {"accepted": 6}
    assert outcome.report["deliveries"]["missing"] == 8
    assert outcome.report["codes"]["ingest_ms"]["max"] < 100


def refuses(*numbers: int, answers: bool = True) -> Callable[[Server, Code], None]:
    """Complains of those codes, counted from 1; it takes all others."""

    def on_code(server: Server, code: Code) -> None:
        if code.count not in numbers:
            server.take(code)
            return
        server.complain(code, "Invalid code data")
        if answers:
            server.acknowledge(code)

    return on_code


@pytest.mark.parametrize("answers", [True, False])
def test_an_error_before_the_acknowledgement_rejects_the_code(
    tmp_path: Path, *, answers: bool
) -> None:
    with Server(refuses(2, 5, answers=answers)).running() as server:
        outcome = run(tmp_path, server, *SOCKET)
    assert counts(outcome) == {"accepted": 4, "rejected": 2}
    assert causes(outcome) == {"Invalid code data": 2}
    by_code = {row["seq"]: row["status"] for row in outcome.report["per_code"]}
    assert [seq for seq, status in by_code.items() if status == "rejected"] == [2, 5]
    assert outcome.report["deliveries"]["owed"] == outcome.report["deliveries"]["delivered"] == 32


@pytest.mark.parametrize("expect", [STORED, '"none"'])
def test_a_message_that_refuses_rejects_the_code(tmp_path: Path, expect: str) -> None:
    profile = plain(tmp_path, expect=expect, more=REFUSE)
    with Server(refuses(3, answers=False)).running() as server:
        outcome = run(tmp_path, server, "--target", profile)
    assert counts(outcome) == {"accepted": 5, "rejected": 1}
    assert causes(outcome) == {"Invalid code data": 1}
    assert outcome.report["per_code"][2]["status"] == "rejected"


def test_many_under_way_at_once_each_have_their_own_answer(tmp_path: Path) -> None:
    """Answers come in whatever order; the error of each comes right before its own."""

    def on_code(server: Server, code: Code) -> None:
        def answer() -> None:
            if code.count % 3 == 0:
                with lock:
                    server.complain(code, "Invalid code data")
                    server.acknowledge(code)
                return
            server.broadcast(code)
            with lock:
                server.acknowledge(code)

        lock = locks.setdefault(0, threading.Lock())
        timer = threading.Timer(0.3 + 0.4 * (code.count % 2), answer)
        timers.append(timer)
        timer.start()

    locks: dict[int, threading.Lock] = {}
    timers: list[threading.Timer] = []
    with Server(on_code).running() as server:
        outcome = run(tmp_path, server, *SOCKET, codes=30)
        for each in timers:
            each.join()
    assert counts(outcome) == {"accepted": 20, "rejected": 10}
    rejected = {row["seq"] for row in outcome.report["per_code"] if row["status"] == "rejected"}
    assert rejected == {*range(3, 31, 3)}
    assert outcome.report["deliveries"]["delivered"] == 160
    # Open-loop: no answer held the next code up.
    assert outcome.report["codes"]["schedule_slip_ms"]["max"] < 200


def test_a_wrong_token_is_told_in_the_servers_words(tmp_path: Path) -> None:
    wrong = ("--target", "code-server-socket", "--value", "ingest_token=wrong-token")
    with Server().running() as server:
        outcome = run(tmp_path, server, *wrong)
    assert outcome.status == 1
    assert counts(outcome) == {"rejected": 6}
    assert causes(outcome) == {"Invalid ingest token": 6}
    assert outcome.grade == "issues"
    assert outcome.report["deliveries"]["owed"] == 0
    assert "wrong-token" not in outcome.stdout + outcome.stderr


def test_no_answer_in_time_is_unanswered_and_owed(tmp_path: Path) -> None:
    def silent(server: Server, code: Code) -> None:
        if code.count == 2:
            server.broadcast(code)
        else:
            server.take(code)

    with Server(silent).running() as server:
        outcome = run(tmp_path, server, *SOCKET, "--ingest-timeout", "0.5")
    assert counts(outcome) == {"accepted": 5, "unanswered": 1}
    assert causes(outcome) == {"no answer in time": 1}
    assert outcome.report["deliveries"]["delivered"] == 48


def test_a_lost_connection_is_made_again(tmp_path: Path) -> None:
    def hangs_up(server: Server, code: Code) -> None:
        if code.count == 2:
            code.peer.close(1012)
        else:
            server.take(code)

    with Server(hangs_up).running() as server:
        outcome = runs.run(
            tmp_path,
            "8",
            "20",
            "4",
            *QUICK,
            *SOCKET,
            "--host",
            server.url,
            "--csv",
            str(tmp_path / "stats"),
        )
    found = counts(outcome)
    assert found["unanswered"] == 1
    assert outcome.report["per_code"][1]["status"] == "unanswered"
    # Until it is there again there is nothing to send by, and the cause is told.
    assert found["accepted"] + found.get("unsent", 0) == 19
    assert causes(outcome) == {"closed by server: 1012": 1 + found.get("unsent", 0)}
    assert numbers(server)[-1] == 20
    assert server.sessions == 2
    assert outcome.report["run"]["notes"] == [
        "The publisher's connection was lost 1 time: 1 × closed by server: 1012."
    ]
    with (tmp_path / "stats_stats.csv").open(newline="") as file:
        rows = {(row["Type"], row["Name"]): row for row in csv.DictReader(file)}
    assert int(rows["SIO", "ingest"]["Request Count"]) == 20
    assert int(rows["SIO", "ingest"]["Failure Count"]) == 20 - found["accepted"]
    assert int(rows["SIO", "ingest connect"]["Request Count"]) == 2
    assert int(rows["SIO", "ingest session"]["Failure Count"]) == 1
    assert int(rows["SIO", "connect"]["Request Count"]) == 8


@pytest.mark.parametrize("processes", ["1", "3"])
def test_more_processes_have_one_publisher(tmp_path: Path, processes: str) -> None:
    with Server(refuses(4)).running() as server:
        outcome = runs.run(
            tmp_path,
            *("8", "6", "1", *QUICK, *SOCKET, "--host", server.url, "--processes", processes),
        )
    assert counts(outcome) == {"accepted": 5, "rejected": 1}
    assert outcome.report["deliveries"]["delivered"] == outcome.report["deliveries"]["owed"] == 40
    assert server.sessions == 1


@pytest.mark.parametrize("processes", ["", "2"])
def test_a_run_where_no_code_can_go_in_is_refused(tmp_path: Path, processes: str) -> None:
    more = ("--processes", processes) if processes else ()
    text = Path(runs.ROOT / "config/targets/code-server-socket.toml").read_text()
    path = tmp_path / "stranger.toml"
    at = text.index("[ingest.connect]")
    path.write_text(text[:at] + text[at:].replace("{username}", "stranger"))
    with Server().running() as server:
        outcome = run(tmp_path, server, "--target", str(path), "--value", "ingest_token=x", *more)
    assert outcome.status == 2
    said = (
        "sseload: Codes cannot be handed in: Socket.IO message at /socket.io/, namespace "
        "/ws/ingest: subscribe: refused: Unauthorized or unknown username. The server refuses "
        "this user: check the user names and that they exist on the server."
    )
    assert outcome.error_messages == [said]
    assert server.codes == []
    assert "every client" not in outcome.stdout


def test_the_connection_is_kept_alive(tmp_path: Path) -> None:
    """Pings are answered, messages that ask for it too, and what is due is sent."""
    more = (
        '[[ingest.upkeep]]\nevery = 0.2\nsend = { "type" = "pong" }\n'
        '[[ingest.reply]]\nfields = { "type" = "stored" }\nsend = { "type" = "pong" }\n'
    )
    with Server().running() as server:
        outcome = run(tmp_path, server, "--target", plain(tmp_path, more=more))
        assert outcome.status == 0
    # One for each answer, and about five in the second that the run takes.
    assert server.pongs >= 6 + 3


def test_pings_are_answered(tmp_path: Path) -> None:
    server = Server()
    server.ping_every = 0.2
    with server.running():
        outcome = run(tmp_path, server, *SOCKET)
    assert outcome.status == 0
    assert server.pongs >= 9 * 3


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    def silent(server: Server, code: Code) -> None:
        server.broadcast(code)

    with (
        Server(silent).running() as server,
        runs.running(tmp_path, "8", "50", "30", *QUICK, *SOCKET, "--host", server.url) as run_,
    ):
        run_.wait_until(lambda: len(server.codes) >= 3, "three codes")
        run_.interrupt()
        outcome = run_.finish()
    assert outcome.report["codes"]["accepted"] == 0
    assert outcome.report["codes"]["unanswered"] == outcome.report["codes"]["sent"] >= 3
    assert not outcome.report["run"]["complete"]


def test_the_report_is_what_the_server_of_today_did(tmp_path: Path) -> None:
    """Codes that reach not everybody, and some that are never answered."""
    faults = ("--as", "today", "--ingest-token", TOKEN, "--lose", "0.1", "--ingest-hang", "0.3")
    outcome, truth = runs.run_against_target(
        tmp_path, "20", "10", "2", *QUICK, *SOCKET, "--ingest-timeout", "1", faults=faults
    )
    expected = expected_figures(outcome.report, truth, scheduled=10)
    expected["deliveries"]["foreign"] += 20  # the greeting
    reported = reported_figures(outcome.report, expected)
    for part in ("deliveries", "per_code"):
        assert reported[part] == expected[part]
    answers = Counter(each.status for each in truth.ingests)
    assert counts(outcome) == {"accepted": answers["accepted"], "unanswered": answers["hang"]}
    assert outcome.report["deliveries"]["missing"] > 0
    assert outcome.report["codes"]["unanswered"] > 0
    sent = {row["seq"]: row["sent_at"] for row in outcome.report["per_code"]}
    for each in truth.ingests:
        sent_ns = int(each.code.rpartition("-")[2], 36)
        assert 0 <= each.ns - sent_ns < 100e6, sent


def test_each_step_of_a_ladder_goes_on_by_the_same_connection(tmp_path: Path) -> None:
    with Server(refuses(2, 5)).running() as server:
        outcome = runs.run(
            tmp_path, "--ladder", "3,6", "--codes", "3", "--duration", "1", *QUICK, *SOCKET,
            "--host", server.url,
        )  # fmt: skip
    steps = outcome.report["steps"]
    assert [step["codes"]["accepted"] for step in steps] == [2, 2]
    assert [step["deliveries"]["delivered"] for step in steps] == [6, 12]
    assert server.sessions == 1
