"""The rate of connects and a storm, as the report has them: which side was the limit."""

from __future__ import annotations

import pytest

from sseload_users.report.build import build
from sseload_users.report.console import summary
from sseload_users.verdict.capacity import storm_sentence
from tests.support import lives

S = 1_000_000_000


@pytest.mark.parametrize(
    ("done_s", "own_us", "limit", "said"),
    [
        (1.0, 900, None, ""),
        (2.0, 900, "generator", "10/s due, 5/s opened: this generator was the limit"),
        (2.0, 100, "server", "10/s due, 5/s opened: the server, or --connect-concurrency, was the"),
    ],
)
def test_the_rate_of_connects_and_its_limit(
    done_s: float, own_us: int, limit: str | None, said: str
) -> None:
    totals = lives.account(4)
    for number in range(11):
        due_ns = lives.START_NS + number * S // 10
        done_ns = lives.START_NS + round(number * done_s * S / 10)
        totals.tally.ramp.add(due_ns, done_ns, own_us, 500)
    now = lives.live(totals, 4)
    now.run.options = {**now.run.options, "ladder": [], "search": ""}
    report = build(now.run, totals, now.thresholds)
    ramp = report.connections.ramp
    assert ramp is not None
    assert (ramp.offered_per_s, ramp.achieved_per_s) == (10.0, 10 / done_s)
    assert ramp.limited_by == limit
    text = " ".join(summary(report, 100).split())
    assert said in text
    assert bool(said) == ("/s opened" in text)


@pytest.mark.parametrize(
    ("own_us", "jitter_s", "limit"),
    [(60_000, 0.0, "generator"), (40_000, 0.0, "server"), (40_000, 0.1, "generator")],
)
def test_the_limit_of_a_storm_leaves_the_jitter_out(
    own_us: int, jitter_s: float, limit: str
) -> None:
    totals = lives.account(4)
    totals.tally.counters.stormed = 5
    for _ in range(5):
        totals.tally.storm.add(100_000)
        totals.tally.storm_own.add(own_us)
    now = lives.live(totals, 4)
    now.run.storms_ns.append(lives.START_NS)
    now.run.options = {**now.run.options, "storm_jitter": jitter_s}
    storm = build(now.run, totals, now.thresholds).storm
    assert storm is not None
    assert storm.limited_by == limit
    assert ("this generator was the limit" in storm_sentence(storm)) == (limit == "generator")
