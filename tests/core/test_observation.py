from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.ledger import Ledger
from sseload_users.core.observed_codes import ObservedCodes
from sseload_users.core.sightings import MERGE_NS, Numbered, Sighting, Sightings

S = 1_000_000_000
NOW = 100 * S


def begun(*, in_row: bool = False) -> Sightings:
    sightings = Sightings(in_row=in_row)
    sightings.begin(NOW)
    return sightings


def test_the_earliest_sighting_of_all_workers_stands_for_the_sending() -> None:
    sightings = begun()
    for id_, seen_ns in (("b", NOW + 30), ("a", NOW + 50), ("b", NOW + 40), ("a", NOW + 20)):
        assert sightings.add(Sighting(id_, seen_ns, None), NOW + S) is None
    assert sightings.number_due(NOW + S + MERGE_NS - 1) == []
    numbered = [Numbered("a", 1, NOW + 20), Numbered("b", 2, NOW + 30)]
    assert sightings.number_due(NOW + S + MERGE_NS) == numbered
    # A worker that sees it later gets the same number again.
    assert sightings.add(Sighting("a", NOW + 5 * S, None), NOW + 5 * S) == numbered[0]
    assert sightings.number_due(NOW + 9 * S) == []


def test_only_what_is_first_seen_during_the_observation_counts() -> None:
    sightings = Sightings(in_row=False)
    for id_, seen_ns in (("before", NOW - 1), ("within", NOW), ("after", NOW + 2 * S + 1)):
        sightings.add(Sighting(id_, seen_ns, None), NOW)
    sightings.begin(NOW)
    # Another worker sees it within the time, but it is older.
    sightings.add(Sighting("before", NOW + 1, None), NOW)
    sightings.end(NOW + 2 * S)
    assert [each.id for each in sightings.number_due(NOW, final=True)] == ["within"]
    assert sightings.add(Sighting("before", NOW + S, None), NOW + S) is None
    assert sightings.number_due(NOW + 9 * S) == []


def test_a_time_after_the_first_sighting_is_not_believed() -> None:
    sightings = begun()
    sightings.add(Sighting("a", NOW + 10, NOW + 4), NOW)
    sightings.add(Sighting("b", NOW + 11, NOW + 40), NOW)
    times = [each.sent_ns for each in sightings.number_due(NOW, final=True)]
    assert times == [NOW + 4, NOW + 11]


@given(
    st.sets(st.integers(1, 60), min_size=1).flatmap(lambda ids: st.permutations(sorted(ids))),
    st.integers(0, 10**14),
)
def test_holes_are_the_numbers_that_nobody_saw(ids: list[int], offset: int) -> None:
    sightings = begun(in_row=True)
    for at, each in enumerate(ids):
        sightings.add(Sighting(str(each + offset), NOW + at, None), NOW)
    numbered = sightings.number_due(NOW, final=True)
    assert [each.sequence for each in numbered] == [each + offset for each in ids]
    missing = set(range(min(ids), max(ids) + 1)) - set(ids)
    assert sightings.holes == len(missing)


def test_numbers_seen_outside_the_observation_are_no_holes() -> None:
    sightings = begun(in_row=True)
    for number, seen_ns in ((5, NOW), (6, NOW - 1), (7, NOW + 1), (9, NOW + 2)):
        sightings.add(Sighting(str(number), seen_ns, None), NOW)
    sightings.number_due(NOW, final=True)
    assert (sightings.numbered, sightings.holes) == (3, 1)


def test_a_number_far_from_all_others_does_not_count() -> None:
    sightings = begun(in_row=True)
    for at, number in enumerate((5, 10**12, 6)):
        sightings.add(Sighting(str(number), NOW + at, None), NOW)
    assert [each.sequence for each in sightings.number_due(NOW, final=True)] == [5, 6]
    assert (sightings.skipped, sightings.holes) == (1, 0)


class Worker:
    """A ledger with observed codes and two sessions."""

    def __init__(self, *, in_row: bool = False) -> None:
        self.ledger = Ledger(1.0)
        self.codes = ObservedCodes(self.ledger, in_row=in_row)
        self.sessions = [
            self.ledger.open_session(self.ledger.add_connection(), NOW - 9 * S, NOW - 9 * S)
            for _ in range(2)
        ]

    def receive(self, session: int, id_: str, at_ns: int) -> None:
        self.sessions[session].receive(self.codes.code(id_), at_ns)


@pytest.mark.parametrize(
    ("in_row", "ids", "out_of_order"),
    [(False, ["a", "b"], 0), (True, ["7", "8"], 1), (True, ["8", "7"], 1)],
)
def test_copies_before_and_after_the_number_are_counted(
    in_row: bool, ids: list[str], out_of_order: int
) -> None:
    worker = Worker(in_row=in_row)
    first, second = ids
    worker.receive(0, first, NOW)
    worker.receive(0, second, NOW + 1)
    worker.receive(0, second, NOW + 2)
    assert [each.id for each in worker.codes.take_new(NOW)] == [first, second]
    assert worker.codes.take_new(NOW) == []
    numbers = map(int, ids) if in_row else (1, 2)
    for id_, sequence in zip(ids, numbers, strict=True):
        worker.codes.number(Numbered(id_, sequence, NOW))
    worker.receive(1, second, NOW + 3)
    worker.receive(1, first, NOW + 4)
    worker.ledger.settle(NOW + 3 * S)
    codes = worker.ledger.tally.codes.values()
    assert sum(each.delivered for each in codes) == 4
    assert sum(each.duplicate for each in codes) == 1
    assert sum(each.missing for each in codes) == 0
    # One of the two sessions has them in the wrong order.
    assert worker.ledger.tally.counters.out_of_order == out_of_order


def test_a_copy_of_a_forgotten_message_is_a_duplicate_of_it() -> None:
    worker = Worker()
    for session in (0, 1):
        worker.receive(session, "a", NOW)
    worker.codes.number(Numbered("a", 1, NOW))
    worker.ledger.settle(NOW + 3 * S)
    for other in range(50_001):
        worker.codes.number(Numbered(str(other), 2, NOW))
    worker.receive(0, "a", NOW + 9 * S)
    assert [each.id for each in worker.codes.take_new(NOW + 9 * S)] == ["a"]
    worker.codes.number(Numbered("a", 1, NOW))
    account = worker.ledger.tally.codes[1]
    assert (account.delivered, account.duplicate, account.missing) == (2, 1, 0)


def test_a_message_without_a_number_is_forgotten() -> None:
    worker = Worker()
    worker.receive(0, "a", NOW)
    held = worker.codes.code("a")
    worker.codes.take_new(NOW)
    assert worker.codes.code("a") is held
    worker.codes.take_new(NOW + 60 * S)
    assert worker.codes.code("a") is not held
    assert not held.copies
