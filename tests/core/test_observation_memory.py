"""Hours of observation in seconds: five million sightings, and what remains of them."""

from __future__ import annotations

import pytest

from sseload_users.core import observed_codes, sightings
from sseload_users.core.ledger import Ledger
from sseload_users.core.observed_codes import ObservedCodes
from sseload_users.core.sightings import Sightings
from sseload_users.core.tally import Tally
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
