"""Old codes and seconds of a run: the same figures, in little memory."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.code_tally import CodeTally
from sseload_users.core.percentiles import Percentiles
from sseload_users.core.run_tally import RunTally
from sseload_users.core.second import Second
from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from tests.support.memory import bytes_of

S = 1_000_000_000
T0 = 1_700_000_000

COUNTS = st.integers(-3, 1 << 40)
LATENCIES = st.lists(st.integers(0, 4_000_000_000), max_size=5)


def plain(each: CodeTally | Second) -> dict[str, Any]:
    """All that is kept of an archived object."""
    left_out = ("latencies", "at_nodes", "delivery", "lag")
    return {one.name: getattr(each, one.name) for one in fields(each) if one.name not in left_out}


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    tally = Tally()
    for sequence in draw(st.sets(st.integers(0, 6) | st.integers(10**17, 10**17 + 2))):
        code = tally.code(sequence)
        for name in ("owed", "delivered", "missing", "unexpected"):
            setattr(code, name, draw(COUNTS))
        code.status = draw(st.sampled_from(["pending", "accepted", "unsent"]))
        code.overlooked = draw(st.booleans())
        code.sent_ns = (T0 + draw(st.integers(0, 9))) * S
        code.add_arrivals(draw(st.sampled_from([0, T0 * S + 5])), T0 * S + 9)
        code.latencies.add_all(draw(LATENCIES))
    for key in draw(st.sets(st.integers(T0, T0 + 6))):
        second = tally.second(key * S)
        second.open, second.received, second.stall_us = (draw(COUNTS) for _ in range(3))
        second.rss_mib = draw(st.floats(0, 1e6))
        second.cpu_percent = draw(st.floats(0, 100))
        second.waited_percent = draw(st.none() | st.floats(0, 100))
        second.delivery.add_all(draw(LATENCIES))
        second.lag.add_all(draw(LATENCIES))
    return tally


@settings(deadline=None)
@given(st.lists(st.tuples(tallies(), st.sets(st.integers(0, 9))), max_size=5))
def test_archiving_changes_no_figure(steps: list[tuple[Tally, set[int]]]) -> None:
    archived, whole = RunTally(), Tally()
    codes: dict[int, Percentiles] = {}
    seconds: dict[int, tuple[Any, ...]] = {}
    for tally, old in steps:
        archived.merge(tally)
        whole.merge(tally)
        for sequence in [each for each in whole.codes if each % 10 in old]:
            codes.setdefault(sequence, Percentiles.of(whole.codes[sequence].latencies))
            if archived.code(sequence):
                archived.codes.archive(sequence)
        for key in [each for each in whole.seconds if each % 10 in old]:
            second = whole.seconds[key]
            first = Percentiles.of(second.delivery), Percentiles.of(second.lag)
            seconds.setdefault(key, (*first, second.delivery.ranges().tolist()))
            if archived.second(key * S):
                archived.seconds.archive(key)
    assert len(archived.codes) == len(whole.codes)
    assert len(archived.seconds) == len(whole.seconds)
    found = {sequence: plain(code) for sequence, code in archived.codes.items()}
    assert found == {sequence: plain(code) for sequence, code in whole.codes.items()}
    assert {key: plain(each) for key, each in archived.seconds.items()} == {
        key: plain(each) for key, each in whole.seconds.items()
    }
    assert sorted(archived.codes.values_of("status", "owed", "last_ns")) == sorted(
        (code.status, code.owed, code.last_ns) for code in whole.codes.values()
    )
    for sequence in whole.codes:
        assert archived.codes.percentiles(sequence) == codes.get(sequence)
        assert sequence in archived.codes
    for key in whole.seconds:
        kept = archived.seconds.percentiles(key)
        known = kept and (kept.delivery, kept.lag, kept.ranges.tolist())
        assert known == seconds.get(key)
    assert 7 not in archived.codes
    assert archived.codes.get(10**17 + 3) is None
    assert archived.seconds.percentiles(T0 + 7) is None


def test_a_code_a_second_costs_a_few_hundred_bytes() -> None:
    totals = Totals()
    sizes = []
    for sequence in range(1, 6001):
        now_ns = (T0 + sequence) * S
        totals.announce(sequence, now_ns, 100)
        totals.set_status(sequence, "accepted", 900)
        tally = Tally()
        code, second = tally.code(sequence), tally.second(now_ns)
        code.owed = code.delivered = second.received = second.open = 1000
        code.add_arrivals(now_ns + 1000, now_ns + 9_000_000)
        code.latencies.add_all(range(1000, 9000, 8))
        second.delivery.add_all(range(1000, 9000, 8))
        second.lag.add_all(range(100, 900))
        totals.add_report("w", WorkerReport(tally, {sequence: 1000}, Gauges()))
        totals.fold(now_ns)
        if sequence % 3000 == 0:
            sizes.append(bytes_of(totals))
    assert totals.outcomes.delivered == 6000 * 1000
    assert (sizes[1] - sizes[0]) / 3000 < 450
    codes, seconds = totals.tally.codes, totals.tally.seconds
    assert sum(code.delivered for code in codes.values()) == 6000 * 1000
    assert sum(second.received for second in seconds.values()) == 6000 * 1000
    assert totals.spread().total == 6000


def test_a_late_copy_of_an_old_code_is_counted() -> None:
    totals = Totals()
    for sequence in range(1, 20):
        totals.announce(sequence, (T0 + sequence) * S)
        totals.set_status(sequence, "accepted")
        tally = Tally()
        tally.code(sequence).owed = tally.code(sequence).missing = 1
        totals.add_report("w", WorkerReport(tally, {}, Gauges()))
    totals.fold((T0 + 1000) * S)
    for now_s in (1000, 2000):
        correction = Tally()
        correction.code(1).missing, correction.code(1).late = -1, 1
        totals.add_report("w", WorkerReport(correction, {}, Gauges()))
        totals.fold((T0 + now_s) * S)
    assert (totals.tally.codes[1].missing, totals.tally.codes[1].late) == (-1, 2)
    assert totals.percentiles.histogram(1) is None
    assert len(totals.tally.codes) == 19
