"""A broadcast is decoded once, however many listeners get it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sseload_users.core.codes import CodeShape
from sseload_users.core.ledger import Ledger
from sseload_users.run.code_finder import CodeFinder
from sseload_users.run.operation_counters import OperationCounters
from sseload_users.targets import Target, load
from sseload_users.transports.websocket import WebSocketTransport
from tests.support.runs import LOCUST, QUICK, running

_COUNTING = """
import atexit, json
from sseload_users import CodeBroadcaster, CodeListener
from sseload_users.run.code_finder import CodeFinder

looks, decoders, look = [], set(), CodeFinder.codes_in

def counting(self, payload):
    found = look(self, payload)
    looks.append(len(found))
    decoders.add(id(self))
    return found

CodeFinder.codes_in = counting
atexit.register(lambda: open({out!r}, "w").write(json.dumps([sum(looks), len(decoders)])))
"""


@pytest.mark.e2e
@pytest.mark.parametrize("target", ["websocket", "code-server", "sse"])
def test_a_broadcast_is_decoded_once_for_all(tmp_path: Path, target: str) -> None:
    out = tmp_path / "looks.json"
    (tmp_path / "counting.py").write_text(_COUNTING.replace("{out!r}", repr(str(out))))
    listeners, codes = 20, 3
    words = ("--headless", "-u", str(listeners + 1), "--codes", str(codes), "--duration", "1")
    file = str(tmp_path / "counting.py")
    with running(tmp_path, "-f", file, *words, "--target", target, *QUICK, command=LOCUST) as run:
        outcome = run.finish()
    assert outcome.report["deliveries"]["delivered"] == listeners * codes
    looks, decoders = json.loads(out.read_text())
    assert (looks, decoders) == (codes, 1)


T0 = 1_764_000_000_000_000_000


def finder_of(ledger: Ledger) -> tuple[CodeFinder, CodeShape]:
    """Return what finds the codes of a run in JSON, and their shape."""
    target, shape = Target(load("websocket"), "http://127.0.0.1:1"), CodeShape("abcdef")
    operations = OperationCounters(ledger, lambda: False)
    finder = CodeFinder(
        target,
        shape,
        WebSocketTransport.parse,
        ledger=ledger,
        operations=operations,
        on_size=lambda _: None,
    )
    return finder, shape


def test_each_copy_of_a_code_is_found_whatever_is_beside_it() -> None:
    ledger = Ledger(10)
    finder, shape = finder_of(ledger)
    ledger.announce(1, T0, T0)
    ledger.announce(2, T0 + 1, T0 + 1)
    one, two = shape.mint(1, T0), shape.mint(2, T0 + 1)
    for number in range(5):
        for sequence, text in ((1, one), (2, two)):
            payload = json.dumps({"to": number, "code": text}).encode()
            assert [code.sequence for code in finder.codes_in(payload)] == [sequence]
    # A code with another time, and one with something around it, are others.
    assert finder.codes_in(b'{"code":"%s"}' % shape.mint(1, T0 + 7).encode())[0].announced is False
    assert finder.codes_in(b'{"code":"%s."}' % one.encode()) == ()
    assert ledger.take().evidence.altered == {"with further text around": 1}


def test_a_code_beside_a_known_one_is_noted() -> None:
    ledger = Ledger(10)
    finder, shape = finder_of(ledger)
    for sequence in (1, 2):
        ledger.announce(sequence, T0, T0)
    one, two = shape.mint(1, T0), shape.mint(2, T0)
    finder.codes_in(json.dumps({"code": one}).encode())
    assert len(finder.codes_in(json.dumps({"code": one, "before": two}).encode())) == 1
    assert [ledger.code(each).overlooked for each in (1, 2)] == [False, True]


def test_payloads_of_a_code_are_not_kept_if_each_connection_gets_its_own() -> None:
    ledger = Ledger(10)
    finder, shape = finder_of(ledger)
    texts = []
    for sequence in (1, 2):
        ledger.announce(sequence, T0, T0)
        texts.append(shape.mint(sequence, T0))
    for number in range(500):
        payload = json.dumps({"to": number, "code": texts[0]}).encode()
        assert [code.sequence for code in finder.codes_in(payload)] == [1]
    assert len(finder.known) == 128
    payload = json.dumps({"code": texts[1]}).encode()
    finder.codes_in(payload)
    assert finder.known[payload].sequence == 2
