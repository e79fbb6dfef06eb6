"""The parts of a worker's run: identities, counters, announcements, and published codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import gevent
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.counters import Counters
from sseload_users.core.ledger import Ledger
from sseload_users.core.streams import ONE_STREAM
from sseload_users.core.tally import Tally
from sseload_users.options import Options
from sseload_users.report.compression import compression_of
from sseload_users.run.announcements import Announcements
from sseload_users.run.channel_assignment import ChannelAssignment
from sseload_users.run.closing_notes import closing_notes
from sseload_users.run.connection_plan import ConnectionPlan
from sseload_users.run.messages import (
    BroadcastDone,
    CodeOutcome,
    CodeSent,
    CodeStatus,
    PlaceRequest,
    PlaceReturned,
    ToLeader,
)
from sseload_users.run.operation_counters import OperationCounters
from sseload_users.run.places import Places
from sseload_users.run.publication import Publication
from sseload_users.run.run_clock import RunClock
from sseload_users.run.sender_pool import SenderPool
from sseload_users.run.user_gauges import UserGauges
from sseload_users.targets.identities import Identity
from sseload_users.transports.connect_times import ConnectTimes


@given(
    per_worker=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    people=st.integers(2, 40),
    share=st.floats(0, 1),
)
def test_identities_and_slow_connections_are_spread_evenly_over_workers(
    per_worker: list[int], people: int, share: float
) -> None:
    """Each user connects once while they last, however many connections a worker has."""
    places, plans = Places(), list[ConnectionPlan]()

    def to_leader(worker: int, message: ToLeader) -> None:
        if isinstance(message, PlaceRequest):
            place = places.take(str(worker), message.number)
            plans[worker].assign(message.number, place)
        elif isinstance(message, PlaceReturned):
            places.give_back(str(worker), message.number)

    identities = [Identity(str(each)) for each in range(people)]
    plans += [
        ConnectionPlan(no_channels(identities), share, partial(to_leader, worker))
        for worker in range(len(per_worker))
    ]
    numbers = [
        (plans[worker], number)
        for worker, connections in enumerate(per_worker)
        for number in range(1, connections + 1)
    ]
    parts = [plan.take_part(number) for plan, number in numbers]
    for plan, number in numbers:
        plan.give_back(number)
        plan.give_back(number)
    used = Counter(part.identity.username for part in parts)
    assert len(used) == min(people, len(parts))
    assert max(used.values(), default=0) - min(used.values(), default=0) <= 1
    assert abs(sum(bool(part.slow) for part in parts) - len(parts) * share) < 1
    # All places are free again, and the next connections take the same ones.
    assert places.take("a", 1) == 0


def test_connections_that_are_alike_need_no_place() -> None:
    sent: list[ToLeader] = []
    plan = ConnectionPlan(no_channels([Identity("ann")]), 0, sent.append)
    part, other = plan.take_part(1), plan.take_part(2, "eve")
    assert (part.identity.username, part.slow) == ("ann", None)
    assert other.identity.username == "eve"
    plan.give_back(1)
    assert sent == []


def test_the_place_of_a_connection_that_ended_is_taken_next() -> None:
    places = Places()
    assert [places.take("a", 1), places.take("b", 1), places.take("a", 2)] == [0, 1, 2]
    places.give_back("b", 1)
    places.give_back("b", 1)
    assert [places.take("a", 3), places.take("a", 4)] == [1, 3]


def no_channels(identities: Sequence[Identity]) -> ChannelAssignment:
    options = Options(target="websocket")
    return ChannelAssignment(options, options.make_target("http://127.0.0.1:1"), identities)


class Fixture:
    """A worker's account, its counters and publication; messages are recorded."""

    def __init__(self) -> None:
        self.closed = False
        self.sent: list[ToLeader] = []
        self.ledger = Ledger(10.0, lambda *_: None)
        self.operations = OperationCounters(self.ledger, lambda: self.closed)
        self.clock = RunClock(lambda _: None, same=True)
        self.publication = Publication(
            self.ledger,
            None,
            ONE_STREAM,
            self.operations,
            self.clock,
            self.sent.append,
            lambda: self.closed,
        )


T0 = 10**18


def taking(connect_us: int, tls_us: int = 0) -> ConnectTimes:
    times = ConnectTimes()
    times.tcp_ns, times.tls_ns, times.own_ns = (connect_us - tls_us) * 1000, tls_us * 1000, 3000
    return times


@pytest.fixture
def run() -> Fixture:
    return Fixture()


