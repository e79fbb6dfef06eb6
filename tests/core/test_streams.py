"""How codes are dealt to publishers and nodes."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.channels import ChannelPlan
from sseload_users.core.ledger import Ledger
from sseload_users.core.streams import StreamPlan
from tests.support.ledger_books import MS, T0


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 10**6))
def test_codes_go_to_publishers_and_nodes_in_turn(
    publishers: int, nodes: int, sequence: int
) -> None:
    plan = StreamPlan(publishers, nodes)
    stream = plan.stream_of(sequence)
    assert plan.publisher(stream) == (sequence - 1) % publishers
    assert plan.node(stream) == (sequence - 1) % nodes


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5))
def test_each_stream_has_codes_of_each_channel(publishers: int, nodes: int, channels: int) -> None:
    plan = StreamPlan(publishers, nodes)
    dealt = ChannelPlan([f"c{each}" for each in range(channels)], streams=plan.count)
    codes = range(1, plan.count * channels + 1)
    found = [(plan.stream_of(each), dealt.channel_of(each)) for each in codes]
    assert sorted(found) == sorted(product(range(plan.count), dealt.names))


@pytest.mark.parametrize(("publishers", "nodes"), [(0, 1), (1, 0)])
def test_a_plan_without_publishers_or_nodes_is_refused(publishers: int, nodes: int) -> None:
    with pytest.raises(ValueError, match="publisher and a node"):
        StreamPlan(publishers, nodes)


def test_order_is_judged_within_a_stream() -> None:
    for publishers, out_of_order in ((1, 2), (2, 1)):
        ledger = Ledger(1.0, streams=StreamPlan(publishers))
        session = ledger.open_session(ledger.add_connection(), T0, T0)
        for sequence in (1, 2, 3, 4):
            ledger.announce(sequence, T0 + sequence)
            ledger.set_status(sequence, "accepted", sequence)
        # Of two publishers, one has sent 1 and 3: 3 after 4 is no defect, 2 after 4 is one.
        for sequence in (1, 4, 3, 2):
            session.receive(ledger.code(sequence), T0 + MS)
        ledger.settle(T0 + 2 * MS)
        assert ledger.take().counters.out_of_order == out_of_order
