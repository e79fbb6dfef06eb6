"""Each fault of the embedded target: the report states exactly what was injected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from sseload_users.demo.record import Record
from tests.support.ground_truth import expected_figures, received_by_connection, reported_figures
from tests.support.parallel import selected_params
from tests.support.runs import QUICK, Outcome, run_against_target

pytestmark = pytest.mark.e2e

CONNECTIONS, CODES = 24, 4

#: The cause for an event stream, where it differs from that for a WebSocket.
IN_A_STREAM = {
    "closed by server: 1001": "end of stream",
    "no close frame": "connection closed",
}

#: The profile for each transport.
TRANSPORTS = {"websocket": "websocket", "socketio": "code-server", "sse": "sse"}


@dataclass(frozen=True)
class Case:
    """One run and its expected result.

    Attributes:
        name: of the test.
        faults: options of the target.
        arguments: further options of the run.
        bad: the grade of each rule that is not good.
        status: the exit status.
        nonzero: figures of the report that must not be zero, as "part.name".
        causes: the number of failed operations by operation and cause; empty: not checked if
            any failed.
        duration: seconds over which the codes are spread.
        scheduled: the number of codes that are due.
        all_transports: run it over all transports, not only over WebSocket.
        truth: options of `expected_figures`.
    """

    name: str
    faults: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    bad: dict[str, str] = field(default_factory=dict)
    status: int = 0
    nonzero: tuple[str, ...] = ()
    causes: dict[tuple[str, str], int] = field(default_factory=dict)
    duration: float = 1.0
    scheduled: int = CODES
    all_transports: bool = False
    truth: dict[str, bool] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)


def _shares(total: int, share: float) -> int:
    """Return a share of a total, which must be a whole number."""
    assert (total * share).is_integer()
    return int(total * share)


HALF, QUARTER = _shares(CONNECTIONS, 0.5), _shares(CONNECTIONS, 0.25)
ONE_OF_FOUR = _shares(CODES, 0.25)
ISSUES, WARNING = "issues", "warning"

CASES = [
    Case("clean"),
    Case(
        "lose many",
        ("--lose", "0.2"),
        bad={"codes_received": ISSUES},
        status=1,
        nonzero=("deliveries.missing",),
    ),
    Case(
        "lose few",
        ("--lose", "0.03", "--seed", "3"),
        bad={"codes_received": WARNING},
        nonzero=("deliveries.missing",),
    ),
    Case(
        "lose all, with --fail-on never",
        ("--lose", "1"),
        ("--fail-on", "never"),
        bad={"codes_received": ISSUES},
        nonzero=("deliveries.missing",),
    ),
    Case(
        "delay within the timeout, and an objective that is met",
        ("--delay", "0.3:0.15"),
        ("--objective", "delivery>=100%, p50<=900ms"),
    ),
    Case(
        "slow deliveries",
        ("--delay", "1:1.2"),
        ("--delivery-timeout", "5"),
        bad={"latency": WARNING},
        duration=2.0,
    ),
    Case(
        "an objective that is not met",
        ("--delay", "1:0.2"),
        ("--objective", "delivery>=100%, p50<=100ms"),
        bad={"objective": ISSUES},
        status=4,
    ),
    Case(
        "delay beyond the timeout",
        ("--delay", "0.3:2.2"),
        bad={"codes_received": ISSUES, "out_of_order": WARNING},
        status=1,
        nonzero=("deliveries.late", "deliveries.out_of_order"),
        duration=6.0,
        truth={"delayed_are_late": True},
    ),
    Case(
        "duplicate",
        ("--duplicate", "0.2"),
        bad={"duplicates": WARNING},
        nonzero=("deliveries.duplicate",),
    ),
    Case(
        "reorder",
        ("--reorder", "0.3:0.5"),
        bad={"out_of_order": WARNING},
        nonzero=("deliveries.out_of_order",),
    ),
    Case(
        "garbage in good frames",
        ("--garbage", "0.2"),
        bad={"malformed": WARNING, "error_rate": ISSUES},
        status=1,
        nonzero=("deliveries.malformed",),
        all_transports=True,
    ),
    Case(
        "bad frames",
        ("--garbage", "0.1", "--garbage-how", "frame"),
        bad={"malformed": WARNING, "error_rate": ISSUES, "connections_dropped": ISSUES},
        status=1,
        nonzero=("deliveries.malformed", "connections.dropped"),
        truth={"bad_frames": True},
        all_transports=True,
    ),
    Case(
        "replay to reconnected clients",
        ("--drop", "0.25", "--drop-after", "3", "--replay"),
        ("--reconnect",),
        bad={"connections_dropped": ISSUES, "unexpected": WARNING, "error_rate": ISSUES},
        status=1,
        nonzero=("connections.dropped", "connections.reconnected", "deliveries.unexpected"),
        causes={("session", "closed by server: 1001"): QUARTER},
        duration=6.0,
        truth={"reconnecting": True},
    ),
    Case(
        "unhealthy at first, and foreign",
        ("--asleep", "1.5", "--foreign", "0.3"),
        nonzero=("deliveries.foreign",),
    ),
    Case(
        "drop by a close frame",
        ("--drop", "0.25"),
        bad={"connections_dropped": ISSUES, "error_rate": ISSUES},
        status=1,
        nonzero=("connections.dropped",),
        causes={("session", "closed by server: 1001"): QUARTER},
        all_transports=True,
    ),
    Case(
        "drop by a reset",
        ("--drop", "0.25", "--drop-how", "reset"),
        bad={"connections_dropped": ISSUES, "error_rate": ISSUES},
        status=1,
        nonzero=("connections.dropped",),
        causes={("session", "connection reset"): QUARTER},
        all_transports=True,
    ),
    Case(
        "drop before the code came",
        ("--drop", "0.25", "--delay", "1:0.2"),
        bad={"connections_dropped": ISSUES, "error_rate": ISSUES, "codes_received": ISSUES},
        status=1,
        nonzero=("connections.dropped", "deliveries.interrupted"),
        causes={("session", "closed by server: 1001"): QUARTER},
    ),
    Case(
        "silence",
        ("--drop", "0.25", "--drop-how", "silent"),
        bad={"codes_received": ISSUES},
        status=1,
        nonzero=("deliveries.missing",),
    ),
    Case(
        "refuse by 503",
        ("--refuse", "0.25"),
        bad={"connection_success": ISSUES, "size_target": WARNING, "error_rate": ISSUES},
        status=1,
        nonzero=("connections.failed",),
        causes={("handshake", "HTTP 503"): QUARTER},
        all_transports=True,
    ),
    Case(
        "refuse by a reset",
        ("--refuse", "0.25", "--refuse-how", "reset"),
        bad={"connection_success": ISSUES, "size_target": WARNING, "error_rate": ISSUES},
        status=1,
        nonzero=("connections.failed",),
        causes={("handshake", "connection reset"): QUARTER},
    ),
    Case(
        "refuse by silence",
        ("--refuse", "0.25", "--refuse-how", "hang"),
        ("--connect-timeout", "1"),
        bad={
            "connection_success": ISSUES,
            "size_target": WARNING,
            "connect_timeouts": ISSUES,
            "error_rate": ISSUES,
        },
        status=1,
        nonzero=("connections.failed",),
        causes={("handshake", "timed out"): QUARTER},
        all_transports=True,
    ),
    Case(
        "connection limit",
        ("--max-connections", "12"),
        bad={"connection_success": ISSUES, "size_target": WARNING, "error_rate": ISSUES},
        status=1,
        nonzero=("connections.failed",),
        causes={("handshake", "HTTP 503"): CONNECTIONS - 12},
    ),
    Case(
        "refuse all",
        ("--refuse", "1"),
        bad={
            "connection_success": ISSUES,
            "size_target": WARNING,
            "codes_accepted": ISSUES,
            "codes_received": ISSUES,
            "error_rate": ISSUES,
        },
        status=1,
        nonzero=("connections.failed",),
        causes={("handshake", "HTTP 503"): CONNECTIONS},
        # Nobody could have received a code, so none is sent.
        scheduled=0,
    ),
    Case(
        "410 for every code",
        ("--ingest-status", "410"),
        bad={"codes_accepted": ISSUES, "codes_received": ISSUES, "error_rate": ISSUES},
        status=1,
        nonzero=("codes.rejected",),
        causes={("ingest", "HTTP 410"): CODES},
    ),
    Case(
        "500 for a quarter of the codes",
        ("--ingest-status", "500", "--ingest-share", "0.25"),
        bad={"codes_accepted": ISSUES, "error_rate": ISSUES},
        status=1,
        nonzero=("codes.rejected", "deliveries.delivered"),
        causes={("ingest", "HTTP 500"): ONE_OF_FOUR},
    ),
    Case(
        "answers after the timeout",
        ("--ingest-delay", "0.6"),
        ("--ingest-timeout", "0.3"),
        bad={"codes_accepted": ISSUES, "error_rate": ISSUES},
        status=1,
        nonzero=("codes.unanswered", "deliveries.delivered"),
        causes={("ingest", "no answer in time"): CODES},
        truth={"slow_answers": True},
    ),
    Case(
        "no answers",
        ("--ingest-hang", "0.25"),
        ("--ingest-timeout", "0.5"),
        bad={"codes_accepted": ISSUES, "error_rate": ISSUES},
        status=1,
        nonzero=("codes.unanswered", "deliveries.delivered"),
        causes={("ingest", "no answer in time"): ONE_OF_FOUR},
    ),
    Case("deduplication without duplicates", ("--dedupe", "5")),
    Case(
        "killed halfway",
        ("--stop-after", "2"),
        bad={"connections_dropped": ISSUES, "codes_accepted": ISSUES, "error_rate": ISSUES},
        status=1,
        nonzero=("connections.dropped", "codes.unsent", "deliveries.delivered"),
        causes={
            ("ingest", "connection refused"): CODES - 2,
            ("session", "no close frame"): CONNECTIONS,
        },
        all_transports=True,
    ),
    Case(
        "several at once",
        ("--lose", "0.1", "--duplicate", "0.1", "--foreign", "0.1", "--delay", "0.2:0.3"),
        bad={"codes_received": ISSUES, "duplicates": WARNING, "out_of_order": WARNING},
        status=1,
        nonzero=("deliveries.missing", "deliveries.duplicate", "deliveries.foreign"),
        all_transports=True,
    ),
]


@dataclass(frozen=True)
class Played:
    outcome: Outcome
    truth: Record


Key = tuple[Case, str]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Key, Future[Played]]]:
    """Start the runs of all selected tests, a few at a time: they mostly wait."""
    folder = tmp_path_factory.mktemp("runs")

    def one(case: Case, transport: str) -> Played:
        played = run_against_target(
            folder / transport / case.name,
            str(CONNECTIONS), str(CODES), *QUICK, "--duration", str(case.duration),
            "--target", TRANSPORTS[transport], *case.arguments,
            faults=case.faults,
        )  # fmt: skip
        return Played(*played)

    selected = [(each["case"], each["transport"]) for each in selected_params(request)]
    with ThreadPoolExecutor(4) as pool:
        # The longest first, so that none is left to run alone at the end.
        ordered = sorted(selected, key=lambda key: -key[0].duration)
        played = {key: pool.submit(one, *key) for key in ordered}
        yield {key: played[key] for key in selected}
        for each in played.values():
            each.cancel()


@pytest.mark.parametrize(
    ("transport", "case"),
    [
        pytest.param(transport, case, id=f"{transport}: {case}")
        for transport in TRANSPORTS
        for case in CASES
        if case.all_transports or transport == "websocket"
    ],
)
def test_report_states_what_was_injected(
    runs: dict[Key, Future[Played]], case: Case, transport: str
) -> None:
    played = runs[case, transport].result()
    outcome, truth = played.outcome, played.truth
    report = outcome.report

    expected = expected_figures(report, truth, scheduled=case.scheduled, **case.truth)
    if transport == "socketio":
        # The code server sends each client an event that is no code.
        expected["deliveries"]["foreign"] += expected["connections"]["succeeded"]
    assert reported_figures(report, expected) == expected
    for name in case.nonzero:
        part, _, figure = name.partition(".")
        assert expected[part][figure] > 0, name
    if not case.truth.get("reconnecting"):
        received = {int(many): each for many, each in report["received_per_connection"].items()}
        late = case.truth.get("delayed_are_late", False)
        assert Counter(received) == +received_by_connection(truth, delayed_are_late=late)

    if case.causes or not report["errors"]["failed"]:
        assert outcome.causes == {
            (operation, IN_A_STREAM.get(cause, cause) if transport == "sse" else cause): count
            for (operation, cause), count in case.causes.items()
        }
    assert outcome.reasons == case.bad
    assert outcome.status == case.status
    assert report["run"]["complete"] is True
    assert report["run"]["notes"] == []
    assert outcome.error_messages == []
    broadcast = ("settle", "broadcast", "drain") if case.scheduled else ()
    assert [phase["name"] for phase in report["phases"]] == [
        "warm-up", "connect", *broadcast, "disconnect",
    ]  # fmt: skip
