"""The diagnosis: planted patterns are named, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.evidence import (
    AGES_S,
    MAX_CODES,
    SAMPLE,
    Copies,
    Drop,
    Evidence,
    Fan,
    Pace,
    age_bin,
)
from sseload_users.core.figures import FailureCause, GeneratorFigures
from sseload_users.verdict.diagnosis import diagnose
from sseload_users.verdict.symptoms import CodeSymptoms, Finding, Symptoms
from tests.support.reports import causes_of, sample

#: Whether a connection (from 0) of a run lacks a code (from 1).
Lacks = Callable[[int, int], bool]

WORKERS = ("a", "b")


def run_of(
    lacks: Lacks = lambda _place, _code: False,
    *,
    connections: int = 40,
    codes: int = 20,
    age_s: Callable[[int], float] = lambda code: 10.0 + code,
    p50_ms: Callable[[int], float] = lambda _code: 5.0,
    copies: int = 0,
    channels: Callable[[int], str] | None = None,
    sizes: Callable[[int], int | None] = lambda _code: None,
) -> Symptoms:
    """The symptoms of a run with a code a second, of two workers with half the connections each.

    Args:
        lacks: what is missing.
        connections: their number on both workers.
        codes: their number.
        age_s: the sessions' age when a code was sent.
        p50_ms: the median latency of a code.
        copies: further copies of each delivery.
        channels: a connection's channel.
        sizes: the size of a code's payload.
    """
    workers = {name: Evidence() for name in WORKERS}
    rows = []
    half = connections // 2
    for code in range(1, codes + 1):
        lost = 0
        for at, name in enumerate(WORKERS):
            evidence, owed, lacking = workers[name], 0, 0
            for place in range(half):
                evidence.users[place] = f"user{at * half + place}"
                if channels is not None:
                    evidence.channels[place] = channels(at * half + place)
                owed |= 1 << place
                evidence.ages_owed[age_bin(int(age_s(code) * 1e9))] += 1
                if lacks(at * half + place, code):
                    lacking |= 1 << place
                    evidence.ages_lacking[age_bin(int(age_s(code) * 1e9))] += 1
            if lacking:
                evidence.owed[code], evidence.lacking[code] = owed, lacking
            lost += lacking.bit_count()
        duplicate = copies * (connections - lost)
        at_s, size = float(code), sizes(code)
        rows.append(CodeSymptoms(code, at_s, connections, lost, duplicate, p50_ms(code), size))
    return Symptoms(sample(connections, codes), rows, workers)


def found(symptoms: Symptoms) -> list[str]:
    return [each.pattern for each in diagnose(symptoms)]


def one(symptoms: Symptoms) -> Finding:
    (finding,) = diagnose(symptoms)
    return finding


def with_drops(symptoms: Symptoms, drops: Iterable[Drop]) -> Symptoms:
    symptoms.workers["a"].drops = [*drops]
    return symptoms


def test_a_healthy_run_has_no_diagnosis() -> None:
    assert found(run_of()) == []


@pytest.mark.parametrize("seed", range(200))
def test_random_faults_get_no_name(seed: int) -> None:
    draw = random.Random(seed)
    rate = draw.choice([0.0, 0.001, 0.01, 0.05, 0.2, 0.5])
    symptoms = run_of(lambda _place, _code: draw.random() < rate, codes=draw.choice([5, 20, 100]))
    drops = [Drop(draw.randrange(60_000), age := draw.randrange(60_000), draw.randrange(age + 1))
             for _ in range(draw.choice([0, 3, 20]))]  # fmt: skip
    assert found(with_drops(symptoms, drops)) == []


@pytest.mark.parametrize("instances", [2, 3, 4])
def test_instances_without_a_broker_are_found(instances: int) -> None:
    finding = one(run_of(lambda place, code: (place + code) % instances != 0))
    assert finding.pattern == "isolated_instances"
    assert finding.explains == 1.0
    assert finding.evidence["groups"] == instances
    assert "broker" in finding.hint


def test_instances_are_found_where_each_worker_is_at_one_of_them() -> None:
    # Each worker says nothing of the codes that only the other one lacks.
    finding = one(run_of(lambda place, code: (place >= 20) == (code % 3 > 0)))
    assert finding.pattern == "isolated_instances"
    assert (finding.evidence["groups"], finding.explains) == (2, 1.0)


def test_a_worker_that_gets_nothing_is_not_an_instance() -> None:
    finding = one(run_of(lambda place, _code: place >= 20))
    assert finding.pattern == "same_connections"
    assert "the same worker, b" in finding.sentence


@pytest.mark.parametrize(
    ("address", "pattern"), [("10.0.0.1", "isolated_instances"), ("10.0.0.2", "same_connections")]
)
def test_each_worker_may_be_at_an_instance_of_its_own(address: str, pattern: str) -> None:
    # As the workers connect in turn, a balancer that takes two instances in turn deals them so.
    symptoms = run_of(lambda place, _code: place >= 20)
    for name, source in (("a", "10.0.0.1"), ("b", address)):
        symptoms.workers[name].move_to(source, (1 << 20) - 1)
    finding = one(symptoms)
    assert finding.pattern == pattern
    assert "worker" in finding.hint or "source address" in finding.hint


@pytest.mark.parametrize("instances", [3, 4])
def test_an_instance_at_which_no_code_is_handed_in_is_found_beside_others(instances: int) -> None:
    # A publisher that keeps its connection moves once, to another instance.
    def lacks(place: int, code: int) -> bool:
        return place % instances != (0 if code < 6 else 1)

    finding = one(run_of(lacks))
    assert finding.pattern == "isolated_instances"
    assert finding.explains == 1.0
    assert finding.evidence["starved"] == sum(place % instances > 1 for place in range(40))


def test_a_few_connections_that_get_nothing_are_no_instance_beside_others() -> None:
    mute = {3, 8, 21}
    symptoms = run_of(lambda place, code: place in mute or (place + code) % 2 != 0)
    assert found(symptoms) == []


def test_connections_that_fell_silent_early_are_not_instances() -> None:
    finding = one(run_of(lambda place, code: place % 2 == 0 and code > 3))
    assert finding.pattern == "silent_cut"


def test_an_instance_that_gets_nothing_is_found() -> None:
    # 54 of 100 got all, 46 nothing.
    finding = one(run_of(lambda place, _code: place >= 54, connections=100))
    assert finding.pattern == "isolated_instances"
    assert "46" in finding.sentence or "54" in finding.sentence


@pytest.mark.parametrize("bad", [1, 3])
def test_connections_that_miss_everything_are_found(bad: int) -> None:
    finding = one(run_of(lambda place, _code: place % 13 < bad and place < 13))
    assert finding.pattern == "same_connections"
    assert finding.evidence["connections"] == bad
    assert finding.explains == 1.0


def test_one_of_a_few_connections_may_be_at_another_instance() -> None:
    assert found(run_of(lambda place, _code: place == 1, connections=4)) == []
    assert found(run_of(lambda place, _code: place == 1, connections=6)) == ["same_connections"]


def test_what_they_share_is_named() -> None:
    finding = one(
        run_of(lambda place, _code: place % 8 == 1, channels=lambda place: f"room {place % 8}")
    )
    assert finding.pattern == "same_connections"
    assert finding.evidence["channel"] == "room 1"
    assert "the same channel, room 1" in finding.sentence


def test_the_source_address_that_they_share_is_named() -> None:
    symptoms = run_of(lambda place, _code: place % 4 == 1)
    for evidence in symptoms.workers.values():
        for number in evidence.users:
            evidence.move_to("10.0.0.9", 1 << number)
            evidence.move_to(f"10.0.0.{number % 4}", 1 << number)
    assert one(symptoms).evidence["source address"] == "10.0.0.1"


def in_channels(lost: dict[str, int]) -> Symptoms:
    """A run with 100 pairs in each channel, so many of which were lost."""
    return replace(run_of(), channels={name: (100, each) for name, each in lost.items()})


def with_losses(symptoms: Symptoms) -> Symptoms:
    """The same with random losses in the sample."""
    draw = random.Random(5)
    return replace(run_of(lambda _place, _code: draw.random() < 0.1), channels=symptoms.channels)


def test_the_channels_of_losses_are_named() -> None:
    finding = one(with_losses(in_channels({"a": 0, "b": 1, "c": 90, "d": 0})))
    assert finding.pattern == "by_channel"
    assert finding.evidence["names"] == "c"
    assert finding.explains == 90 / 91


def test_losses_in_all_channels_are_not_by_channel() -> None:
    assert found(with_losses(in_channels(dict.fromkeys("abcd", 60)))) == []
    assert found(with_losses(in_channels({"a": 30, "b": 20, "c": 25, "d": 28}))) == []


NODES = ("http://a", "http://b", "http://c")


@pytest.mark.parametrize(
    ("lossy", "which"),
    [
        (lambda source, to: source != to, "codes sent to one node and sessions at another"),
        (lambda _, to: to == "http://b", "sessions at http://b"),
        (lambda source, _: source == "http://c", "codes sent to http://c"),
        (lambda *_: True, None),
        (lambda source, to: source == to, None),
    ],
)
def test_the_nodes_of_losses_are_named(
    lossy: Callable[[str, str], bool], which: str | None
) -> None:
    pairs = {each: (100, 95 if lossy(*each) else 0) for each in product(NODES, NODES)}
    symptoms = replace(with_losses(run_of()), nodes=pairs)
    if which is None:
        assert found(symptoms) == []
    else:
        finding = one(symptoms)
        assert (finding.pattern, finding.explains) == ("by_node", 1.0)
        assert finding.evidence["which"] == which


def test_a_silent_cut_is_found() -> None:
    finding = one(run_of(lambda place, code: place in (3, 30) and code > 12))
    assert finding.pattern == "silent_cut"
    assert (finding.evidence["connections"], finding.evidence["from_s"]) == (2, 13.0)


@pytest.mark.parametrize(("early", "patterns"), [(3, ["silent_cut"]), (14, [])])
def test_some_may_be_cut_before_the_first_code(early: int, patterns: list[str]) -> None:
    finding = found(run_of(lambda place, code: place < early or (place < early + 5 and code > 4)))
    assert finding == patterns


def test_a_quarter_that_gets_nothing_is_not_an_instance() -> None:
    finding = one(run_of(lambda place, _code: place % 4 == 0))
    assert finding.pattern == "same_connections"
    assert finding.evidence["connections"] == 10


def test_what_slow_readers_have_not_read_yet_is_no_silent_cut() -> None:
    symptoms = run_of(lambda place, code: place in (3, 30) and code > 12)
    for name, slow in (("a", 3), ("b", 10)):
        symptoms.workers[name].slow = 1 << slow
    assert found(symptoms) == []
    also = run_of(lambda place, code: place in (3, 4, 30) and code > 12)
    also.workers["a"].slow = 1 << 3
    assert one(also).evidence["connections"] == 2


def test_connections_whose_codes_come_late_are_not_cut() -> None:
    symptoms = run_of(lambda _place, code: code > 12)
    assert found(symptoms) == ["silent_cut"]
    codes = [replace(code, late=code.lost) for code in symptoms.codes]
    assert found(replace(symptoms, codes=codes)) == []


@pytest.mark.parametrize("instances", [2, 3])
def test_the_latest_codes_show_the_pattern_of_a_long_run(instances: int) -> None:
    symptoms = kept(run_of(lambda place, code: (place + code) % instances != 0, codes=1200))
    assert one(symptoms).pattern == "isolated_instances"


def test_a_sentence_says_that_it_is_about_the_latest_codes() -> None:
    symptoms = kept(run_of(lambda place, _code: place == 3, codes=1200))
    finding = one(symptoms)
    assert finding.pattern == "same_connections"
    assert f"in the latest {MAX_CODES} codes" in finding.sentence


def test_a_run_that_goes_on_is_judged_by_its_latest_codes() -> None:
    symptoms = run_of(lambda place, code: place == 3 or code < 100, codes=400)
    codes = [code for code in symptoms.codes if code.sequence > 100]
    latest = replace(symptoms, codes=codes, partial=True)
    finding = one(latest)
    assert finding.pattern == "same_connections"
    assert finding.explains == 1.0
    assert "in the latest 300 codes" in finding.sentence


def kept(symptoms: Symptoms) -> Symptoms:
    """The same with what a leader keeps of it, from reports of 50 codes."""
    workers = {}
    for name, whole in symptoms.workers.items():
        merged = Evidence(users=whole.users)
        codes = sorted(whole.owed)
        for at in range(0, len(codes), 50):
            report = Evidence()
            for code in codes[at : at + 50]:
                report.add(code, whole.owed[code], whole.lacking[code])
            merged.merge(Evidence.unpack(report.pack()))
        workers[name] = merged
    return replace(symptoms, workers=workers)


def test_evidence_of_which_codes_are_left_out_begins_anew() -> None:
    evidence, report = Evidence(), Evidence()
    evidence.add(1, 3, 1)
    for code in range(5, 10 + MAX_CODES):
        report.add(code, 3, 2)
    evidence.merge(report)
    assert evidence.first_kept == min(evidence.owed) == 10
    assert len(evidence.owed) == len(evidence.lacking) == MAX_CODES


def test_the_first_seconds_are_found() -> None:
    symptoms = run_of(
        lambda _place, code: code == 1, age_s=lambda code: 0.05 + 1.0 * (code - 1), codes=20
    )
    finding = one(symptoms)
    assert finding.pattern == "first_seconds"
    assert finding.evidence["seconds"] == 0.05


def test_sessions_that_received_a_code_are_past_their_first_seconds() -> None:
    symptoms = run_of(lambda _place, code: code == 1, age_s=lambda code: 0.05 + 1.0 * (code - 1))
    symptoms.workers["a"].lacking_later = 20
    assert found(symptoms) == []


def test_the_first_seconds_may_end_between_two_steps_of_ages() -> None:
    finding = one(run_of(lambda _place, code: code <= 4, age_s=lambda code: 0.4 + 0.2 * code))
    assert finding.pattern == "first_seconds"
    assert finding.evidence["seconds"] == 2.0


def test_a_moment_soon_after_sessions_began_is_not_their_first_seconds() -> None:
    # All sessions began together: at their ages of 1.2 and 1.4 s, but not before, codes are lost.
    finding = one(
        run_of(lambda _place, code: code in (6, 7), age_s=lambda code: 0.2 * code, codes=40)
    )
    assert finding.pattern == "one_moment"


def test_the_beginning_of_a_run_is_not_one_moment() -> None:
    assert found(run_of(lambda _place, code: code <= 3)) == []


def test_one_moment_is_found() -> None:
    draw = random.Random(1)
    symptoms = run_of(lambda _place, code: 8 <= code <= 10 and draw.random() < 0.9)
    drops = [Drop(9_000 + each, 5_000 + 700 * each, 0) for each in range(4)]
    symptoms = with_drops(symptoms, drops)
    finding = one(symptoms)
    assert finding.pattern == "one_moment"
    assert (finding.evidence["from_s"], finding.evidence["to_s"]) == (8.0, 10.0)
    assert "4 sessions of the sample ended" in finding.sentence


def test_one_age_of_sessions_is_found() -> None:
    draw = random.Random(2)
    drops = [
        Drop(began + 6_000 + (age := draw.randrange(-150, 150)), 6_000 + age, draw.randrange(900))
        for began in range(0, 20_000, 1_000)
    ]
    finding = one(with_drops(run_of(), drops))
    assert finding.pattern == "session_age"
    assert finding.evidence["seconds"] == pytest.approx(6.0, abs=0.1)


def test_an_idle_timeout_is_found() -> None:
    draw = random.Random(3)
    drops = [
        Drop(at, 3_000 + draw.randrange(15_000), 3_000 + draw.randrange(-100, 100))
        for at in range(3_000, 23_000, 1_000)
    ]
    finding = one(with_drops(run_of(), drops))
    assert finding.pattern == "idle_cut"
    assert finding.evidence["seconds"] == pytest.approx(3.0, abs=0.1)


def test_sessions_that_end_with_a_code_have_no_age() -> None:
    # Each session ends with its third code, and codes come once a second.
    drops = [Drop(at + 3, 2_500 + at % 7, 2) for at in range(3_000, 20_000, 700)]
    assert found(with_drops(run_of(), drops)) == []


@pytest.mark.parametrize(("age_ms", "idle_ms", "pattern"), [(7, 300, "session_age"),
                                                            (300, 7, "idle_cut")])  # fmt: skip
def test_the_steadier_time_is_named(age_ms: int, idle_ms: int, pattern: str) -> None:
    # With a code a second, what is idle for 4 s is of nearly the same age each time, too.
    draw = random.Random(7)
    drops = [
        Drop(at, 6_000 + draw.randrange(-age_ms, age_ms), 4_000 + draw.randrange(-idle_ms, idle_ms))
        for at in range(6_000, 26_000, 1_000)
    ]
    assert found(with_drops(run_of(), drops)) == [pattern]


def test_times_that_are_equally_steady_are_not_told_apart() -> None:
    drops = [Drop(at, 6_000 + at % 7, 4_000 + at % 5) for at in range(6_000, 26_000, 700)]
    assert found(with_drops(run_of(), drops)) == []


def test_a_few_random_drops_are_no_idle_timeout() -> None:
    idle = (700, 620, 640, 650, 400, 820)
    drops = [Drop(2_000 + 500 * at, 900 + 300 * at, each) for at, each in enumerate(idle)]
    assert found(with_drops(run_of(), drops)) == []


def test_sessions_that_received_nothing_may_be_limited_in_age() -> None:
    drops = [Drop(at, 6_000 + at % 7, 6_000 + at % 7) for at in range(6_000, 26_000, 700)]
    finding = one(with_drops(run_of(), drops))
    assert finding.pattern == "idle_cut"
    assert "their lifetime may be limited" in finding.hint


def test_drops_of_which_most_are_at_one_moment_are_no_idle_timeout() -> None:
    drops = [Drop(3_490 + 5 * each, 600 + each, 600 + each) for each in range(5)]
    assert found(with_drops(run_of(), [*drops, Drop(4_900, 900, 200)])) == []


def test_drops_all_at_once_are_no_age() -> None:
    drops = [Drop(30_000 + each, 29_500 + 10 * each, 400 + each) for each in range(40)]
    assert found(with_drops(run_of(), drops)) == []


def test_buffering_is_found() -> None:
    symptoms = run_of()
    symptoms.workers["a"].apart, symptoms.workers["a"].together = 100, 85
    assert one(symptoms).pattern == "buffered"
    assert one(symptoms).explains == 0.85
    symptoms.workers["a"].together = 20
    assert found(symptoms) == []


@pytest.mark.parametrize(
    ("last", "patterns"), [(16, ["held_back", "buffered"]), (9, ["silent_cut", "buffered"])]
)
def test_what_a_buffer_still_holds_at_the_end_is_no_silent_cut(
    last: int, patterns: list[str]
) -> None:
    symptoms = run_of(lambda _place, code: code > last)
    assert found(symptoms) == ["silent_cut"]
    for evidence in symptoms.workers.values():
        evidence.apart, evidence.together = 100, 80  # batches of five
    assert found(symptoms) == patterns


def test_what_a_server_sends_in_clumps_is_not_the_generators_fault() -> None:
    symptoms = run_of()
    symptoms.workers["a"].apart, symptoms.workers["a"].together = 100, 85
    generator = symptoms.account.generator
    quiet = replace(generator.stall_ms, max=20.0)
    doubtful = replace(generator, saturated=True, in_doubt=3, stall_ms=quiet, cpu_percent_max=11.0)

    def of(figures: GeneratorFigures) -> list[str]:
        return found(replace(symptoms, account=replace(symptoms.account, generator=figures)))

    assert of(doubtful) == ["buffered"]
    assert of(replace(doubtful, stall_ms=replace(quiet, max=900.0))) == ["generator"]
    assert of(replace(doubtful, in_doubt=0)) == ["generator"]


def test_falling_behind_is_found_with_the_rate_that_holds() -> None:
    draw = random.Random(4)
    finding = one(run_of(p50_ms=lambda code: 10 + 250 * code + draw.random()))
    assert finding.pattern == "falling_behind"
    # A code a second, and each takes 1.25 s.
    assert finding.evidence["codes_per_second"] == pytest.approx(0.8, rel=0.01)


def test_a_fan_out_one_after_the_other_is_found() -> None:
    finding = one(in_order(480))
    assert finding.pattern == "serial_fanout"
    assert "4.8 s" in finding.sentence
    symptoms = in_order(480)
    symptoms.workers["a"].apart, symptoms.workers["a"].together = 100, 85
    assert found(symptoms) == ["buffered"]
    symptoms.workers["a"].together = 0
    assert found(in_order(2)) == []  # as fast as any server


def test_arrivals_in_random_order_are_no_serial_fan_out() -> None:
    symptoms, draw = in_order(480), random.Random(8)
    for evidence in symptoms.workers.values():
        evidence.fans = [
            replace(fan, arrivals_us={each: draw.randrange(20_000) for each in fan.arrivals_us})
            for fan in evidence.fans
        ]
    assert found(symptoms) == []


@pytest.mark.parametrize(
    ("together", "slopes_us", "named"),
    [
        ((3,), [480] * 5, True),
        ((3, 4), [480] * 5, False),
        ((), [480, 480, 900, 200, 1400], False),
    ],
)
def test_a_busy_machine_lets_some_codes_arrive_together(
    together: tuple[int, ...], slopes_us: list[int], named: bool
) -> None:
    symptoms = in_order(480)

    def stalled(arrivals_us: Mapping[int, int]) -> dict[int, int]:
        # The first few come, and all others after a stall.
        return {
            place: us if us < 2_500 else 20_000 + us // 100 for place, us in arrivals_us.items()
        }

    for evidence in symptoms.workers.values():
        evidence.fans = [
            replace(fan, arrivals_us=stalled(fan.arrivals_us)) if fan.sequence in together else fan
            for fan in evidence.fans
        ]
    codes = [
        replace(code, spread_us=40 * slopes_us[(code.sequence - 1) % 5]) for code in symptoms.codes
    ]
    assert found(replace(symptoms, codes=codes)) == (["serial_fanout"] if named else [])


def test_nodes_send_at_the_same_time() -> None:
    # Half of the connections are at each node.
    symptoms = in_order(480)
    for name, evidence in symptoms.workers.items():
        evidence.nodes = dict.fromkeys(range(20), WORKERS.index(name))
    assert one(symptoms).evidence["us_per_connection"] == pytest.approx(960)


def in_order(us: int) -> Symptoms:
    """A run in which the workers' connections receive codes in turn, so many us apart."""
    symptoms = run_of()
    for at, evidence in enumerate(symptoms.workers.values()):
        evidence.fans = [
            Fan(code, {place: 1000 + us * (2 * place + at) for place in range(20)})
            for code in range(1, 6)
        ]
    codes = [replace(code, spread_us=40 * us) for code in symptoms.codes]
    return replace(symptoms, codes=codes)


