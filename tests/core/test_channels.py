"""Channels: which code goes to which, and times in them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.channels import CHANNEL_ORDERS, ChannelOrder, ChannelPlan
from sseload_users.core.ledger import Ledger
from tests.support.ledger_books import MS, T0
from tests.support.ledger_model import total_of

NAMES = ["a", "b", "c", "d"]


def test_codes_are_dealt_in_turn() -> None:
    plan = ChannelPlan(NAMES)
    assert [plan.channel_of(sequence) for sequence in range(1, 7)] == ["a", "b", "c", "d", "a", "b"]


@given(st.sampled_from(CHANNEL_ORDERS), st.text(max_size=5), st.integers(1, 10**6))
def test_all_processes_deal_alike(order: ChannelOrder, seed: str, sequence: int) -> None:
    one, other = (ChannelPlan(NAMES, order, [1, 2, 3, 4], seed) for _ in range(2))
    assert one.channel_of(sequence) == other.channel_of(sequence)
    assert one.channel_of(sequence) in NAMES


def test_random_order_is_even() -> None:
    dealt = Counter(map(ChannelPlan(NAMES, "random").channel_of, range(1, 10_001)))
    assert all(2_300 < dealt[name] < 2_700 for name in NAMES)


def test_weighted_order_follows_the_sizes() -> None:
    plan = ChannelPlan(NAMES, "weighted", [1, 0, 4, 5])
    dealt = Counter(map(plan.channel_of, range(1, 10_001)))
    assert dealt["b"] == 0
    assert 900 < dealt["a"] < 1_100
    assert 3_800 < dealt["c"] < 4_200


def test_another_seed_deals_differently() -> None:
    one, other = (ChannelPlan(NAMES, "random", seed=seed) for seed in ("x", "y"))
    assert any(one.channel_of(each) != other.channel_of(each) for each in range(1, 100))


@pytest.mark.parametrize(("names", "sizes"), [([], []), (NAMES, [1, 2])])
def test_a_plan_that_cannot_deal_is_refused(names: list[str], sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="channel plan"):
        ChannelPlan(names, "weighted", sizes)


def test_order_is_judged_in_each_channel() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(["a", "b"]))
    session = ledger.open_session(ledger.add_connection(), T0, T0, ["a", "b"])
    for sequence in (1, 2, 3, 4):
        ledger.announce(sequence, T0 + sequence)
        ledger.set_status(sequence, "accepted", sequence)
    # 2 and 4 go to b: 4 before 1 is no defect, 4 before 2 is one.
    for sequence in (4, 1, 2, 3):
        session.receive(ledger.code(sequence), T0 + MS)
    ledger.settle(T0 + 2 * MS)
    taken = ledger.take()
    assert (total_of(taken, "delivered"), taken.counters.out_of_order) == (4, 1)


def test_a_session_is_owed_its_own_channels_codes() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(["a", "b"]))
    in_a, in_both = (
        ledger.open_session(ledger.add_connection(name), T0, T0, channels)
        for name, channels in (("ann", ["a"]), ("bob", ["b", "a"]))
    )
    for sequence in (1, 2):
        ledger.announce(sequence, T0 + sequence * MS)
        ledger.set_status(sequence, "accepted", sequence)
        in_both.receive(ledger.code(sequence), T0 + 10 * MS)
    in_a.receive(ledger.code(2), T0 + 10 * MS)
    in_a.receive(ledger.code(2), T0 + 11 * MS)
    ledger.settle(T0 + 2000 * MS)
    taken = ledger.take()
    assert (taken.codes[1].owed, taken.codes[1].delivered, taken.codes[1].missing) == (2, 1, 1)
    assert (taken.codes[2].owed, taken.codes[2].delivered, taken.codes[2].leaked) == (1, 1, 2)
    (leak,) = taken.leaks
    assert (leak.sequence, leak.channel, leak.username, leak.own_channels) == (
        2,
        "b",
        "ann",
        ("a",),
    )
    in_a.receive(ledger.code(2), T0 + 3000 * MS)
    assert ledger.take().codes[2].leaked == 1


def test_a_channel_is_joined_and_left() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(["a"]))
    session = ledger.open_session(ledger.add_connection(), T0, T0, [])

    def send(sequence: int, at_ns: int, *, arrives: bool = True) -> None:
        ledger.announce(sequence, at_ns)
        ledger.set_status(sequence, "accepted", sequence)
        if arrives:
            session.receive(ledger.code(sequence), at_ns + MS)

    ledger.ask_to_join(session, "a", T0 + 10 * MS)
    send(1, T0 + 11 * MS, arrives=False)  # the server may not have heard of it yet
    ledger.confirm_join(session, "a", T0 + 15 * MS)
    send(2, T0 + 20 * MS, arrives=False)
    assert ledger.awaits(session, T0 + 22 * MS, "a")
    ledger.begin_leaving(session, T0 + 25 * MS, "a")
    session.receive(ledger.code(2), T0 + 26 * MS)
    assert not ledger.awaits(session, T0 + 27 * MS, "a")
    send(3, T0 + 30 * MS)
    ledger.leave_channel(session, "a", T0 + 35 * MS)
    send(4, T0 + 40 * MS)
    ledger.settle(T0 + 2000 * MS)
    taken = ledger.take()
    assert [taken.codes[each].owed for each in (1, 2, 3, 4)] == [0, 1, 0, 0]
    assert (taken.codes[2].delivered, taken.codes[3].released, taken.codes[4].leaked) == (1, 1, 1)


def test_what_came_before_a_session_asked_to_join_again_keeps_its_outcome() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(["a"]))
    connection = ledger.add_connection()
    session = ledger.open_session(connection, T0, T0, ("a",))
    ledger.begin_leaving(session, T0 + MS, "a")
    for sequence in (1, 2):
        ledger.announce(sequence, T0 + (1 + sequence) * MS)
        ledger.set_status(sequence, "accepted", sequence)
    session.receive(ledger.code(2), T0 + 4 * MS)
    ledger.report_arrivals()
    ledger.leave_channel(session, "a", T0 + 1000 * MS)
    # The first code may still be meant for the session in its new time in the channel.
    ledger.ask_to_join(session, "a", T0 + 5 * MS, T0 + 2 * MS)
    ledger.confirm_join(session, "a", T0 + 6 * MS)
    session.receive(ledger.code(1), T0 + 7 * MS)
    ledger.settle(T0 + 3000 * MS)
    taken = ledger.take()
    assert (taken.codes[1].delivered, taken.codes[2].delivered, connection.delivered) == (1, 0, 1)
    assert (taken.codes[2].released, taken.codes[2].owed) == (1, 0)


def test_a_clock_that_is_behind_moves_no_copy_to_an_earlier_span() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(["a"]))
    session = ledger.open_session(ledger.add_connection(), T0, T0, ("b",))
    ledger.ask_to_join(session, "a", T0 + 5 * MS)
    ledger.announce(1, T0 + 6 * MS)
    ledger.set_status(1, "accepted", 1)
    session.receive(ledger.code(1), T0 + 4 * MS)
    ledger.settle(T0 + 3000 * MS)
    taken = ledger.take().codes[1]
    assert (taken.owed, taken.delivered, taken.leaked) == (1, 1, 0)


def test_a_run_without_channels_has_none_to_join() -> None:
    ledger = Ledger(1.0)
    session = ledger.open_session(ledger.add_connection(), T0, T0)
    with pytest.raises(ValueError, match="without channels"):
        ledger.ask_to_join(session, "a", T0)


def test_a_channel_that_was_left_is_forgotten_once_nothing_can_come() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(("a", "b")))
    session = ledger.open_session(ledger.add_connection(), T0, T0, ("a", "b"))
    ledger.begin_leaving(session, T0 + MS, "a")
    ledger.leave_channel(session, "a", T0 + 2 * MS)
    ledger.settle(T0 + 5_000 * MS)
    assert session in ledger.audience.members("a")[0]
    ledger.settle(T0 + 20_000 * MS)
    assert session not in ledger.audience.members("a")[0]
    assert session in ledger.audience.members("b")[0]


def test_a_channel_that_was_joined_again_is_not_forgotten() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(("a", "b")))
    session = ledger.open_session(ledger.add_connection(), T0, T0, ("a", "b"))
    ledger.begin_leaving(session, T0 + MS, "a")
    ledger.leave_channel(session, "a", T0 + 2 * MS)
    ledger.ask_to_join(session, "a", T0 + 3 * MS)
    ledger.settle(T0 + 20_000 * MS)
    assert session in ledger.audience.members("a")[0]


def test_the_stretches_in_a_channel_stay_few() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(("a", "b")))
    session = ledger.open_session(ledger.add_connection(), T0, T0, ("a", "b"))
    for turn in range(1000):
        at_ns = T0 + turn * 10_000 * MS
        ledger.begin_leaving(session, at_ns, "a")
        ledger.leave_channel(session, "a", at_ns + MS)
        ledger.ask_to_join(session, "a", at_ns + 2 * MS)
        ledger.confirm_join(session, "a", at_ns + 3 * MS)
    assert session.channels is not None
    assert len(session.channels["a"]) < 10
    # Of long ago, it is known that it was there at times, and not when.
    assert session.relation(T0 + 5, "a") == "leaving"
    assert session.relation(T0 + 9_999_000 * MS, "a") == "owed"
    assert session.is_in("a")


def test_a_code_on_its_way_may_come_to_a_session_that_joins_meanwhile() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(("a", "b")))
    session = ledger.open_session(ledger.add_connection(), T0, T0, ("b",))
    # Another worker's code, which is announced late.
    ledger.ask_to_join(session, "a", T0 + 20 * MS)
    ledger.confirm_join(session, "a", T0 + 21 * MS)
    session.receive(ledger.code(1, T0 + 15 * MS), T0 + 22 * MS)
    ledger.announce(1, T0 + 15 * MS, T0 + 15 * MS)
    ledger.audience.admit_newcomers(ledger.code(1))
    ledger.set_status(1, "accepted")
    ledger.settle(T0 + 5_000 * MS)
    account = ledger.take().codes[1]
    assert (account.owed, account.delivered, account.unexpected, account.leaked) == (1, 1, 0, 0)


def test_a_leak_after_a_leave_says_so() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(("a", "b")))
    session = ledger.open_session(ledger.add_connection("ann"), T0, T0, ("a", "b"))
    ledger.begin_leaving(session, T0 + MS, "a")
    ledger.leave_channel(session, "a", T0 + 2 * MS)
    ledger.announce(1, T0 + 10 * MS)
    ledger.set_status(1, "accepted")
    session.receive(ledger.code(1), T0 + 11 * MS)
    ledger.settle(T0 + 5_000 * MS)
    (leak,) = ledger.take().leaks
    assert (leak.channel, leak.own_channels, leak.had_left) == ("a", ("b",), True)


def test_a_session_returns_to_the_channels_that_it_wants() -> None:
    ledger = Ledger(1.0, channels=ChannelPlan(("a", "b", "c")), resume=True)
    connection = ledger.add_connection()
    session = ledger.open_session(connection, T0, T0, ("a",))
    # It is lost as it moves: it has left, and nothing confirms that it has joined.
    ledger.begin_leaving(session, T0 + MS, "a")
    ledger.ask_to_join(session, "b", T0 + 2 * MS)
    ledger.pause_session(session, T0 + 3 * MS, released=True)
    ledger.open_session(connection, T0 + 9 * MS, T0 + 10 * MS, ("b", "c"))
    assert [session.is_in(each) for each in "abc"] == [False, True, True]
    assert session.relation(T0 + 20 * MS, "a", T0 + 21 * MS) == "outside"
    assert session.relation(T0 + 5 * MS, "b") == "joining"
    # And back to the first one.
    ledger.pause_session(session, T0 + 30 * MS, released=True)
    ledger.open_session(connection, T0 + 39 * MS, T0 + 40 * MS, ("a",))
    assert [session.is_in(each) for each in "abc"] == [True, False, False]
