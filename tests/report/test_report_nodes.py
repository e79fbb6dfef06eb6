"""Nodes in the console, the page and the metrics."""

from __future__ import annotations

import pytest

from sseload_users.core.code_tally import CodeTally
from sseload_users.core.node_totals import NodeTotals
from sseload_users.core.streams import StreamPlan
from sseload_users.core.tally import Tally
from sseload_users.report import console, html
from sseload_users.report.account import counted
from sseload_users.report.model import Report
from sseload_users.run.closing_notes import node_notes
from tests.support.metrics import families, text_of, values
from tests.support.reports import sample


def report_of(nodes: int, losses: dict[tuple[int, int], int], name: str = "node") -> Report:
    """Return a report of nodes with 10 connections each, and one code each.

    Args:
        nodes: how many.
        losses: missing pairs by publishing and receiving node; all others were delivered.
        name: of the nodes' hosts, without their numbers.
    """
    urls = [f"http://{name}{each}:8000" for each in range(1, nodes + 1)]
    totals, tally = NodeTotals(urls, StreamPlan(1, nodes)), Tally()
    for source in range(nodes):
        code = CodeTally()
        for to in range(nodes):
            pairs, lost = code.at_node(to), losses.get((source + 1, to + 1), 0)
            pairs.owed, pairs.delivered, pairs.missing = 10, 10 - lost, lost
            pairs.latencies.add_all([5000] * (10 - lost))
        totals.count_sent(source + 1)
        totals.add(source + 1, code)
        tally.nodes[source, "connected"] = 10
    tally.nodes[nodes - 1, "failed"], tally.nodes[nodes - 1, "dropped"] = 2, 1
    report = sample()
    report.nodes, report.node_pairs = totals.figures(tally, 0), totals.pairs(counted)
    return report


def lines_of(report: Report) -> list[str]:
    return [" ".join(line.split()) for line in console.summary(report).splitlines()]


def test_few_nodes_have_a_matrix() -> None:
    lines = lines_of(report_of(2, {(1, 2): 10, (2, 1): 1}))
    at = lines.index("Node connected failed dropped codes")
    assert lines[at : at + 8] == [
        "Node connected failed dropped codes",
        "1 http://node1:8000 10 0 0 1",
        "2 http://node2:8000 10 2 1 1",
        "",
        "Delivered to 1 to 2",
        "from 1 100 % 0 %",
        "p99 ms 5.00 -",
        "from 2 90 % 100 %",
    ]


def test_of_many_nodes_only_losses_are_shown_the_worst_first() -> None:
    lines = lines_of(report_of(12, {(3, 4): 2, (12, 1): 9}))
    at = lines.index("From node to node delivered not in time p99 ms")
    assert lines[at + 1 : at + 3] == ["12 to 1 10 % 9 5.00", "3 to 4 80 % 2 5.00"]
    assert "4 further nodes, no worse: see nodes.csv" in lines
    assert "12 http://node12:8000 10 2 1 1" in lines


def test_further_losses_are_counted() -> None:
    lines = lines_of(report_of(9, {(1, to): to for to in range(1, 10)}))
    assert "1 further pair with losses: see node_pairs.csv" in lines


def test_many_nodes_without_losses_take_one_line() -> None:
    assert "Each node received all codes of each node." in lines_of(report_of(20, {}))


@pytest.mark.parametrize("width", [60, 80])
def test_the_tables_fit(width: int) -> None:
    report = report_of(7, {(1, 2): 10}, "a" * 90)
    text = console.summary(report, width)
    assert max(map(len, text.splitlines())) <= width
    assert ("to 7" in text) == (width == 80)
    assert ("1 to 2" in text) == (width == 60)


def test_gaps_and_diverted_codes_have_a_table_of_their_own() -> None:
    urls = ["http://node1:8000", "http://node2:8000"]
    totals, tally = NodeTotals(urls, StreamPlan(1, 2)), Tally()
    for sequence, node in enumerate((None, None, None, 0), 1):
        code = CodeTally()
        code.at_node(1).owed = code.at_node(1).recovered = 1
        totals.count_sent(sequence, node)
        totals.add(sequence, code)
    for event in ("connected", "connected", "planned"):
        tally.nodes[0, event] += 1
    tally.gaps_of(0).add_all([2_000_000, 3_500_000, 1_000_000])
    report = sample()
    report.nodes, report.node_pairs = totals.figures(tally, 0), totals.pairs(counted)
    first, second = report.nodes
    assert (first.codes, first.diverted, second.codes, second.diverted) == (3, 0, 1, 1)
    assert (first.owed, second.owed, second.recovered) == (0, 4, 4)
    assert [pair.owed for pair in report.node_pairs] == [0, 3, 0, 1]
    assert totals.refused_at_end() == {"http://node2:8000": 1}
    (note,) = node_notes(totals.refused_at_end())
    assert note == (
        "http://node2:8000 accepted no connection for codes at the end of the run: 1 code whose "
        "turn it was went to other nodes."
    )
    totals.count_sent(6)
    assert totals.refused_at_end() == {}
    lines = lines_of(report)
    at = lines.index("Gaps planned ends returned median s longest s codes diverted")
    assert lines[at + 1 : at + 3] == ["1 1 3 2.0 3.5 0", "2 0 0 - - 1"]
    assert "longest gap, s" in html.document(report)
    assert "longest gap, s" not in html.document(report_of(2, {}))
    found = families(text_of(report))
    assert values(found["sseload_node_planned_ends"])["http://node1:8000",] == 1
    assert values(found["sseload_node_longest_gap_seconds"])["http://node1:8000",] == 3.5


def test_the_page_and_the_metrics_have_all_pairs() -> None:
    report = report_of(3, {(1, 2): 10})
    page = html.document(report)
    assert page.count("<td>http://node2:8000</td>") == 3
    found = families(text_of(report))
    owed, delivered = (values(found[f"sseload_node_deliveries{name}"]) for name in ("_owed", ""))
    assert len(owed) == len(delivered) == 9
    first_to_second = "http://node2:8000", "http://node1:8000"  # by the names of the labels
    assert (owed[first_to_second], delivered[first_to_second]) == (10, 0)
    assert values(found["sseload_node_drops"])["http://node3:8000",] == 1
    assert values(found["sseload_node_connects"])["http://node3:8000", "failed"] == 2
