"""What the evidence of a worker with 10,000 connections costs."""

from __future__ import annotations

import random

import msgpack
import pytest

from sseload_users.core.evidence import SAMPLE
from sseload_users.core.ledger import Ledger
from tests.support.ledger_books import MS, T0, S

CONNECTIONS, SECONDS = 10_000, 8
#: Half a second from one report to the next, as a worker's.
REPORT_NS = S // 2


@pytest.mark.parametrize("codes_per_second", [5, 20])
@pytest.mark.dear
def test_a_worker_sends_less_than_a_kibibyte_a_second(codes_per_second: int) -> None:
    """Each code is lost to some, and a session in ten reads slowly.

    Ten sessions of the sample are dropped and return each second.
    """
    ledger, draw = Ledger(1.0), random.Random(1)
    connections = [ledger.add_connection(f"user{number}") for number in range(CONNECTIONS)]
    for each in connections:
        each.source = f"10.0.0.{each.number % 4}"
    sessions = [ledger.open_session(each, T0, T0) for each in connections]
    for each in connections[::10]:
        each.slow = True
    sizes: list[int] = []
    for sequence in range(1, SECONDS * codes_per_second + 1):
        sent_ns = T0 + sequence * S // codes_per_second
        ledger.announce(sequence, sent_ns)
        ledger.set_status(sequence, "accepted")
        code = ledger.code(sequence)
        for session in sessions:
            if draw.random() > 0.05:
                session.receive(code, sent_ns + session.number * 1000)
        # Drops within the sample are the only ones that it tells of.
        for number in draw.sample(range(SAMPLE), max(1, 10 // codes_per_second)):
            ledger.close_session(sessions[number], sent_ns + 50 * MS, released=False)
            began_ns = sent_ns + 90 * MS
            sessions[number] = ledger.open_session(connections[number], began_ns, began_ns)
        if sent_ns % REPORT_NS < S // codes_per_second:
            ledger.settle(sent_ns)
            sizes.append(len(msgpack.packb(ledger.take().evidence.pack())))
    assert len(sizes) == 2 * SECONDS
    assert sum(sizes) / SECONDS < 1024
    # Even in the second in which all of it is new.
    assert max(sizes) < 2 * 1024
