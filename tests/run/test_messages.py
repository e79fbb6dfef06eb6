"""Messages between the leader and its workers arrive as they were sent."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from locust.rpc.protocol import Message

from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.tally import Tally
from sseload_users.core.unusual_pairs import Pair
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.run.encoding import (
    InvalidMessage,
    decode_to_leader,
    decode_to_worker,
    encode,
)
from sseload_users.run.messages import (
    AccountReport,
    CodeSent,
    Hello,
    Storm,
    ToLeader,
    ToWorker,
)

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    str: st.text(max_size=20),
    type(None): st.none(),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field with this type."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of([values(each) for each in get_args(hint)])
    if get_origin(hint) is Sequence:
        return st.lists(messages(*get_args(hint)), max_size=3)
    return _PLAIN[hint]


def messages(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Messages of one kind."""
    return st.builds(kind, **{name: values(hint) for name, hint in get_type_hints(kind).items()})


def over_the_wire(data: Any) -> Any:
    """Encoded data as it arrives."""
    return Message.unserialize(Message("sseload", data, "node").serialize()).data


to_leader = st.one_of([messages(each) for each in get_args(ToLeader) if each is not AccountReport])
to_worker = st.one_of([messages(each) for each in get_args(ToWorker)])


@given(st.text(max_size=8), to_leader)
def test_a_message_to_the_leader_arrives_as_it_was_sent(run_id: str, message: ToLeader) -> None:
    assert decode_to_leader(over_the_wire(encode(run_id, message))) == (run_id, message)


@given(st.text(max_size=8), to_worker)
def test_a_message_to_a_worker_arrives_as_it_was_sent(run_id: str, message: ToWorker) -> None:
    assert decode_to_worker(over_the_wire(encode(run_id, message))) == (run_id, message)


def test_a_report_arrives_as_it_was_sent() -> None:
    tally = Tally()
    tally.counters.attempted = 3
    tally.connect.add_all([5, 2000])
    tally.code(7).missing = 2
    row = ConnectionRow(*(0 for _ in get_type_hints(ConnectionRow)))  # type: ignore[arg-type]
    sent = WorkerReport(
        tally,
        {2: 5},
        Gauges(open=3, waited_percent=1.5),
        final=True,
        connections=(row,),
        unusual=(Pair(3, 7, None, "missing", None), Pair(4, 7, 1, "late", 1_200_000)),
    )
    run_id, message = decode_to_leader(over_the_wire(encode("r", AccountReport(sent))))
    assert run_id == "r"
    assert isinstance(message, AccountReport)
    got = message.report
    assert (got.received, got.gauges, got.final, got.connections) == (
        {2: 5},
        sent.gauges,
        True,
        (row,),
    )
    assert got.tally.pack() == tally.pack()
    assert got.unusual == sent.unusual


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Unheard"},
        {"kind": Storm.__name__},  # only the leader sends it
        {"kind": CodeSent.__name__},
        {"fields": ["here", "there"]},
        {"fields": None},
    ],
)
def test_an_unknown_message_is_refused(change: dict[str, Any]) -> None:
    data = {**encode("r", Hello("here")), **change}
    with pytest.raises(InvalidMessage, match="use the same version of sseload"):
        decode_to_leader(data)  # type: ignore[arg-type]
