"""Runs that send nothing, against a server that sends by itself, compared with its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.distributed import distributed
from tests.support.runs import LOCUST, ROOT, SSELOAD, Outcome, run, running
from tests.support.self_sending_server import Fate, SelfSendingServer

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, MESSAGES = 6, 40
OBSERVE = ("--observe", "--duration", "3", "--settle", "0.1", "--delivery-timeout", "1.2")
#: Not even a number: any text is an id.
TEXTS = '[code]\nid = "data.key"\n'
ROW = '[code]\nid = "data.n"\nsequence = true\nsent = { path = "at", unit = "ms" }\n'
#: Numbers of messages that nobody is sent, of those that have numbers in a row.
HOLES = (11, 12, 30)
FIRST = 70_000_000_000


def profile(folder: Path, code: str) -> tuple[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "live.toml"
    path.write_text(f'transport = "websocket"\n[connect]\npath = "/ws"\n{code}')
    return "--target", str(path)


def fate(message: int, client: int) -> Fate:
    """What becomes of a message: every client has its own defects, and gets the last ones."""
    if message >= MESSAGES - 3:
        return "sent"
    match (message + 5 * client) % 13:
        case 0:
            return "lost"
        case 3:
            return "doubled"
        case 6:
            return "delayed"
        case _:
            return "sent"


def fate_in_row(message: int, client: int) -> Fate:
    return "lost" if message in HOLES else fate(message, client)


def with_text(message: int, _: int) -> dict[str, Any]:
    return {"type": "price", "data": {"key": f"q/{message % 7}-{message:x}"}}


def with_number(message: int, now_ns: int) -> object:
    return {"data": {"n": FIRST + message}, "at": now_ns / 1e6}


def server(*, in_row: bool) -> SelfSendingServer:
    return SelfSendingServer(
        CONNECTIONS,
        fate_in_row if in_row else fate,
        messages=MESSAGES,
        interval_s=0.02,
        make=with_number if in_row else with_text,
        pause_s=1.3,
    )


def out_of_order() -> int:
    """How many first copies come after a later message, by the server's rule."""
    late = 0
    for client in range(CONNECTIONS):
        held = None
        for message in range(MESSAGES):
            kind = fate_in_row(message, client)
            if held is not None:
                late += kind in ("sent", "doubled")
            held = message if kind == "delayed" else None
    return late


def check(outcome: Outcome, record: SelfSendingServer, *, seen: int) -> dict[str, Any]:
    assert record.done.is_set()
    report = outcome.report
    lost = record.record["lost"] - CONNECTIONS * (MESSAGES - seen)
    assert report["observed"]["seen"] == seen
    expected = {
        "owed": CONNECTIONS * seen,
        "delivered": CONNECTIONS * seen - lost,
        "missing": lost,
        "duplicate": record.record["doubled"],
        "late": 0,
        "unexpected": 0,
        "foreign": 0,
        "malformed": 0,
    }
    assert {name: report["deliveries"][name] for name in expected} == expected
    assert min(lost, record.record["doubled"], record.record["delayed"]) > 0
    assert {row["status"] for row in report["per_code"]} == {"seen"}
    rules = {each["rule"] for each in report["verdict"]["reasons"]}
    assert rules & {"codes_seen", "codes_accepted"} == {"codes_seen"}
    assert "accepted" not in outcome.stdout
    return report


def test_ids_are_any_texts_in_one_process(tmp_path: Path) -> None:
    record = server(in_row=False)
    with record.serving() as url:
        arguments = (*profile(tmp_path, TEXTS), *OBSERVE, "--host", url)
        outcome = run(tmp_path, str(CONNECTIONS), *arguments)
    report = check(outcome, record, seen=MESSAGES)
    assert outcome.status == 1
    assert report["observed"] | {} == {
        "seen": MESSAGES, "holes": None, "skipped": 0, "since": "first sighting"
    }  # fmt: skip
    # Without numbers, nothing says in which order the messages were sent.
    assert report["deliveries"]["out_of_order"] == 0
    assert any("Nothing is known about messages that no" in each for each in report["run"]["notes"])
    assert min(row["first_ms"] for row in report["per_code"]) == 0
    ids = [with_text(message, 0)["data"]["key"] for message in range(MESSAGES)]
    assert sorted(row["id"] for row in outcome.table("codes")) == sorted(ids)
    assert "codes_received" in outcome.reasons
    assert "out_of_order" not in {each["rule"] for each in report["verdict"]["reasons"]}


