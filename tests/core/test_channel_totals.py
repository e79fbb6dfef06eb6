"""The account of each channel, and the numbers of connections in examples of leaks."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.channel_totals import ChannelTotals
from sseload_users.core.channels import CHANNEL_ORDERS, ChannelPlan
from sseload_users.core.code_tally import STRAY, CodeTally
from sseload_users.core.connection_row import connection_row
from sseload_users.core.leaks import Leak
from sseload_users.core.sessions import Connection
from sseload_users.core.tally import Tally
from sseload_users.core.totals import Totals
from sseload_users.core.worker_report import Gauges, WorkerReport
from sseload_users.report.audience import leaks_of

OUTCOMES = ("owed", "delivered", "late", "recovered", "interrupted", "missing", "leaked")


def tally_of(code: int, **outcomes: int) -> Tally:
    tally = Tally()
    account = tally.codes[code] = CodeTally()
    for name, count in outcomes.items():
        setattr(account, name, count)
    account.latencies.add_all([1000 * code] * account.delivered)
    return tally


def report_of(tally: Tally, connections: int = 0) -> WorkerReport:
    rows = tuple(connection_row(Connection(number + 1)) for number in range(connections))
    return WorkerReport(tally, {}, Gauges(), connections=rows)


codes = st.builds(
    lambda code, counts: tally_of(code, **dict(zip(OUTCOMES, counts, strict=True))),
    st.integers(STRAY, 30),
    st.lists(st.integers(0, 9), min_size=len(OUTCOMES), max_size=len(OUTCOMES)),
)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), codes), max_size=20),
    st.sampled_from(CHANNEL_ORDERS),
    st.integers(1, 5),
    st.integers(1, 30),
)
def test_the_figures_of_a_channel_are_the_sums_of_its_codes(
    reports: list[tuple[str, Tally]], order: str, channels: int, first_code: int
) -> None:
    plan = ChannelPlan([f"c{number}" for number in range(channels)], order, seed="x")  # type: ignore[arg-type]
    whole = Totals(plan=plan)
    whole.begin_step(first_code)
    for sequence in range(1, 31):
        whole.announce(sequence, 1_000_000_000 * sequence)
    for worker, tally in reports:
        whole.add_report(worker, report_of(tally))
    for totals, first in ((whole, 1), (whole.end_step(), first_code)):
        assert totals.channels is not None
        figures = totals.channels.figures()
        assert sorted(each.name for each in figures) == sorted(plan.names)
        for each in figures:
            own = {
                sequence: code
                for sequence, code in totals.tally.codes.items()
                if sequence >= max(first, 1) and plan.channel_of(sequence) == each.name
            }
            for outcome in OUTCOMES:
                total = sum(getattr(code, outcome) for code in own.values())
                assert getattr(each, outcome) == total, outcome
        assert sum(each.codes for each in figures) == 30
        badness = [(each.leaked, each.owed - each.received) for each in figures]
        assert badness == sorted(badness, reverse=True)
        assert totals.channels.figures(2) == figures[:2]


def test_ten_thousand_channels_are_cheap() -> None:
    plan = ChannelPlan([f"c{number}" for number in range(10_000)], "random", seed="x")
    totals = ChannelTotals(plan)
    code = CodeTally(owed=1, delivered=1)
    code.latencies.add(1000)
    started = time.process_time()
    for sequence in range(1, 20_001):
        totals.count_sent(sequence)
        totals.add(sequence, code)
    assert (time.process_time() - started) / 20_000 < 0.001
    started = time.process_time()
    assert len(totals.figures(20)) == 20
    assert time.process_time() - started < 0.5


def test_examples_of_leaks_name_the_worker_and_the_row_of_the_connection() -> None:
    totals = Totals(plan=ChannelPlan(["c1", "c2"]))
    totals.begin_step(1)
    for key, name in (("x", "worker 1 (host)"), ("y", "worker 2 (host)")):
        totals.worker(key).name = name
        tally = tally_of(1, owed=1, delivered=1, leaked=1)
        tally.keep_leak(Leak(1, "c1", 2, "ann", ("c2",)))
        totals.add_report(key, report_of(Tally.unpack(tally.pack())))
    within = [(each.worker, each.connection) for each in leaks_of(totals)]
    assert within == [("worker 1 (host)", 2), ("worker 2 (host)", 2)]
    assert leaks_of(totals.end_step()) == leaks_of(totals)
    for key in "xy":
        totals.add_report(key, replace(report_of(Tally(), connections=3), final=True))
    assert [each.connection for each in leaks_of(totals)] == [2, 5]
    assert leaks_of(totals)[0].own_channels == ["c2"]
