"""Judge latencies: of deliveries, of connecting, and of reconnecting after a drop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sseload_users.core.figures import Account, GeneratorFigures
from sseload_users.core.formatting import ms
from sseload_users.verdict.reasons import GRADES, Reason, make_reason
from sseload_users.verdict.thresholds import Grade
from sseload_users.verdict.time_bounds import LatencyRules, TimeRule

_HINTS = {
    "delivery": "Codes arrive slowly: look at the server's CPU, at how long one broadcast takes, "
    "and at slow clients that delay the others.",
    "connect": "The server was slow to accept connections: look at its workers, its CPU and its "
    "backlog, or connect more slowly (-r).",
    "recovery": "Clients were away for long after a drop: look at the server's restart, its "
    "backlog, and the delay that it asks clients to wait.",
}
_NAMES = {"delivery": "delivery", "connect": "connect time", "recovery": "time to reconnect"}


@dataclass(frozen=True, slots=True)
class _Figure:
    """One percentile with a bound.

    Attributes:
        latency: "delivery", "connect" or "recovery".
        percentile: "p95" and so on.
        value_ms: the measured time; None without values.
        rule: its rule.
        error_ms: by how much the generator's own clocks and timestamps can have lengthened it.
        saturated: whether the generator was too busy for its load.
    """

    latency: str
    percentile: str
    value_ms: float | None
    rule: TimeRule
    error_ms: float
    saturated: bool

    @property
    def is_doubtful(self) -> bool:
        """Whether the generator, not the server, may have broken the bound."""
        if self.value_ms is None or self.rule.good.holds(self.value_ms):
            return False
        return self.saturated or self.rule.good.holds(max(0.0, self.value_ms - self.error_ms))

    @property
    def grade(self) -> Grade:
        """The grade by the rule; at most a warning if the generator may be the cause."""
        if self.value_ms is None or self.rule.good.holds(self.value_ms):
            return "good"
        warning = self.rule.warning
        is_warning = warning is None or warning.holds(self.value_ms)
        return "warning" if is_warning or self.is_doubtful else "issues"

    @property
    def name(self) -> str:
        """What it is, for a sentence."""
        return f"{_NAMES[self.latency]} {self.percentile}"

    @property
    def bound_clause(self) -> str:
        """The figure beside the bound that it breaks."""
        shown = self.rule.good.shown(self.value_ms or 0.0)
        return f"the {self.name} was {shown}; good is {self.rule.good.words()}"


def judge_latency(account: Account, rules: LatencyRules) -> Reason:
    """Return the reason about latencies, by the worst of the figures that have a bound."""
    figures = [each for each in _figures(account, rules) if each.value_ms is not None]
    if not figures:
        return make_reason("latency", "good", "No latency was judged.", measured="none")
    worst = max(figures, key=lambda each: GRADES.index(each.grade))
    grade = worst.grade
    measured = ", ".join(f"{each.name} {ms(each.value_ms)} ms" for each in figures)
    if grade == "good":
        return make_reason(
            "latency", grade, f"Latencies are within their bounds: {measured}.", measured=measured
        )
    broken = [each for each in figures if each.grade == grade]
    sentence = ". ".join(_upper_first(each.bound_clause) for each in broken)
    if any(each.is_doubtful for each in broken):
        sentence += ". The load generator may be the cause, not the server: see its own figures"
    return make_reason(
        "latency",
        grade,
        f"{sentence}.",
        measured=measured,
        threshold=(worst.rule.warning if grade == "issues" else None) or worst.rule.good,
        hint=_HINTS[worst.latency],
    )


def _figures(account: Account, rules: LatencyRules) -> Iterator[_Figure]:
    connections, generator = account.connections, account.generator
    error_ms = _error_ms(generator)
    for name, latency, bounds in (
        ("delivery", account.delivery_ms, rules.delivery),
        ("connect", connections.connect_ms, rules.connect),
        ("recovery", connections.recovery_ms, rules.recovery),
    ):
        for percentile, rule in bounds.rules():
            value_ms: float | None = getattr(latency, percentile)
            yield _Figure(name, percentile, value_ms, rule, error_ms, generator.saturated)


def _error_ms(generator: GeneratorFigures) -> float:
    return (generator.clock_error_ms or 0.0) + (generator.stamp_error_ms.max or 0.0)


def _upper_first(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
