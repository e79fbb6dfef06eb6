"""Whole runs that publish codes over a connection, against an independent server.

The server shares no code with sseload and records the codes that it receives.
"""

from __future__ import annotations

import csv
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sseload_users.core.config_path import config_path
from tests.servers.broadcast import TOKEN, Code, Server
from tests.support.ground_truth import expected_figures, reported_figures, sequence_of
from tests.support.parallel import selected_params
from tests.support.publishing_profiles import OWN, REFUSE, STORED, plain
from tests.support.runs import QUICK, Outcome, run_against_target, running
from tests.support.runs import run as run_sseload

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

SOCKET = ("--target", "code-server-socket", "--value", f"ingest_token={TOKEN}")
WRONG_TOKEN = ("--target", "code-server-socket", "--value", "ingest_token=wrong-one")
ONCE = ("8", "6", "1")

OnCode = Callable[[Server, Code], None]


@dataclass(eq=False)
class Case:
    """One run.

    Attributes:
        on_code: called by the server for each code.
        arguments: of the run.
        profile: the text of a profile; empty for the built-in one among the arguments.
        ping_every: seconds between Engine.IO pings.
        server: the server; set when the run starts.
    """

    on_code: OnCode = Server.take
    arguments: tuple[str, ...] = (*ONCE, *SOCKET)
    profile: str = ""
    ping_every: float = 25.0
    server: Server = field(init=False)

    def run(self, folder: Path) -> Outcome:
        """Start the server and the run; return the outcome."""
        folder.mkdir()
        self.server = Server(self.on_code)
        self.server.ping_every = self.ping_every
        arguments = self.arguments
        if self.profile:
            (folder / "mine.toml").write_text(self.profile)
            arguments = (*arguments, "--target", str(folder / "mine.toml"))
        with self.server.running():
            return run_sseload(
                folder, *arguments, *QUICK, "--host", self.server.url,
                "--csv", str(folder / "stats"),
            )  # fmt: skip


Runs = dict[Case, Future[Outcome]]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """Start the runs of all selected tests, a few at a time: they mostly wait."""
    folder = tmp_path_factory.mktemp("runs")
    selected = [each["case"] for each in selected_params(request)]
    with ThreadPoolExecutor(5) as pool:
        yield {each: pool.submit(each.run, folder / str(at)) for at, each in enumerate(selected)}


def with_cases(*cases: Case) -> pytest.MarkDecorator:
    """Parametrize a test with cases."""
    return pytest.mark.parametrize("case", cases, ids=map(str, range(len(cases))))


def counts(outcome: Outcome) -> dict[str, int]:
    """Return the number of codes by status, without zeros."""
    names = ("accepted", "rejected", "unanswered", "unsent")
    return {name: outcome.report["codes"][name] for name in names if outcome.report["codes"][name]}


def ingest_causes(outcome: Outcome) -> dict[str, int]:
    """Return the number of failed codes by cause."""
    return {
        each["cause"]: each["count"]
        for each in outcome.report["errors"]["causes"]
        if each["operation"] == "ingest"
    }


def rejected(outcome: Outcome) -> set[int]:
    """Return the sequence numbers of rejected codes."""
    return {row["seq"] for row in outcome.report["per_code"] if row["status"] == "rejected"}


def locust_counts(outcome: Outcome) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the requests and failures in Locust's table, by type and name."""
    with (outcome.folder.parent / "stats_stats.csv").open(newline="") as file:
        return {
            (row["Type"], row["Name"]): (int(row["Request Count"]), int(row["Failure Count"]))
            for row in csv.DictReader(file)
        }


@with_cases(Case())
def test_codes_are_published_over_socketio_and_acknowledged(runs: Runs, case: Case) -> None:
    outcome, server = runs[case].result(), case.server
    assert (outcome.status, outcome.reasons) == (0, {})
    assert counts(outcome) == {"accepted": 6}
    assert [sequence_of(each.text) for each in server.codes] == [1, 2, 3, 4, 5, 6]
    assert server.sessions == 1
    report = outcome.report
    # The publisher's connection is not in the report, and is owed nothing.
    assert report["connections"]["attempted"] == report["connections"]["succeeded"] == 8
    assert report["deliveries"]["owed"] == report["deliveries"]["delivered"] == 48
    assert report["run"]["ingest"] == "Socket.IO message at /socket.io/, namespace /ws/ingest"
    output = outcome.stdout + outcome.stderr + (outcome.folder / "report.html").read_text()
    assert TOKEN not in output + json.dumps(report)
    table = locust_counts(outcome)
    assert table["SIO", "ingest"] == (6, 0)
    assert table["SIO", "ingest connect"] == (1, 0)
    assert table["SIO", "connect"] == (8, 0)


def slowly(server: Server, code: Code) -> None:
    time.sleep(0.1)
    server.take(code)