@pytest.mark.parametrize("in_row", [False, True])
def test_sightings_of_three_workers_are_merged(tmp_path: Path, in_row: bool) -> None:
    record = server(in_row=in_row)
    with record.serving() as url:
        target = profile(tmp_path, ROW if in_row else TEXTS)
        with distributed(
            tmp_path, *OBSERVE, *target, host=url,
            connections=CONNECTIONS,
        ) as swarm:  # fmt: skip
            outcome = swarm.finish()
    seen = MESSAGES - len(HOLES) * in_row
    report = check(outcome, record, seen=seen)
    if in_row:
        assert report["observed"]["holes"] == len(HOLES)
        assert report["observed"]["since"] == "message"
        assert report["deliveries"]["out_of_order"] == out_of_order()
        assert [row["seq"] for row in report["per_code"]][:2] == [FIRST, FIRST + 1]
        assert outcome.reasons["holes"] == "issues"


def test_numbers_in_a_row_in_one_process(tmp_path: Path) -> None:
    record = server(in_row=True)
    with record.serving() as url:
        arguments = (*profile(tmp_path, ROW), *OBSERVE, "--host", url)
        outcome = run(tmp_path, str(CONNECTIONS), *arguments)
    report = check(outcome, record, seen=MESSAGES - len(HOLES))
    assert report["observed"]["holes"] == len(HOLES)
    assert report["deliveries"]["out_of_order"] == out_of_order()


def test_a_silent_server_is_never_good_and_needs_no_broadcaster(tmp_path: Path) -> None:
    (tmp_path / "listening.py").write_text("from sseload_users import CodeListener\n")
    record = SelfSendingServer(
        2, lambda *_: "lost", messages=1, interval_s=0, make=with_text, pause_s=0
    )
    with record.serving() as url:
        outcome = run(
            tmp_path, "-f", str(tmp_path / "listening.py"), "--headless", "--only-summary",
            "-u", "2", "-r", "10", "--host", url, *profile(tmp_path, TEXTS), "--observe",
            "--duration", "0.5", "--settle", "0.1", "--delivery-timeout", "1",
            command=LOCUST, cwd=ROOT,
        )  # fmt: skip
    assert outcome.status == 1
    assert outcome.report["connections"]["succeeded"] == 2
    assert outcome.reasons["codes_seen"] == "issues"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--observe",), "--observe: target code-server lacks code.id"),
        (("--observe", "--search", "rate"), "leave --search out"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    outcome = run(tmp_path, "2", *arguments, "--host", "http://127.0.0.1:9")
    assert outcome.status == 2
    assert len(outcome.error_messages) == 1
    assert said in outcome.error_messages[0]


def test_a_run_that_is_ended_keeps_what_it_saw(tmp_path: Path) -> None:
    record = server(in_row=False)
    with record.serving() as url:
        arguments = (*profile(tmp_path, TEXTS), "--observe", "--duration", "60", "--host", url)
        with running(tmp_path, str(CONNECTIONS), *arguments, "--settle", "0.1") as started:
            assert record.done.wait(30)
            started.interrupt()
            outcome = started.finish()
    assert outcome.report["observed"]["seen"] > 0
    assert not outcome.report["run"]["complete"]
    assert "ended in the observe phase" in outcome.report["run"]["notes"][0]


def test_the_check_does_not_observe(tmp_path: Path) -> None:
    check = (*SSELOAD, "check")
    arguments = ("--observe", *profile(tmp_path, TEXTS), "--host", "http://127.0.0.1:9")
    outcome = run(tmp_path, *arguments, command=check, report=False)
    assert outcome.status == 2
    assert outcome.error_messages == [
        "sseload: --observe is for a run: the check sends codes of its own."
    ]


def test_a_profile_with_ids_only_observes(tmp_path: Path) -> None:
    outcome = run(tmp_path, "2", *profile(tmp_path, TEXTS), "--host", "http://127.0.0.1:9")
    assert outcome.status == 2
    assert "give --observe" in outcome.error_messages[0]
