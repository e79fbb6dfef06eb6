"""The memory and the speed of the ledger."""

from __future__ import annotations

import random
import time
from unittest import mock

from sseload_users.core import code_registry, settled_codes
from sseload_users.core.code_tally import STRAY
from sseload_users.core.ledger import Ledger
from sseload_users.core.tally import Tally
from tests.support.ledger_books import MS, T0, S
from tests.support.ledger_model import total_of
from tests.support.memory import bytes_of


def test_a_settled_code_keeps_its_times() -> None:
    ledger = Ledger(10.0)
    sessions = [ledger.open_session(ledger.add_connection(), T0, T0) for _ in range(50)]
    sizes: list[int] = []
    for sequence in range(1, 20_001):
        at_ns = T0 + sequence * 10 * MS
        ledger.announce(sequence, at_ns)
        ledger.set_status(sequence, "accepted")
        code = ledger.code(sequence)
        for session in sessions:
            session.receive(code, at_ns + MS)
        if sequence % 100 == 0:
            ledger.settle(at_ns + 2 * MS)
            taken = ledger.take()
            assert total_of(taken, "delivered") == 5000
        if sequence % 10_000 == 0:
            sizes.append(bytes_of(ledger))
    assert len(ledger.codes.in_flight) == 0
    # Three times eight bytes, and the spare capacity of arrays.
    assert (sizes[1] - sizes[0]) / 10_000 < 32
    assert sizes[1] < 750_000


def test_a_server_that_delivers_nothing_costs_a_few_hundred_bytes_a_code() -> None:
    ledger = Ledger(10.0)
    for _ in range(500):
        ledger.open_session(ledger.add_connection(), T0, T0)
    empty = bytes_of(ledger)
    missing = 0
    for sequence in range(1, 1001):
        at_ns = T0 + sequence * 100 * MS
        ledger.announce(sequence, at_ns)
        ledger.set_status(sequence, "accepted")
        if sequence % 10 == 0:
            ledger.settle(at_ns)
            missing += total_of(ledger.take(), "missing")
    ledger.settle(at_ns + 11 * S)
    missing += total_of(ledger.take(), "missing")
    assert missing == 500 * 1000
    assert (bytes_of(ledger) - empty) / 1000 < 600
    # Once they have all arrived, only the latest codes keep their objects.
    for sequence in range(1, 1001):
        for session in list(ledger.audience.open):
            session.receive(ledger.code(sequence), T0 + 1000 * S)
    late = ledger.take()
    assert (total_of(late, "late"), total_of(late, "missing")) == (500 * 1000, -500 * 1000)
    assert bytes_of(ledger) - empty < settled_codes._MAX_RECENT * 1000


def test_made_up_numbers_use_bounded_memory_and_time() -> None:
    ledger = Ledger(10.0)
    sessions = [ledger.open_session(ledger.add_connection(), T0, T0) for _ in range(10)]
    draw, total, seconds = random.Random(1), Tally(), []
    for _ in range(10):
        before = time.perf_counter()
        for number in range(20_000):
            sessions[number % 10].receive(ledger.code(draw.randrange(1, 10**18)), T0)
            if number % 2_000 == 0:
                ledger.report_arrivals()
                ledger.settle(T0)
                total.merge(ledger.take())
        seconds.append(time.perf_counter() - before)
        assert bytes_of(ledger) < 10_000_000
    assert sorted(seconds[5:])[1] < 5 * sorted(seconds[:5])[2]
    # The run's own codes are not affected.
    for session in sessions:
        session.receive(ledger.code(1), T0 + MS)
    ledger.announce(1, T0)
    ledger.set_status(1, "accepted")
    ledger.settle(T0 + 2 * MS)
    ledger.settle(T0, final=True)
    total.merge(ledger.take())
    assert total.codes[1].delivered == 10
    assert total.codes[STRAY].unexpected == 200_000
    assert set(total.codes) == {1, STRAY}


def test_made_up_numbers_to_all_sessions_use_bounded_memory() -> None:
    ledger = Ledger(10.0)
    sessions = [ledger.open_session(ledger.add_connection(), T0, T0) for _ in range(1000)]
    with mock.patch.object(code_registry, "_MAX_UNANNOUNCED_COPIES", 20_000):
        for sequence in range(10**6, 10**6 + 300):
            code = ledger.code(sequence)
            for session in sessions:
                session.receive(code, T0)
                session.receive(code, T0)
            ledger.settle(T0)
            unannounced = ledger.codes.unannounced.values()
            assert sum(len(code.copies or ()) for code in unannounced) <= 20_000
    ledger.settle(T0, final=True)
    assert ledger.take().codes[STRAY].unexpected == 600_000