@with_cases(Case(slowly))
def test_the_send_time_is_that_of_the_bytes(runs: Runs, case: Case) -> None:
    """The server received each code after its send time, and immediately."""
    outcome = runs[case].result()
    assert counts(outcome) == {"accepted": 6}
    for code in case.server.codes:
        sent_ns = int(code.text.rpartition("-")[2], 36)
        assert 0 <= code.ns - sent_ns < 90e6
    for name in ("delivery_ms", "ingest_ms"):
        figures = outcome.report["codes"] if name == "ingest_ms" else outcome.report
        assert 100 <= figures[name]["p50"] < 190, name


@with_cases(*(Case(arguments=ONCE, profile=plain(listeners=each)) for each in ("websocket", "sse")))
def test_codes_are_published_over_a_websocket_for_any_listeners(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert (outcome.status, outcome.reasons) == (0, {})
    assert counts(outcome) == {"accepted": 6}
    assert locust_counts(outcome)["WS", "ingest"] == (6, 0)
    assert case.server.paths.count("/publish") == 1


@with_cases(Case(arguments=ONCE, profile=plain(more="")))
def test_a_publisher_that_connects_like_listeners_is_owed_nothing(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert (outcome.status, outcome.reasons) == (0, {})
    assert case.server.paths.count("/listen") == 9
    assert outcome.report["deliveries"]["owed"] == 48
    assert outcome.report["deliveries"]["foreign"] == 0


def loses_the_second(server: Server, code: Code) -> None:
    if code.count != 2:
        server.broadcast(code)


@with_cases(Case(loses_the_second, ONCE, plain('"none"')))
def test_without_an_expected_response_a_written_code_is_owed(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert counts(outcome) == {"accepted": 6}
    assert outcome.report["deliveries"]["missing"] == 8
    assert outcome.report["codes"]["ingest_ms"]["max"] < 100


def refuses(*numbers: int, answers: bool = True) -> OnCode:
    """Return a handler that refuses the codes with these numbers, from 1, and accepts others."""

    def on_code(server: Server, code: Code) -> None:
        if code.count not in numbers:
            server.take(code)
            return
        server.complain(code, "Invalid code data")
        if answers:
            server.acknowledge(code)

    return on_code


@with_cases(*(Case(refuses(2, 5, answers=each)) for each in (True, False)))
def test_an_error_before_the_acknowledgement_rejects_the_code(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert counts(outcome) == {"accepted": 4, "rejected": 2}
    assert ingest_causes(outcome) == {"Invalid code data": 2}
    assert rejected(outcome) == {2, 5}
    assert outcome.report["deliveries"]["owed"] == outcome.report["deliveries"]["delivered"] == 32
    assert locust_counts(outcome)["SIO", "ingest"] == (6, 2)


@with_cases(
    *(
        Case(refuses(3, answers=False), ONCE, plain(each, more=OWN + REFUSE))
        for each in (STORED, '"none"')
    )
)
def test_a_refusal_message_rejects_the_code(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert counts(outcome) == {"accepted": 5, "rejected": 1}
    assert ingest_causes(outcome) == {"Invalid code data": 1}
    assert rejected(outcome) == {3}


def concurrently() -> OnCode:
    """Return a handler that answers out of order, each error right before its acknowledgement."""
    lock = threading.Lock()

    def on_code(server: Server, code: Code) -> None:
        def answer() -> None:
            if code.count % 3:
                server.broadcast(code)
            with lock:
                if not code.count % 3:
                    server.complain(code, "Invalid code data")
                server.acknowledge(code)

        threading.Timer(0.3 + 0.4 * (code.count % 2), answer).start()

    return on_code


@with_cases(Case(concurrently(), ("8", "30", "1", *SOCKET)))
def test_codes_in_flight_together_get_their_own_responses(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert counts(outcome) == {"accepted": 20, "rejected": 10}
    assert rejected(outcome) == {*range(3, 31, 3)}
    assert outcome.report["deliveries"]["delivered"] == 160
    # Open-loop: no response delayed the next code.
    assert outcome.report["codes"]["schedule_slip_ms"]["p50"] < 100


@with_cases(
    Case(arguments=(*ONCE, "--target", "code-server-socket", "--value", "ingest_token=wrong-one"))
)
def test_a_wrong_token_is_reported_with_the_servers_text(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert outcome.status == 1
    assert counts(outcome) == {"rejected": 6}
    assert ingest_causes(outcome) == {"Invalid ingest token": 6}
    assert outcome.grade == "issues"
    assert outcome.report["deliveries"]["owed"] == 0
    assert "--value ingest_token=" in outcome.stdout
    assert "wrong-one" not in outcome.stdout + outcome.stderr


def forgets_the_second(server: Server, code: Code) -> None:
    if code.count == 2:
        server.broadcast(code)
    else:
        server.take(code)


@with_cases(Case(forgets_the_second, (*ONCE, *SOCKET, "--ingest-timeout", "0.5")))
def test_a_code_without_a_response_in_time_is_unanswered_and_owed(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert counts(outcome) == {"accepted": 5, "unanswered": 1}
    assert ingest_causes(outcome) == {"no answer in time": 1}
    assert outcome.report["deliveries"]["delivered"] == 48


def hangs_up(server: Server, code: Code) -> None:
    if code.count == 2:
        code.peer.close(1012)
    else:
        server.take(code)


@with_cases(Case(hangs_up, ("8", "20", "4", *SOCKET)))
def test_a_lost_connection_is_reopened(runs: Runs, case: Case) -> None:
    outcome, server = runs[case].result(), case.server
    found = counts(outcome)
    assert found["unanswered"] == 1
    assert outcome.report["per_code"][1]["status"] == "unanswered"
    # Codes cannot be sent until the connection is open again; they have its cause.
    unsent = found.get("unsent", 0)
    assert found["accepted"] + unsent == 19
    assert ingest_causes(outcome) == {"closed by server: 1012": 1 + unsent}
    assert sequence_of(server.codes[-1].text) == 20
    assert server.sessions == 2
    assert outcome.report["run"]["notes"] == [
        "The publisher's connection was lost 1 time: 1 × closed by server: 1012."
    ]
    table = locust_counts(outcome)
    assert table["SIO", "ingest"] == (20, 1 + unsent)
    assert table["SIO", "ingest connect"] == (2, 0)
    assert table["SIO", "ingest session"] == (1, 1)
    assert table["SIO", "connect"] == (8, 0)


@with_cases(*(Case(refuses(4), (*ONCE, *SOCKET, "--processes", each)) for each in ("1", "3")))
def test_several_processes_have_one_publisher(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert counts(outcome) == {"accepted": 5, "rejected": 1}
    assert outcome.report["deliveries"]["delivered"] == outcome.report["deliveries"]["owed"] == 40
    assert case.server.sessions == 1


@with_cases(Case(refuses(2, 5), ("--ladder", "3,6", "--codes", "3", "--duration", "1", *SOCKET)))
def test_all_steps_of_a_ladder_use_the_same_connection(runs: Runs, case: Case) -> None:
    steps = runs[case].result().report["steps"]
    assert [step["codes"]["accepted"] for step in steps] == [2, 2]
    assert [step["deliveries"]["delivered"] for step in steps] == [6, 12]
    assert case.server.sessions == 1


def as_a_stranger() -> str:
    """Return the built-in profile with a publisher that the server does not know."""
    text = config_path("targets/code-server-socket.toml").read_text("utf-8")
    before, table, own = text.partition("[ingest.connect]")
    return before + table + own.replace("{username}", "stranger")


@with_cases(
    *(
        Case(arguments=(*ONCE, "--value", "ingest_token=x", *more), profile=as_a_stranger())
        for more in ((), ("--processes", "2"))
    )
)
def test_a_run_that_cannot_publish_is_refused(runs: Runs, case: Case) -> None:
    outcome = runs[case].result()
    assert outcome.status == 2
    message = (
        "sseload: Codes cannot be handed in: Socket.IO message at /socket.io/, namespace "
        "/ws/ingest: subscribe: refused: Unauthorized or unknown username. The server refuses "
        "this user: check the user names and that they exist on the server."
    )
    assert outcome.error_messages == [message]
    assert case.server.codes == []


#: Replies to messages, and upkeep requests.
KEEP_ALIVE = (
    '[[ingest.upkeep]]\nevery = 0.2\nsend = { "type" = "pong" }\n'
    '[[ingest.reply]]\nfields = { "type" = "stored" }\nsend = { "type" = "pong" }\n'
)


@with_cases(Case(arguments=ONCE, profile=plain(more=OWN + KEEP_ALIVE)), Case(ping_every=0.2))
def test_the_connection_is_kept_alive(runs: Runs, case: Case) -> None:
    assert runs[case].result().status == 0
    # One per response and five per second; or five per second for each of nine connections.
    assert case.server.pongs >= 6 + 3


def test_ctrl_c_with_unanswered_codes(tmp_path: Path) -> None:
    def silent(server: Server, code: Code) -> None:
        server.broadcast(code)

    with (
        Server(silent).running() as server,
        running(tmp_path, "8", "50", "30", *QUICK, *SOCKET, "--host", server.url) as run,
    ):
        run.wait_until(lambda: len(server.codes) >= 3, "three codes")
        run.interrupt()
        outcome = run.finish()
    assert outcome.report["codes"]["accepted"] == 0
    assert outcome.report["codes"]["unanswered"] == outcome.report["codes"]["sent"] >= 3
    assert not outcome.report["run"]["complete"]


def test_the_report_matches_the_record_of_the_target(tmp_path: Path) -> None:
    """Some deliveries are lost, and some codes get no response."""
    faults = ("--as", "today", "--ingest-token", TOKEN, "--lose", "0.1", "--ingest-hang", "0.3")
    outcome, truth = run_against_target(
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
    for each in truth.ingests:
        sent_ns = int(each.code.rpartition("-")[2], 36)
        assert 0 <= each.ns - sent_ns < 100e6
