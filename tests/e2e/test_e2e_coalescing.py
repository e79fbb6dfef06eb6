"""Whole runs against a server that puts several codes into a message, compared with its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.servers.coalescing import Client, CoalescingServer
from tests.support.runs import QUICK, Outcome, run

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES = 6, 40
LOAD = (str(CONNECTIONS), str(CODES), "1", *QUICK, "--delivery-timeout", "3")


def profile(folder: Path, text: str) -> tuple[str, str]:
    (folder / "mine.toml").write_text(
        f'{text}\n[ingest]\nmethod = "POST"\npath = "/in"\nbody = "{{code}}"\n'
    )
    return "--target", str(folder / "mine.toml")


def objects(codes: Sequence[str]) -> list[dict[str, str]]:
    return [{"code": code} for code in codes]


def lies(number: int, codes: list[str]) -> list[str]:
    """What becomes of a tick's codes: reversed, doubled or lost for some clients."""
    match number:
        case 0:
            return codes[::-1]
        case 1:
            return [codes[0], *codes]
        case 2:
            return codes[1:]
        case _:
            return codes


def out_of_order(codes: Sequence[str]) -> int:
    """How many first copies came after a later code."""
    newest = count = 0
    for code in dict.fromkeys(codes):
        sequence = int(code.split("-")[2])
        count += sequence < newest
        newest = max(newest, sequence)
    return count


def truth(clients: Sequence[Client]) -> dict[str, int]:
    delivered = sum(len({*each.codes}) for each in clients)
    return {
        "owed": CONNECTIONS * CODES,
        "delivered": delivered,
        "missing": CONNECTIONS * CODES - delivered,
        "overlooked": 0,
        "late": 0,
        "interrupted": 0,
        "duplicate": sum(len(each.codes) - len({*each.codes}) for each in clients),
        "out_of_order": sum(out_of_order(each.codes) for each in clients),
        "unexpected": 0,
        "malformed": 0,
    }


def figures(outcome: Outcome, *names: str) -> dict[str, int]:
    return {name: outcome.report["deliveries"][name] for name in names}


PING = '{"type":"ping"}'
PONG = f'[[reply]]\nfields = {{ "type" = "ping" }}\nsend = {PING.replace("ping", "pong")!r}\n'


@pytest.mark.parametrize(
    ("text", "render"),
    [
        pytest.param(
            'transport = "websocket"\nlines = true\n[connect]\npath = "/ws"\n'
            f'[code]\nfield = "code"\n{PONG}',
            lambda codes: "\n".join([PING, *map(json.dumps, objects(codes))]),
            id="lines with a ping over WebSocket",
        ),
        pytest.param(
            'transport = "socketio"\n[connect]\npath = "/socket.io/"\ntransports = ["websocket"]\n'
            '[code]\nevent = "codes"\nfield = "[0][*].code"\n',
            lambda codes: f"42{json.dumps(['codes', objects(codes)])}",
            id="array over Socket.IO",
        ),
        pytest.param(
            'transport = "sse"\n[connect]\npath = "/events"\n[code]\nregex = "LT-[0-9a-z-]+"\n',
            lambda codes: f"a{json.dumps(codes)}",
            id="regular expression over SSE",
        ),
    ],
)
def test_several_codes_in_a_message_are_accounted_for_one_by_one(
    tmp_path: Path, text: str, render: Callable[[Sequence[str]], str]
) -> None:
    server = CoalescingServer(render, lies)
    with server.running() as url:
        outcome = run(tmp_path, *LOAD, "--host", url, *profile(tmp_path, text))
    expected = truth(server.clients)
    most_out_of_order = expected.pop("out_of_order")
    assert max(len(each.codes) / each.batches for each in server.clients) > 1
    assert figures(outcome, *expected) == expected
    # Codes that were in flight together are not counted, and on a busy machine some are.
    assert 0 < figures(outcome, "out_of_order")["out_of_order"] <= most_out_of_order
    assert min(expected[each] for each in ("missing", "duplicate")) > 0
    assert outcome.grade != "good"
    if PONG in text:
        pongs = [
            [json.loads(PING.replace("ping", "pong"))] * each.batches for each in server.clients
        ]
        assert [[*map(json.loads, each.answers)] for each in server.clients] == pongs


def test_codes_that_the_profile_overlooks_are_not_blamed_on_the_server(tmp_path: Path) -> None:
    lost: list[str] = []

    def choose(number: int, codes: list[str]) -> list[str]:
        # One code never leaves the server.
        if number == 0 and not lost:
            lost.append(codes[-1])
        return [each for each in codes if each not in lost]

    server = CoalescingServer(lambda codes: json.dumps(objects(codes)), choose)
    text = 'transport = "websocket"\n[connect]\npath = "/ws"\n[code]\nfield = "[0].code"\n'
    with server.running() as url:
        outcome = run(tmp_path, *LOAD, "--host", url, *profile(tmp_path, text))
    batches = sum(each.batches for each in server.clients)
    owed = CONNECTIONS * CODES
    assert figures(outcome, "owed", "delivered", "missing", "overlooked") == {
        "owed": owed,
        "delivered": batches,
        "missing": owed - batches,
        "overlooked": owed - batches - CONNECTIONS,
    }
    reasons = {each["rule"]: each for each in outcome.report["verdict"]["reasons"]}
    assert f"{batches} of {batches + CONNECTIONS} owed" in reasons["codes_received"]["sentence"]
    assert reasons["codes_received"]["grade"] != "good"
    assert reasons["several_per_frame"]["grade"] == "warning"
    assert "the profile does not look for them" in reasons["several_per_frame"]["sentence"]