@pytest.mark.parametrize("copies", [1, 2])
def test_regular_duplicates_are_found(copies: int) -> None:
    finding = one(run_of(copies=copies))
    assert finding.pattern == "duplicates_by_namespace"
    assert finding.evidence["copies"] == copies + 1


def test_admission_and_sticky_sessions_are_found() -> None:
    symptoms = run_of()

    def failing(cause: str, said: str = "") -> Symptoms:
        causes = [FailureCause(
            operation="handshake", cause=cause, count=30, share=1.0, said=said, hint=""
        )]  # fmt: skip
        account = symptoms.account
        return replace(
            symptoms,
            account=replace(
                account,
                connections=replace(account.connections, causes=causes),
                errors=replace(account.errors, causes=causes),
            ),
        )

    assert found(failing("HTTP 503")) == ["admission"]
    assert found(failing("HTTP 400", "Session ID unknown")) == ["sticky_sessions"]
    assert found(failing("HTTP 500")) == []


def test_connections_at_nodes_that_do_not_share_sessions_are_no_bad_ones() -> None:
    symptoms = run_of(lambda place, _code: place in (2, 5), connections=8)
    assert found(symptoms) == ["same_connections"]
    causes = causes_of([("handshake", "HTTP 400: Session ID unknown", 30)])
    errors = replace(symptoms.account.errors, causes=causes)
    unknown = replace(symptoms, account=replace(symptoms.account, errors=errors))
    assert found(unknown) == ["sticky_sessions"]


