from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.causes import bounded_cause
from sseload_users.core.code_tally import CodeTally
from sseload_users.core.counters import Counters
from sseload_users.core.histogram import CoarseHistogram, Histogram
from sseload_users.core.node_counts import NodeEvent
from sseload_users.core.second import Second
from sseload_users.core.tally import PackedTally, Tally
from tests.support.ledger_model import OUTCOMES, total_of

S = 10**9
T0 = 1_700_000_000 * S
HISTOGRAMS = ("connect", "recovery", "storm", "slip", "ingest", "lag", "stamp_error", "stalls")


def histogram(values: list[int]) -> Histogram:
    new = Histogram()
    new.add_all(values)
    return new


def coarse(values: list[int]) -> CoarseHistogram:
    new = CoarseHistogram()
    new.add_all(values)
    return new


latencies = st.lists(st.integers(0, 10**6), max_size=5)
histograms = latencies.map(histogram)
# A correction of what an earlier report said may be below nothing.
counts = st.integers(-5, 10**12)
spans = st.none() | st.tuples(st.integers(T0, T0 + S), st.integers(0, S))


events_at_nodes: st.SearchStrategy[tuple[int, NodeEvent, int]] = st.tuples(
    st.integers(0, 2), st.sampled_from(["connected", "dropped"]), st.integers(T0, T0 + 3 * S)
)


@st.composite
def code_tallies(draw: st.DrawFn) -> CodeTally:
    new = CodeTally(latencies=draw(histograms))
    for name in OUTCOMES:
        setattr(new, name, draw(counts))
    if (span := draw(spans)) is not None:
        new.add_arrivals(span[0], sum(span))
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
    names = st.sampled_from([each.name for each in fields(Counters)])
    new.counters = Counters(**draw(st.dictionaries(names, st.integers(-3, 10**9))))
    steps = st.tuples(st.sampled_from(["connect", "ingest"]), st.sampled_from(["a", "b: c", "ü"]))
    new.causes.update(draw(st.dictionaries(steps, st.integers(1, 10**6))))
    for cause in new.causes:
        if words := draw(st.sampled_from(["", "no", '"Not an accepted origin."'])):
            new.server_texts[cause] = words
    for name in HISTOGRAMS:
        setattr(new, name, draw(histograms))
    new.codes = draw(st.dictionaries(st.integers(0, 4), code_tallies(), max_size=3))
    for node, event, at in draw(st.lists(events_at_nodes, max_size=4)):
        new.count_at_node(node, event, at)
    new.seconds = draw(st.dictionaries(st.integers(T0 // S, T0 // S + 4), seconds(), max_size=3))
    return new


def seen(tally: Tally) -> PackedTally:
    """All that it says, comparable."""
    packed = tally.pack()
    packed["causes"] = sorted(packed["causes"])
    packed["nodes"] = sorted(packed["nodes"])
    packed["node_seconds"] = sorted(packed["node_seconds"])
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
def test_a_tally_survives_packing(tally: Tally) -> None:
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
        assert total_of(total, outcome) == sum(total_of(part, outcome) for part in parts)
    for each in fields(Counters):
        counted = sum(getattr(part.counters, each.name) for part in parts)
        assert getattr(total.counters, each.name) == counted
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


def test_a_status_survives_merging_in_any_order() -> None:
    teller, other = Tally(), Tally()
    teller.code(1).status, teller.code(1).sent_ns = "rejected", T0
    other.code(1).unexpected = 3
    for order in ([teller, other], [other, teller]):
        total = merged(order)
        code = total.codes[1]
        assert (code.status, code.sent_ns, code.unexpected) == ("rejected", T0, 3)


def test_a_correction_reverses_an_earlier_count() -> None:
    first, then = Tally(), Tally()
    first.code(1).owed, first.code(1).missing = 1, 1
    then.code(1).missing, then.code(1).late = -1, 1
    total = merged([travelled(first), travelled(then)])
    assert (total.codes[1].owed, total.codes[1].missing, total.codes[1].late) == (1, 0, 1)


def test_arrivals_span_from_the_first_to_the_last() -> None:
    code = CodeTally()
    code.add_arrivals(0, 0)
    assert (code.first_ns, code.last_ns) == (0, 0)
    code.add_arrivals(T0 + 5, T0 + 7)
    code.add_arrivals(T0 + 6, T0 + 6)
    code.add_arrivals(0, 0)
    code.add_arrivals(T0 + 1, T0 + 2)
    assert (code.first_ns, code.last_ns) == (T0 + 1, T0 + 7)


def test_a_second_is_found_by_any_moment_in_it() -> None:
    tally = Tally()
    second = tally.second(T0)
    assert tally.second(T0 + S - 1) is second
    assert tally.second(T0 + S) is not second
    tally.count_failure("connect", "timed out", T0 + S)
    tally.count_failure("connect", "timed out", T0 + S + 1)
    assert tally.causes == {("connect", "timed out"): 2}
    assert tally.second(T0 + S).errors == 2
    assert second.errors == 0


def test_a_cause_keeps_the_server_text_of_one_failure() -> None:
    tally, other = Tally(), Tally()
    tally.count_failure("ingest", "HTTP 410", T0)
    assert tally.server_texts == {}
    tally.count_failure("ingest", "HTTP 410", T0, "disabled")
    other.count_failure("ingest", "HTTP 410", T0, "gone")
    other.count_failure("ingest", "HTTP 400", T0)
    words = {("ingest", "HTTP 410"): "disabled"}
    assert merged([tally, other]).server_texts == words
    assert merged([other, travelled(tally)]).server_texts == words


def test_the_number_of_distinct_causes_is_bounded() -> None:
    known = {("connect", str(number)) for number in range(100)}
    assert bounded_cause(("connect", "7"), known) == ("connect", "7")
    assert bounded_cause(("ingest", "7"), known) == ("ingest", "other")
    assert bounded_cause(("ingest", "7"), set(list(known)[1:])) == ("ingest", "7")
    assert bounded_cause(("ingest", "timed out"), known) == ("ingest", "timed out")


def test_conversion_changes_arrivals_and_seconds_but_not_send_times() -> None:
    tally = Tally()
    code = tally.code(1)
    code.sent_ns = T0
    code.add_arrivals(T0 + 5, T0 + 9)
    tally.code(2).missing = 1
    tally.second(T0).received = 7
    tally.second(T0 + S).received = 5
    tally.convert_times(lambda at_ns: at_ns + 3, lambda at_ns: at_ns - 2 * S - S // 4)
    assert (code.first_ns, code.last_ns, code.sent_ns) == (T0 + 8, T0 + 12, T0)
    assert (tally.codes[2].first_ns, tally.codes[2].last_ns) == (0, 0)
    assert {key - T0 // S: each.received for key, each in tally.seconds.items()} == {-2: 7, -1: 5}


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(10, 40), st.integers(0, 100)),
    st.integers(-5 * S, 5 * S),
    st.floats(0.5, 1.5),
)
def test_conversion_preserves_all_counts(received: dict[int, int], by_ns: int, rate: float) -> None:
    tally = Tally()
    for key, many in received.items():
        tally.second(key * S).received = many
    tally.convert_times(lambda at_ns: at_ns, lambda at_ns: round(at_ns * rate) + by_ns)
    assert sum(each.received for each in tally.seconds.values()) == sum(received.values())
