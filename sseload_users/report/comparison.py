"""Compare two reports: what changed, and whether noise explains it; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from sseload_users.core.formatting import clean, count, ms, number, of, shorten
from sseload_users.core.histogram import Histogram
from sseload_users.report import hdr, intervals
from sseload_users.report.intervals import Interval, Part
from sseload_users.report.model import SCHEMA, CodeRow, Report
from sseload_users.report.pages import portion, setting
from sseload_users.verdict.thresholds import Grade

Outcome = Literal["worse", "better", "unclear", "same", "not judged"]

#: Changes of a latency up to this, in per cent, count as equal.
TOLERANCE_PERCENT = 10.0

#: The outcomes that have sentences, the more important first.
CLEAR: tuple[Outcome, ...] = ("worse", "better")

_PERCENTILES = (("p50", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0), ("p99.9", 99.9))
_MOST_OPTIONS = 6
#: Options that do not influence a run.
_IRRELEVANT = {"baseline", "delivery_report", "history", "name"}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both runs.

    Attributes:
        name: of the figure: "delivered", "p99".
        before: the figure of A, in words.
        after: that of B.
        change: from A to B, in words: of a latency in per cent, of a share in points.
        outcome: B compared with A; "unclear" if noise explains the change, "same" without
            a change.
        sentence: the outcome in words, if it is clear; of a latency, the words after
            "B is slower: ".
        interval: the change of a latency, 0.23 for 23 % more; None for other figures.
    """

    name: str
    before: str
    after: str
    change: str = "-"
    outcome: Outcome = "not judged"
    sentence: str = ""
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from run A to run B.

    Attributes:
        verdicts: the grades. Only a change between good and issues is clear: the grade between
            them may be missed by a hair.
        shares: of connections, codes, deliveries and failed operations.
        latencies: percentiles of the delivery latency, and its maximum, which is not judged.
        connects: percentiles of the connect time, and of the time to catch up, which are not
            judged either.
        notes: what else differs, each a sentence.
    """

    verdicts: Row
    shares: Sequence[Row]
    latencies: Sequence[Row]
    connects: Sequence[Row]
    notes: Sequence[str]

    def sentences(self, outcome: Outcome) -> list[str]:
        """Return what is clearly worse, or better, each a sentence."""
        rows = (self.verdicts, *self.shares)
        sentence = [row.sentence for row in rows if row.outcome == outcome]
        latencies = [row.sentence for row in self.latencies if row.outcome == outcome]
        if latencies:
            how = "slower" if outcome == "worse" else "faster"
            sentence.append(f"B is {how}: {', '.join(latencies)}.")
        return sentence

    @property
    def worse(self) -> bool:
        """Whether B is clearly worse in anything that is judged."""
        return bool(self.sentences("worse"))


class AgainstBaseline(NamedTuple):
    """A run compared with an earlier one.

    Attributes:
        baseline: report of the earlier run.
        result: what changed since.
    """

    baseline: Report
    result: Comparison


def compare(before: Report, after: Report, tolerance: float = TOLERANCE_PERCENT) -> Comparison:
    """Compare two reports.

    Args:
        before: report A, the reference.
        after: report B.
        tolerance: the change of a latency, in per cent, up to which B is as fast as A.
    """
    return Comparison(
        verdicts=_verdicts(before.verdict.grade, after.verdict.grade),
        shares=[*_shares(before, after), *_recovered(before, after)],
        latencies=list(_latencies(before, after, tolerance / 100)),
        connects=[
            Row(f"connect {name}", ms(old), ms(new), _percent(_growth(old, new)))
            for name, old, new in (
                ("p50", before.connections.connect_ms.p50, after.connections.connect_ms.p50),
                ("p99", before.connections.connect_ms.p99, after.connections.connect_ms.p99),
            )
        ]
        + list(_catching_up(before, after)),
        notes=list(_notes(before, after)),
    )


def _verdicts(before: Grade, after: Grade) -> Row:
    outcomes: dict[tuple[Grade, Grade], Outcome] = {
        ("good", "issues"): "worse",
        ("issues", "good"): "better",
    }
    outcome = outcomes.get((before, after), "same" if before == after else "unclear")
    sentence = f"The verdict of A is {before}, that of B is {after}." if outcome in CLEAR else ""
    return Row("verdict", before, after, outcome=outcome, sentence=sentence)


class _Share(NamedTuple):
    """A share that is compared, and its sentences.

    Attributes:
        only_if_any: it is left out where it is 0 in both runs.
    """

    name: str
    more_is_better: bool
    worse: str
    better: str
    counts: Callable[[Report], tuple[int, int]]
    only_if_any: bool = False


_SHARES = (
    _Share(
        "delivered", True, "B delivers less of what is owed", "B delivers more of what is owed",
        lambda report: (report.deliveries.received, report.deliveries.owed),
    ),
    _Share(
        "leaked", False, "B leaks more codes to other channels",
        "B leaks fewer codes to other channels",
        lambda report: (report.deliveries.leaked, report.deliveries.owed), only_if_any=True,
    ),
    _Share(
        "replayed", False, "B sends more codes again after reconnects",
        "B sends fewer codes again after reconnects",
        lambda report: (report.deliveries.replayed, report.deliveries.owed), only_if_any=True,
    ),
    _Share(
        "connected", True, "Fewer connect attempts succeed in B",
        "More connect attempts succeed in B",
        lambda report: (report.connections.succeeded, report.connections.attempted),
    ),
    _Share(
        "dropped", False, "B drops more sessions", "B drops fewer sessions",
        lambda report: (report.connections.dropped, report.connections.succeeded),
    ),
    _Share(
        "codes accepted", True, "B accepts fewer codes", "B accepts more codes",
        lambda report: (report.codes.accepted, report.codes.judged),
    ),
    _Share(
        "errors", False, "More operations fail in B", "Fewer operations fail in B",
        lambda report: (report.errors.failed, report.errors.operations),
    ),
)  # fmt: skip


def _shares(a: Report, b: Report) -> Iterator[Row]:
    # A run without losses says nothing about how losses cluster, so both use the larger effect.
    effect = max(
        intervals.design_effect([(code.received, code.owed) for code in each.per_code])
        for each in (a, b)
    )
    for figure in _SHARES:
        old, new = figure.counts(a), figure.counts(b)
        if old[0] or new[0] or not figure.only_if_any:
            yield _share(figure, old, new, effect if figure is _SHARES[0] else 1.0)


def _recovered(a: Report, b: Report) -> Iterator[Row]:
    """Yield the share that was recovered, which depends on when connections were away."""
    before, after = a.deliveries, b.deliveries
    if before.recovered or after.recovered:
        yield Row(
            "recovered",
            portion(before.recovered, before.owed),
            portion(after.recovered, after.owed),
        )


def _catching_up(a: Report, b: Report) -> Iterator[Row]:
    if a.resume is None or b.resume is None:
        return
    before, after = a.resume.recovery_ms, b.resume.recovery_ms
    for name, old, new in (("p50", before.p50, after.p50), ("p99", before.p99, after.p99)):
        yield Row(f"catching up {name}", ms(old), ms(new), _percent(_growth(old, new)))


def _share(figure: _Share, old: tuple[int, int], new: tuple[int, int], effect: float) -> Row:
    before, after = portion(*old), portion(*new)
    if not old[1] or not new[1]:
        # Having nothing to take a share of is worse than before.
        if not (figure.more_is_better and (old[1] or new[1])):
            return Row(figure.name, before, after)
        gone = old[1] > 0
        sentence = figure.worse if gone else figure.better
        return Row(
            figure.name,
            before,
            after,
            outcome="worse" if gone else "better",
            sentence=f"{sentence}: {of(*old)} → {of(*new)}.",
        )
    measured = [
        intervals.share_interval(min(1.0, part / whole), max(1.0, whole / effect))
        for part, whole in (old, new)
    ]
    change = intervals.difference(*measured)
    outcome: Outcome = "unclear" if change.value else "same"
    if change.low > 0 or change.high < 0:
        outcome = "better" if (change.low > 0) == figure.more_is_better else "worse"
    sentence = figure.better if outcome == "better" else figure.worse
    return Row(
        figure.name,
        before,
        after,
        f"{100 * change.value:+.2g} pp" if change.value else "0 pp",
        outcome,
        f"{sentence}: {of(*old)} → {of(*new)}." if outcome in CLEAR else "",
    )


def _latencies(a: Report, b: Report, tolerance: float) -> Iterator[Row]:
    histograms = [hdr.histogram(each.delivery_ms) for each in (a, b)]
    for name, percent in _PERCENTILES:
        measured = [
            percentile(histogram, report.per_code, percent) if histogram else None
            for report, histogram in zip((a, b), histograms, strict=True)
        ]
        before, after = (ms(each.value if each else None) for each in measured)
        old, new = measured
        if old is None or new is None:
            yield Row(name, before, after)
            continue
        change = intervals.ratio(old, new)
        outcome: Outcome = "unclear" if change.value else "same"
        if change.low > 0 and change.value > tolerance:
            outcome = "worse"
        elif change.high < 0 and change.value < -tolerance:
            outcome = "better"
        sentence = f"{name} {before} → {after} ms ({_percent(change.value)})"
        yield Row(
            name,
            before,
            after,
            _percent(change.value),
            outcome,
            sentence if outcome in CLEAR else "",
            change,
        )
    old_max, new_max = a.delivery_ms.max, b.delivery_ms.max
    yield Row("max", ms(old_max), ms(new_max), _percent(_growth(old_max, new_max)))


def percentile(histogram: Histogram, per_code: Sequence[CodeRow], percent: float) -> Interval:
    """Return a percentile of a run's delivery latency with its interval, in milliseconds.

    Args:
        histogram: of the run's latencies.
        per_code: the run's codes, between which latencies vary.
        percent: from 0 to 100.
    """
    value = histogram.percentile_ms(percent) or 0.0
    clusters: list[Part] = [
        (_below(code, value) * code.delivered, code.delivered)
        for code in per_code
        if code.delivered
    ]
    observations = max(1.0, histogram.total / intervals.design_effect(clusters))
    return intervals.percentile_interval(histogram, percent, observations, len(clusters))


def _below(code: CodeRow, value: float) -> float:
    """Estimate the share of a code's deliveries up to a latency, from its five known points."""
    known = [
        (value, share)
        for value, share in (
            (code.first_ms, 1 / code.delivered),
            (code.p50_ms, 0.5),
            (code.p95_ms, 0.95),
            (code.p99_ms, 0.99),
            (code.last_ms, 1.0),
        )
        if value is not None
    ]
    if not known or value >= known[-1][0]:
        return 1.0
    if value < known[0][0]:
        return 0.0
    for (left, low), (right, high) in pairwise(known):
        if value < right:
            return low + (high - low) * (value - left) / (right - left)
    return 1.0