@pytest.mark.parametrize(("bad", "maybe"), [(2, False), (4, False), (12, True)])
def test_many_connections_that_miss_everything_may_be_at_an_instance(bad: int, maybe: bool) -> None:
    finding = one(run_of(lambda place, _code: place % 3 == 0 and place < 3 * bad))
    assert finding.pattern == "same_connections"
    assert ("an instance" in finding.hint) == maybe


def test_a_saturated_generator_is_the_only_finding() -> None:
    symptoms = run_of(lambda place, code: (place + code) % 2 == 0)
    account = symptoms.account
    busy = replace(account, generator=replace(account.generator, saturated=True))
    assert found(replace(symptoms, account=busy)) == ["generator"]


@pytest.mark.parametrize(
    ("overlooked", "altered", "pattern"),
    [
        (100, {}, ["several_per_frame"]),
        (85, {}, ["several_per_frame"]),
        (70, {}, []),
        # One text with several codes in it.
        (100, {"with further text around": 40}, ["several_per_frame"]),
        # Codes that came changed are seen in their messages.
        (100, {"with white space around": 100}, ["altered"]),
        (100, {"with white space around": 60, "with further text around": 10}, []),
    ],
)
def test_overlooked_codes_are_the_explanation_of_most_losses_or_of_none(
    overlooked: int, altered: dict[str, int], pattern: list[str]
) -> None:
    symptoms = run_of(lambda place, code: (7 * place + 3 * code) % 8 == 0)
    figures = symptoms.account.deliveries
    seen = replace(figures, owed=800, delivered=700, missing=100, overlooked=overlooked)
    account = replace(symptoms.account, deliveries=seen)
    symptoms.workers["a"].altered.update(altered)
    seen_so = replace(symptoms, account=account)
    assert found(seen_so) == pattern
    if pattern == ["several_per_frame"]:
        assert one(seen_so).explains == overlooked / 100