def test_a_session_that_goes_over_has_the_compression_of_where_it_went(run: Fixture) -> None:
    for compression in ("", "", "gzip"):
        run.operations.count_connected(taking(5), T0, due_ns=T0, compression=compression)
    first = run.ledger.take()
    run.operations.count_passage("upgraded", compression="permessage-deflate")
    first.merge(run.ledger.take())
    assert compression_of(first).negotiated == {"gzip": 1, "none": 1, "permessage-deflate": 1}


def test_operations_are_counted(run: Fixture) -> None:
    operations = run.operations
    for _ in range(4):
        operations.count_attempt()
    operations.count_connected(taking(1500), T0 + 2 * 10**9, due_ns=T0, queue_us=7)
    operations.count_connected(taking(2500, tls_us=400), T0 + 3 * 10**9, due_ns=T0 + 10**7)
    assert operations.count_connect_failure("connect", "refused", "go away") == "refused"
    operations.withdraw_attempt()
    operations.count_drop("reset")
    operations.count_reconnect(70_000)
    operations.count_upkeep(None)
    operations.count_upkeep("HTTP 500", "oh")
    operations.count_malformed("bad frame")
    tally = run.ledger.take()
    counters = tally.counters
    assert (counters.attempted, counters.succeeded, counters.failed) == (3, 2, 1)
    assert (counters.dropped, counters.reconnected) == (1, 1)
    assert (counters.upkeep, counters.upkeep_failed, counters.malformed) == (2, 1, 1)
    assert sum(second.dropped for second in tally.seconds.values()) == 1
    assert (tally.connect.total, tally.connect.total_us) == (2, 4000)
    assert (tally.connect_tcp.total_us, tally.connect_tls.total_us) == (3600, 400)
    assert (tally.connect_queue.total_us, tally.connect_own.total_us) == (7, 6)
    assert (counters.ever_connected, tally.ramp.offered, tally.ramp.achieved) == (2, 100, 1)
    assert tally.recovery.total == 1
    assert dict(tally.causes) == {
        ("connect", "refused"): 1,
        ("session", "reset"): 1,
        ("upkeep", "HTTP 500"): 1,
        ("message", "bad frame"): 1,
    }


def test_nothing_is_counted_once_the_account_is_closed(run: Fixture) -> None:
    run.closed = True
    operations, before = run.operations, run.ledger.tally.pack()
    operations.count_attempt()
    operations.count_connected(taking(5), T0, due_ns=T0)
    operations.count_connect_failure("connect", "refused")
    operations.count_drop("reset")
    operations.count_reconnect(5)
    operations.count_storm_reconnect(5, 4)
    operations.count_upkeep("HTTP 500")
    run.publication.record_sent(1, 10**18, 0, None)
    run.publication.record_outcome(1, "accepted", 5, None)
    assert run.ledger.tally.pack() == before
    assert run.sent == []


def test_causes_that_differ_each_time_are_bounded(run: Fixture) -> None:
    counted = {run.operations.count_drop(f"closed: {number}") for number in range(300)}
    assert "other" in counted
    assert len(counted) <= 101


def test_a_published_code_is_announced_and_its_outcome_reported(run: Fixture) -> None:
    publication = run.publication
    publication.record_sent(1, 10**18, 30, 10**18)
    publication.record_sent(2, 10**18 + 5, 40, None)
    assert publication.record_outcome(1, "accepted", 900, None) is None
    assert publication.record_outcome(2, "rejected", 950, "HTTP 400", "no room") == "HTTP 400"
    publication.report_done(1)
    assert run.sent == [
        CodeSent(1, 10**18, 0, 10**18, 30),
        CodeSent(2, 10**18 + 5, 0, None, 40),
        CodeOutcome(1, "accepted", 900, None, "", 2),
        CodeOutcome(2, "rejected", 950, "HTTP 400", "no room", 2),
        BroadcastDone(1),
    ]
    assert run.operations.counters.overlapping == 1
    assert run.ledger.code(1).status == "accepted"


def test_stopping_kills_the_requests_in_flight(run: Fixture) -> None:
    requests, ended = SenderPool(2), Event()

    def send() -> None:
        try:
            Event().wait()
        finally:
            ended.set()

    with run.publication.in_progress(requests):
        requests.call(send)
        gevent.sleep(0)
        run.publication.stop()
        assert run.publication.stopped
        assert ended.is_set()