def _growth(before: float | None, after: float | None) -> float | None:
    return after / before - 1 if before and after is not None else None


def _percent(change: float | None) -> str:
    """Return a change in words: "+23 %", "-1.5 %", "0 %"."""
    if change is None or not math.isfinite(change):
        return "-"
    percent = 100 * change
    rounded = f"{percent:+.1f}" if abs(percent) < 9.95 else f"{percent:+,.0f}"
    return "0 %" if rounded in ("+0.0", "-0.0") else f"{rounded} %"


def _notes(a: Report, b: Report) -> Iterator[str]:
    for name, each in (("A", a), ("B", b)):
        if each.schema != SCHEMA:
            yield f"{name} has schema {each.schema}, not {SCHEMA}: fields may have another meaning."
        if not each.run.complete:
            yield f"The run of {name} is incomplete: the report covers what was accounted for."
        if each.generator.saturated:
            yield f"The generator of {name} was saturated: its load may have been lighter."
    if a.run.id == b.run.id and a.run.started_at == b.run.started_at:
        yield "Both reports are of the same run."
    for what, old, new in (
        ("targets", a.run.target, b.run.target),
        ("transports", a.run.transport, b.run.transport),
        ("numbers of workers", number(a.run.workers), number(b.run.workers)),
    ):
        if old != new:
            yield f"The {what} differ: {_quoted(old)} and {_quoted(new)}."
    if a.generator.timestamps != b.generator.timestamps:
        yield (
            "Arrivals were timestamped by different means "
            f"({_quoted(a.generator.timestamps)} and {_quoted(b.generator.timestamps)}), so "
            "latencies are not directly comparable."
        )
    yield from _options(a, b)


def _options(a: Report, b: Report) -> Iterator[str]:
    old, new = a.run.options, b.run.options
    changed = [
        f"{_quoted(name)} {_quoted(before)} → {_quoted(after)}"
        for name in sorted({*old, *new} - _IRRELEVANT)
        if (before := setting(old.get(name))) != (after := setting(new.get(name)))
    ]
    if changed:
        further = len(changed) - _MOST_OPTIONS
        rest = f", and {count(further, 'more', 'more')}" if further > 0 else ""
        yield f"Options differ: {', '.join(changed[:_MOST_OPTIONS])}{rest}."


def _quoted(text: str) -> str:
    return shorten(clean(text), 40)