def test_evidence_is_merged_and_packed() -> None:
    one_run, other = Evidence(), Evidence()
    one_run.owed[1], one_run.lacking[1], one_run.users[0] = 3, 1, "ann"
    other.owed[2], other.lacking[2], other.channels[1] = 1 << (SAMPLE - 1), 0, "a"
    other.drops, other.fans, other.apart = [Drop(1, 2, 3)], [Fan(9, {0: -3, 63: 250})], 4
    other.ages_owed[len(AGES_S)], other.lacking_later = 6, 2
    one_run.slow, other.slow = 1, 1 << (SAMPLE - 1)
    one_run.merge(other)
    assert Evidence.unpack(one_run.pack()) == one_run
    assert (one_run.owed, one_run.apart) == ({1: 3, 2: 1 << (SAMPLE - 1)}, 4)
    assert one_run.users == {0: "ann"}
    assert (one_run.slow, one_run.lacking_later) == (1 | 1 << (SAMPLE - 1), 2)


@given(st.dictionaries(st.integers(0, SAMPLE - 1), st.integers(-(10**6), 10**8), min_size=1))
def test_arrivals_are_packed_to_a_fraction(arrivals_us: dict[int, int]) -> None:
    fan = Fan(9, arrivals_us)
    unpacked = Fan.unpack(fan.pack())
    width = max(arrivals_us.values()) - min(arrivals_us.values())
    assert unpacked.arrivals_us.keys() == arrivals_us.keys()
    for number, each in unpacked.arrivals_us.items():
        assert 0 <= arrivals_us[number] - each <= width / 254 + 1
    assert len(fan.pack()[3]) <= SAMPLE


