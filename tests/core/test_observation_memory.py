"""Hours of observation in seconds: five million sightings, and what remains of them."""

from __future__ import annotations

import pytest

from sseload_users.core import observed_codes, sightings
from sseload_users.core.ledger import Ledger
from sseload_users.core.observed_codes import ObservedCodes
from sseload_users.core.sightings import Sightings
from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from tests.support.memory import bytes_of

pytestmark = pytest.mark.dear

S = 1_000_000_000
T0 = 1_795_000_000 * S
CONNECTIONS, MESSAGES = 200, 25_000
#: Messages between two updates: four times a second, at 40 messages a second.
BATCH, UPDATE_NS = 10, S // 4


class Observer:
    """A worker and the leader of an observation, without anything between them."""

    def __init__(self) -> None:
        self.ledger = Ledger(2.0)
        self.sessions = [
            self.ledger.open_session(self.ledger.add_connection(), T0, T0)
            for _ in range(CONNECTIONS)
        ]
        self.codes = ObservedCodes(self.ledger, in_row=False)
        self.leader = Sightings(in_row=False)
        self.leader.begin(T0)
        self.received = 0
        self._now_ns = T0
        self._message = 0

    def observe(self, messages: int) -> None:
        """Receive so many further messages on all connections; one in ten misses somebody."""
        for first in range(self._message, self._message + messages, BATCH):
            self._now_ns += UPDATE_NS
            for message in range(first, first + BATCH):
                code = self.codes.code(f"id-{message:x}")
                for session in self.sessions[message % 10 == 0 :]:
                    session.receive(code, self._now_ns)
            self._update()
        self._message += messages

    def settle(self) -> None:
        """Let time pass until nothing is in flight."""
        for _ in range(60):
            self._now_ns += UPDATE_NS
            self._update()

    def _update(self) -> None:
        for sighting in self.codes.take_new(self._now_ns):
            self.leader.add(sighting, self._now_ns)
        for numbered in self.leader.number_due(self._now_ns):
            self.codes.number(numbered)
        self.ledger.report_arrivals()
        self.ledger.settle(self._now_ns)
        taken: Tally = self.ledger.take()
        self.received += sum(code.delivered for code in taken.codes.values())


def test_five_million_sightings_leave_little(monkeypatch: pytest.MonkeyPatch) -> None:
    # So that the limits are reached early.
    monkeypatch.setattr(observed_codes, "_MAX_IDS", 2000)
    monkeypatch.setattr(sightings, "_MAX_IDS", 4000)
    observer = Observer()
    kept: list[int] = []
    for _ in range(5):
        observer.observe(MESSAGES // 5)
        observer.settle()
        kept.append(bytes_of(observer.ledger, observer.codes, observer.leader))
    assert observer.received == CONNECTIONS * MESSAGES - MESSAGES // 10
    assert observer.leader.numbered == MESSAGES
    # Of a message, its times remain, and one bit for each session that misses it.
    growth = (kept[-1] - kept[0]) / (MESSAGES * 4 / 5)
    assert growth < 100, kept


def test_the_leader_keeps_less_than_a_kibibyte_of_each_message() -> None:
    totals, kept = Totals(), list[int]()
    for second in range(1200):
        at_ns = T0 + second * S
        news = Tally()
        for sequence in range(second * 10 + 1, second * 10 + 11):
            totals.announce(sequence, at_ns)
            totals.set_status(sequence, "seen")
            totals.ids[sequence] = f"{sequence:032x}"
            code = news.code(sequence)
            code.owed = code.delivered = CONNECTIONS
            code.first_ns, code.last_ns = at_ns + sequence, at_ns + sequence * 1000
            code.latencies.add_all(range(500, 500 + 7 * CONNECTIONS, 7))
        packed = WorkerReport(news, {}, Gauges()).pack()
        totals.add_report("worker", WorkerReport.unpack(packed))
        totals.fold(at_ns)
        if second % 600 == 599:
            kept.append(bytes_of(totals))
    # Eight hours at ten messages a second are 288,000: less than 280 MiB.
    growth = (kept[1] - kept[0]) / 6000
    assert growth < 1000, kept
    assert totals.delivery().total == 12_000 * CONNECTIONS
