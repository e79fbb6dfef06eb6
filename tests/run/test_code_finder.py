"""A broadcast is decoded once, however many listeners get it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