def mixed_size(code: int) -> int:
    return 100 * (code * 7 % 20 + 1)


def test_a_limit_of_the_size_is_found() -> None:
    symptoms = run_of(lambda _place, code: mixed_size(code) > 1200, sizes=mixed_size)
    finding = one(symptoms)
    assert finding.pattern == "by_size"
    assert finding.explains == 1.0
    assert finding.evidence == {"from_bytes": 1300, "up_to_bytes": 1200, "codes": 8}


def test_a_limit_of_the_size_is_found_among_other_losses() -> None:
    finding = one(
        run_of(
            lambda place, code: mixed_size(code) > 1200 or (place == 3 and code % 3 == 0),
            sizes=mixed_size,
        )
    )
    assert finding.pattern == "by_size"
    assert finding.evidence["from_bytes"] == 1300
    assert 0.9 < finding.explains < 1


@pytest.mark.parametrize("seed", range(100))
def test_random_losses_of_any_sizes_get_no_name(seed: int) -> None:
    draw = random.Random(seed)
    rate = draw.choice([0.01, 0.2, 0.5, 0.9])
    sizes = {code: draw.choice([100, 500, 2000, 9000]) for code in range(1, 101)}
    symptoms = run_of(
        lambda _place, _code: draw.random() < rate,
        codes=draw.choice([8, 20, 100]),
        sizes=sizes.__getitem__,
    )
    assert found(symptoms) == []


