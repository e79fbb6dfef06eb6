from __future__ import annotations

import copy
from collections import Counter
from dataclasses import fields
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.histogram import Coarse, Histogram
from sseload_users.core.tally import OUTCOMES, CodeTally, Second, Tally, told_apart

S = 10**9
T0 = 1_700_000_000 * S
HISTOGRAMS = ("connect", "recovery", "storm", "slip", "ingest", "lag", "stalls")


def histogram(values: list[int]) -> Histogram:
    new = Histogram()
    new.add_all(values)
    return new


def coarse(values: list[int]) -> Coarse:
    new = Coarse()
    new.add_all(values)
    return new


latencies = st.lists(st.integers(0, 10**6), max_size=5)
histograms = latencies.map(histogram)
# A correction of what an earlier report said may be below nothing.
counts = st.integers(-5, 10**12)
spans = st.none() | st.tuples(st.integers(T0, T0 + S), st.integers(0, S))


@st.composite
def code_tallies(draw: st.DrawFn) -> CodeTally:
    new = CodeTally(latencies=draw(histograms))
    for name in OUTCOMES:
        setattr(new, name, draw(counts))
    if (span := draw(spans)) is not None:
        new.arrived(span[0], sum(span))
    return new


@st.composite
def seconds(draw: st.DrawFn) -> Second:
    return Second(
        **{each.name: draw(st.integers(0, 10**6)) for each in fields(Second) if each.type == "int"},
        cpu_percent=draw(st.floats(0, 100)),
        waited_percent=draw(st.none() | st.floats(0, 100)),
        busy_percent=draw(st.floats(0, 200)),
        delivery=draw(latencies.map(coarse)),
        lag=draw(latencies.map(coarse)),
    )


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    new = Tally()
    names = st.sampled_from(["attempted", "dropped", "out_of_order"])
    new.counts.update(draw(st.dictionaries(names, st.integers(-3, 10**9))))
    steps = st.tuples(st.sampled_from(["connect", "ingest"]), st.sampled_from(["a", "b: c", "ü"]))
    new.causes.update(draw(st.dictionaries(steps, st.integers(1, 10**6))))
    for cause in new.causes:
        if said := draw(st.sampled_from(["", "no", '"Not an accepted origin."'])):
            new.said[cause] = said
    for name in HISTOGRAMS:
        setattr(new, name, draw(histograms))
    new.codes = draw(st.dictionaries(st.integers(0, 4), code_tallies(), max_size=3))
    new.seconds = draw(st.dictionaries(st.integers(T0 // S, T0 // S + 4), seconds(), max_size=3))
    return new


def seen(tally: Tally) -> dict[str, Any]:
    """All that it says, comparable."""
    packed = tally.pack()
    packed["counts"] = {name: many for name, many in packed["counts"].items() if many}
    packed["causes"] = sorted(packed["causes"])
    return packed


def travelled(tally: Tally) -> Tally:
    """As Locust sends it from a worker to the master."""
    packed = msgpack.packb(tally.pack(), use_bin_type=True)
    return Tally.unpack(msgpack.unpackb(packed, strict_map_key=False))


def merged(parts: list[Tally]) -> Tally:
    total = Tally()
    for part in parts:
        total.merge(part)
    return total


@settings(deadline=None)
@given(tallies())
def test_a_tally_survives_the_way_to_the_master(tally: Tally) -> None:
    assert seen(travelled(tally)) == seen(tally)


@settings(max_examples=40, deadline=None)
@given(st.lists(tallies(), max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_merging_does_not_matter(parts: list[Tally], shuffle: Any) -> None:
    before = copy.deepcopy([seen(part) for part in parts])
    total = merged(parts)
    halves = merged([merged(parts[:2]), merged(parts[2:])])
    shuffled = [travelled(part) for part in parts]
    shuffle.shuffle(shuffled)
    assert seen(total) == seen(halves) == seen(merged(shuffled))
    assert [seen(part) for part in parts] == before  # nothing is shared with the total


@settings(max_examples=40, deadline=None)
@given(st.lists(tallies(), max_size=4))
def test_a_total_is_the_sum_of_its_parts(parts: list[Tally]) -> None:
    total = merged(parts)
    for outcome in OUTCOMES:
        assert total.total(outcome) == sum(part.total(outcome) for part in parts)
    wanted: Counter[str] = Counter()
    for part in parts:
        wanted.update(part.counts)
    assert {k: v for k, v in total.counts.items() if v} == {k: v for k, v in wanted.items() if v}
    for sequence, code in total.codes.items():
        mine = [part.codes[sequence] for part in parts if sequence in part.codes]
        firsts = [each.first_ns for each in mine if each.first_ns]
        assert code.first_ns == min(firsts, default=0)
        assert code.last_ns == max((each.last_ns for each in mine), default=0)
        assert code.latencies.total == sum(each.latencies.total for each in mine)
    for key, second in total.seconds.items():
        same = [part.seconds[key] for part in parts if key in part.seconds]
        assert second.received == sum(each.received for each in same)
        assert second.cpu_percent == max(each.cpu_percent for each in same)
        assert second.busy_percent == max(each.busy_percent for each in same)
        waits = [each.waited_percent for each in same if each.waited_percent is not None]
        assert second.waited_percent == max(waits, default=None)
        assert second.delivery.total == sum(each.delivery.total for each in same)
        assert second.lag.total == sum(each.lag.total for each in same)


def test_the_broadcaster_s_worker_tells_the_status_and_nobody_else_loses_it() -> None:
    teller, other = Tally(), Tally()
    teller.code(1).status, teller.code(1).sent_ns = "rejected", T0
    other.code(1).unexpected = 3
    for order in ([teller, other], [other, teller]):
        total = merged(order)
        code = total.codes[1]
        assert (code.status, code.sent_ns, code.unexpected) == ("rejected", T0, 3)


def test_a_correction_takes_back_what_was_said() -> None:
    first, then = Tally(), Tally()
    first.code(1).owed, first.code(1).missing = 1, 1
    then.code(1).missing, then.code(1).late = -1, 1
    total = merged([travelled(first), travelled(then)])
    assert (total.total("owed"), total.total("missing"), total.total("late")) == (1, 0, 1)


def test_arrivals_span_from_the_first_to_the_last() -> None:
    code = CodeTally()
    code.arrived(0, 0)
    assert (code.first_ns, code.last_ns) == (0, 0)
    code.arrived(T0 + 5, T0 + 7)
    code.arrived(T0 + 6, T0 + 6)
    code.arrived(0, 0)
    code.arrived(T0 + 1, T0 + 2)
    assert (code.first_ns, code.last_ns) == (T0 + 1, T0 + 7)


def test_a_second_is_found_by_any_moment_in_it() -> None:
    tally = Tally()
    second = tally.second(T0)
    assert tally.second(T0 + S - 1) is second
    assert tally.second(T0 + S) is not second
    tally.failed("connect", "timed out", T0 + S)
    tally.failed("connect", "timed out", T0 + S + 1)
    assert tally.causes == {("connect", "timed out"): 2}
    assert tally.second(T0 + S).errors == 2
    assert second.errors == 0


def test_a_cause_has_the_words_of_one_failure() -> None:
    tally, other = Tally(), Tally()
    tally.failed("ingest", "HTTP 410", T0)
    assert tally.said == {}
    tally.failed("ingest", "HTTP 410", T0, "disabled")
    other.failed("ingest", "HTTP 410", T0, "gone")
    other.failed("ingest", "HTTP 400", T0)
    assert merged([tally, other]).said == {("ingest", "HTTP 410"): "disabled"}
    assert merged([other, travelled(tally)]).said == {("ingest", "HTTP 410"): "disabled"}


def test_only_so_many_causes_are_told_apart_and_the_rest_by_their_step() -> None:
    known = {("connect", str(number)) for number in range(100)}
    assert told_apart(("connect", "7"), known) == ("connect", "7")
    assert told_apart(("ingest", "7"), known) == ("ingest", "other")
    assert told_apart(("ingest", "7"), set(list(known)[1:])) == ("ingest", "7")
    assert told_apart(("ingest", "timed out"), known) == ("ingest", "timed out")


def test_a_move_puts_arrivals_and_seconds_on_another_clock_and_no_send_times() -> None:
    tally = Tally()
    code = tally.code(1)
    code.sent_ns = T0
    code.arrived(T0 + 5, T0 + 9)
    tally.code(2).missing = 1
    tally.second(T0).received = 7
    tally.second(T0 + S).received = 5
    tally.move(lambda at_ns: at_ns + 3, lambda at_ns: at_ns - 2 * S - S // 4)
    assert (code.first_ns, code.last_ns, code.sent_ns) == (T0 + 8, T0 + 12, T0)
    assert (tally.codes[2].first_ns, tally.codes[2].last_ns) == (0, 0)
    assert {key - T0 // S: each.received for key, each in tally.seconds.items()} == {-2: 7, -1: 5}


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(10, 40), st.integers(0, 100)),
    st.integers(-5 * S, 5 * S),
    st.floats(0.5, 1.5),
)
def test_a_move_loses_nothing(received: dict[int, int], by_ns: int, rate: float) -> None:
    tally = Tally()
    for key, many in received.items():
        tally.second(key * S).received = many
    tally.move(lambda at_ns: at_ns, lambda at_ns: round(at_ns * rate) + by_ns)
    assert sum(each.received for each in tally.seconds.values()) == sum(received.values())