def test_announcements_wait_for_the_leaders_time() -> None:
    ledger = Ledger(10.0, lambda *_: None)
    clock = RunClock(lambda _: None, same=False)
    announcements = Announcements(ledger, clock)
    announcements.add(CodeSent(7, 10**18, 2000, None, 0))
    announcements.add(CodeStatus(7, "accepted", 7))
    assert ledger.code(7).sent_ns is None
    clock.clocks.same = True
    announcements.apply()
    assert ledger.code(7).sent_ns == 10**18
    assert ledger.code(7).status == "accepted"
    assert clock.sender_error_ns == 2000


@pytest.mark.parametrize("known", ["before it connects", "while it connects", "afterwards"])
@pytest.mark.parametrize("broadcast", ["before it connects", "afterwards"])
def test_a_session_may_receive_what_nobody_had_when_it_began_to_connect(
    known: str, broadcast: str
) -> None:
    """A code of another worker is announced before, while or after a session connects."""
    ledger, now_ns = Ledger(10.0), 10**18
    clock = RunClock(lambda _: None, same=True)
    announcements = Announcements(ledger, clock)
    began_ns, subscribed_ns = now_ns + 4_000_000, now_ns + 9_000_000
    old = ledger.open_session(ledger.add_connection(), now_ns - 10**9, now_ns - 10**9)

    def announce() -> None:
        announcements.add(CodeSent(1, now_ns, 0, now_ns, 0))
        announcements.add(CodeStatus(1, "accepted", 1))

    if known == "before it connects":
        announce()
    if broadcast == "before it connects":
        old.receive(ledger.code(1, now_ns), began_ns - 1_000_000)
    meant_since_ns = ledger.codes.oldest_unreceived_ns(began_ns)
    if known == "while it connects":
        announce()
    meant_since_ns = meant_since_ns or ledger.codes.oldest_unreceived_ns(began_ns) or began_ns
    new = ledger.open_session(ledger.add_connection(), meant_since_ns, subscribed_ns)
    if broadcast == "afterwards":
        old.receive(ledger.code(1, now_ns), subscribed_ns + 1_000_000)
    new.receive(ledger.code(1, now_ns), subscribed_ns + 1_100_000)
    if known == "afterwards":
        announce()
    ledger.settle(now_ns + 10**9)
    code = ledger.take().codes[1]
    replayed = broadcast == "before it connects"
    assert (code.delivered, code.unexpected) == ((1, 1) if replayed else (2, 0))
    assert code.owed == code.delivered


def test_gauges_count_users_for_as_long_as_they_do_something() -> None:
    users = UserGauges()
    with users.listening, users.listening, users.pending:
        counts = users.counts()
        assert (counts.listeners, counts.pending, counts.connecting) == (2, 1, 0)
        with pytest.raises(ZeroDivisionError), users.connecting:
            _ = 1 / 0
    counts = users.counts()
    assert (counts.listeners, counts.broadcasters, counts.pending, counts.connecting) == (
        0,
        0,
        0,
        0,
    )


def test_a_run_without_peculiarities_has_no_closing_notes() -> None:
    notes = closing_notes(
        _tally(Counters(attempted=5, polled=3, upgraded=3)),
        slow_rate=1000,
        publisher_losses=Counter(),
        clock_error_ms=0,
    )
    assert notes == []


def test_closing_notes_state_what_the_figures_do_not() -> None:
    notes = closing_notes(
        _tally(Counters(slow=2, hook_errors=1, before_sent=3)),
        slow_rate=1000,
        publisher_losses=Counter({"reset": 2, "closed": 1}),
        clock_error_ms=0.5,
    )
    assert notes[0].startswith("2 connections read slowly, at 1,000 bytes a second")
    assert notes[1] == "The publisher's connection was lost 3 times: 2 × reset, 1 × closed."
    assert notes[2] == "The locustfile's hooks raised 1 exception; see the log."
    assert len(notes) == 4


def test_closing_notes_say_who_stayed_on_polling_and_whose_state_came_back() -> None:
    tally = _tally(Counters(polled=9, upgraded=3, upgrade_failed=2, resumed=1))
    tally.note_cause("upgrade", "handshake: HTTP 400: session id unknown")
    tally.note_cause("upgrade", "handshake: HTTP 400: session id unknown")
    failed, stayed, resumed = closing_notes(
        tally, slow_rate=1000, publisher_losses=Counter(), clock_error_ms=0
    )
    assert failed.startswith("2 of 9 sessions could not go over from long polling to WebSocket")
    assert failed.endswith(": 2 × handshake: HTTP 400: session id unknown.")
    assert stayed.startswith("4 of 9 sessions used long polling only")
    assert "in 1 session (connection state recovery)" in resumed


def _tally(counters: Counters) -> Tally:
    tally = Tally()
    tally.counters = counters
    return tally