def test_one_size_shows_no_limit() -> None:
    assert found(run_of(lambda _place, code: code in {3, 9, 15}, sizes=lambda _code: 500)) == []


# Messages


def changed(ways: dict[str, int]) -> Symptoms:
    """A run of 800 pairs, of which so many came changed, and the others as they were."""
    symptoms = run_of(lambda _place, _code: True)
    symptoms.workers["a"].altered.update(ways)
    deliveries = symptoms.account.deliveries
    missing = sum(ways.values()) or 10
    lossy = replace(deliveries, delivered=deliveries.owed - missing, missing=missing)
    return replace(symptoms, account=replace(symptoms.account, deliveries=lossy))


def test_codes_that_come_changed_are_found() -> None:
    finding = one(changed({"in upper case": 780, "cut off at the end": 20}))
    assert (finding.pattern, finding.explains) == ("altered", 1.0)
    assert finding.evidence == {"altered": 800, "how": "in upper case"}
    assert "altered" not in found(changed({}))


@pytest.mark.parametrize(
    ("copies", "patterns"),
    [
        (Copies(200, 0, 100, 100), ["duplicates_on_reconnect"]),
        (Copies(200, 4, 100, 96), ["duplicates_on_reconnect"]),
        (Copies(200, 40, 100, 20), []),
        (Copies(200, 20, 100, 90), []),  # first sessions have many, too
        (Copies(0, 0, 100, 90), []),  # there is nothing to compare with
    ],
)
def test_copies_that_come_only_after_a_return_are_found(
    copies: Copies, patterns: list[str]
) -> None:
    symptoms = run_of()
    symptoms.workers["a"].copies = copies
    assert found(symptoms) == patterns


# Connecting


def after_a_storm(failed_at_s: Iterable[float], *, other: int = 0, back: int = 40) -> Symptoms:
    """A run whose connects failed at these times since a storm, and a few more before."""
    symptoms = run_of()
    for each in failed_at_s:
        symptoms.herd.add(round(each * 1e6))
    causes = causes_of([("handshake", "HTTP 503", symptoms.herd.total + other)])
    connections = replace(
        symptoms.account.connections, causes=causes, attempted=100 + symptoms.herd.total
    )
    account = replace(symptoms.account, connections=connections)
    return replace(symptoms, account=account, storm_ended=40, storm_returned=back)


def test_failed_connects_after_a_storm_are_a_thundering_herd() -> None:
    finding = one(after_a_storm([0.1 + each / 100 for each in range(100)]))
    assert (finding.pattern, finding.explains) == ("thundering_herd", 1.0)
    assert finding.evidence["failed"] == 100
    assert finding.evidence["half_within_s"] == pytest.approx(0.6, abs=0.02)
    assert "HTTP 503" in finding.sentence


def test_failed_connects_before_a_storm_are_something_else() -> None:
    assert found(after_a_storm([0.2] * 30, other=20)) == ["admission"]
    assert found(after_a_storm([0.2] * 30, back=0)) == ["admission"]


def after_a_drop(
    failed_at_s: Iterable[float],
    back_at_s: Iterable[float],
    *,
    dropped_at_s: Callable[[int], float] = lambda place: 9 + place / 1000,
    connections: int = 40,
) -> Symptoms:
    """A run whose sessions were dropped, with when connects failed and succeeded after that."""
    symptoms = run_of()
    for each in failed_at_s:
        symptoms.failed_returns.add(round(each * 1e6))
    for each in back_at_s:
        symptoms.returns.add(round(each * 1e6))
    failed = symptoms.failed_returns.total
    causes = causes_of([("handshake", "HTTP 503", failed)])
    figures = replace(symptoms.account.connections, causes=causes, attempted=100 + failed)
    drops = [Drop(round(1e3 * dropped_at_s(place)), 1000 + 70 * place, 400 + 37 * place)
             for place in range(connections)]  # fmt: skip
    account = replace(symptoms.account, connections=figures)
    return with_drops(replace(symptoms, account=account), drops)


def test_failed_connects_after_the_server_ended_all_are_a_thundering_herd() -> None:
    finding = one(after_a_drop([0.3 + each / 50 for each in range(90)],
                               [each / 10 for each in range(40)]))  # fmt: skip
    assert (finding.pattern, finding.explains) == ("thundering_herd", 1.0)
    assert (finding.evidence["failed"], finding.evidence["connections"]) == (90, 40)


def test_a_server_that_was_away_is_no_thundering_herd() -> None:
    # Until it is back, a proxy in front of it may answer with 503.
    assert (
        found(
            after_a_drop([each / 30 for each in range(90)], [3 + each / 40 for each in range(40)])
        )
        == []
    )
    assert found(after_a_drop([each / 30 for each in range(90)], [])) == []


def test_drops_one_by_one_are_no_thundering_herd() -> None:
    failed, back = [0.3 + each / 50 for each in range(90)], [each / 10 for each in range(40)]
    assert found(after_a_drop(failed, back, dropped_at_s=lambda place: 5 + place / 7)) == [
        "admission"
    ]
    assert found(after_a_drop(failed, back, connections=9)) == ["admission"]


# Publishers and slow readers


def test_the_publisher_of_losses_is_named() -> None:
    draw = random.Random(3)
    symptoms = run_of(lambda _place, code: code % 3 == 2 and draw.random() < 0.9, codes=30)
    codes = [replace(code, publisher=(code.sequence - 1) % 3) for code in symptoms.codes]
    finding = one(replace(symptoms, codes=codes))
    assert finding.pattern == "by_publisher"
    assert (finding.evidence["names"], finding.explains) == ("2", 1.0)
    assert finding.evidence["lost"] == sum(code.lost for code in symptoms.codes)


def paced(fast_ms: Callable[[int], float], slow_ms: Callable[[int], float]) -> Symptoms:
    """A run with a code a second, with the latencies of fast and of slow readers."""
    symptoms = run_of(p50_ms=fast_ms)
    symptoms.workers["a"].paces = [
        Pace(code, round(1000 * fast_ms(code)), round(1000 * slow_ms(code)))
        for code in range(1, 21)
    ]
    return symptoms


def test_slow_readers_that_hold_up_the_others_are_found() -> None:
    # From code 5 on, the buffers are full.
    finding = one(paced(lambda code: 5 + 400 * max(0, code - 5), lambda code: 400.0 * code))
    assert finding.pattern == "slow_consumer_blocks"
    assert finding.evidence["behind_ms"] == pytest.approx(1995)


@pytest.mark.parametrize(
    ("fast", "slow", "patterns"),
    [
        (lambda _: 5.0, lambda code: 400.0 * code, []),  # only the slow ones wait
        # A slow server, whose slow readers keep up, and one whose do not.
        (lambda code: 400.0 * code, lambda code: 50 + 400.0 * code, ["falling_behind"]),
        (lambda code: 50 + 400.0 * code, lambda code: 650 + 400.0 * code, ["falling_behind"]),
        (lambda code: 100.0 * code, lambda code: 400.0 * code, ["falling_behind"]),
    ],
)
def test_slow_readers_are_not_blamed_for_a_slow_server(
    fast: Callable[[int], float], slow: Callable[[int], float], patterns: list[str]
) -> None:
    assert found(paced(fast, slow)) == patterns


# Compressed streams


def clumped(symptoms: Symptoms) -> Symptoms:
    for evidence in symptoms.workers.values():
        evidence.apart, evidence.together = 100, 80
    return symptoms


@pytest.mark.parametrize(
    ("coding", "flushes", "pattern"),
    [
        ("gzip", 40, "unflushed_compression"),
        ("gzip", 800, "buffered"),  # each is flushed, and something else holds them back
        ("none", 0, "buffered"),
        ("br", 0, "buffered"),  # its flushes cannot be seen
        ("permessage-deflate", 0, "buffered"),
    ],
)
def test_compressors_that_are_not_flushed_are_found(
    coding: str, flushes: int, pattern: str
) -> None:
    symptoms = replace(clumped(run_of()), compression={coding: 40}, flushes=flushes)
    assert found(symptoms) == [pattern]


def test_compressed_streams_of_which_nothing_can_be_read_are_found() -> None:
    symptoms = changed({})
    deliveries = symptoms.account.deliveries
    none = replace(deliveries, delivered=0, missing=deliveries.owed)
    account = replace(symptoms.account, deliveries=none)
    nothing = replace(symptoms, account=account, compression={"gzip": 40}, wire_bytes=400)
    assert one(nothing).pattern == "unflushed_compression"
    assert "unflushed_compression" not in found(replace(nothing, wire_bytes=0))
    assert "unflushed_compression" not in found(replace(nothing, inflated_bytes=900))


# The generator


def failing_by_itself(cause: str, own: int, others: int) -> Symptoms:
    symptoms = run_of()
    causes = causes_of([("connect", cause, own), ("connect", "connection refused", others)])
    errors = replace(symptoms.account.errors, causes=causes)
    return replace(symptoms, account=replace(symptoms.account, errors=errors))


@pytest.mark.parametrize(
    ("cause", "words"),
    [("too many open files", "limit of open files"), ("no free local port", "free local ports")],
)
def test_the_generators_own_failures_are_told_from_the_servers(cause: str, words: str) -> None:
    finding = one(failing_by_itself(cause, 30, 10))
    assert (finding.pattern, finding.explains) == ("generator", 0.75)
    assert words in finding.sentence
    assert "30 of 40" in finding.sentence
    assert found(failing_by_itself(cause, 0, 40)) == []


def test_a_process_that_stood_still_is_named() -> None:
    symptoms = run_of()
    figures = replace(symptoms.account.generator, saturated=True, stalled_ms=2500.0)
    finding = one(replace(symptoms, account=replace(symptoms.account, generator=figures)))
    assert finding.evidence["stalled_ms"] == 2500.0
    assert "stood still for 2,500 ms" in finding.sentence
    assert "suspended" in finding.hint
