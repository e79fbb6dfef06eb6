"""The objective of a search: the conditions under which a server holds a size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from sseload_users.core.errors import ConfigError
from sseload_users.core.figures import Account
from sseload_users.core.formatting import clean, ms, share

_TERM = re.compile(
    r"(?P<name>[a-z0-9_.]+)\s*(?P<comparison><=|>=)\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>%|ms|s)?"
)

#: The figures of conditions: shares, with the direction that is better, and latencies.
_SHARES = {"delivery": ">=", "connect": ">=", "accepted": ">=", "errors": "<=", "dropped": "<="}
_LATENCIES = ("p50", "p90", "p95", "p99", "p99.9", "max")

DEFAULT = "delivery>=99.9%, connect>=95%, errors<=1%"


@dataclass(frozen=True, slots=True)
class Term:
    """One condition.

    Attributes:
        name: "delivery", "connect", "accepted", "errors", "dropped", or a percentile of the
            delivery latency.
        at_least: whether `value` is a lower bound.
        value: a share from 0 to 1, or milliseconds.
    """

    name: str
    at_least: bool
    value: float

    def is_met(self, measured: float | None) -> bool:
        """Whether a figure meets the condition.

        Without any delivery there is no latency, which meets no condition; a share of nothing
        meets an upper bound.
        """
        if measured is None:
            return not self.at_least and not self.is_latency
        return measured >= self.value if self.at_least else measured <= self.value

    @property
    def is_latency(self) -> bool:
        """Whether the condition is about a latency, not a share."""
        return self.name in _LATENCIES

    def __str__(self) -> str:
        """Return the condition: "p99 <= 500 ms"."""
        return f"{self.name} {self._bound()}"

    def state(self, measured: float | None) -> str:
        """Return the figure: "p99 612 ms"."""
        return f"{self.name} {self._format(measured)}"

    def compare(self, measured: float | None) -> str:
        """Return a figure beside the bound: "p99 612 ms, objective <= 500 ms"."""
        return f"{self.state(measured)}, objective {self._bound()}"

    def _bound(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self._format(self.value)}"

    def _format(self, value: float | None) -> str:
        """Return a figure with enough digits to be on the right side of the bound."""
        if value is None:
            return "none"
        if self.is_latency:
            short = ms(value)
            is_clear = value == self.value or short != ms(self.value)
            return f"{short if is_clear else f'{value:,.3f}'} ms"
        exact, mark = (Fraction(each).limit_denominator(10**9) for each in (value, self.value))
        return share(exact.numerator, exact.denominator, [mark])


@dataclass(frozen=True, slots=True)
class Objective:
    """Conditions that must all be met."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Return the objective that a text states: "delivery>=99.9%, p99<=500ms".

        Raises:
            ConfigError: the text is not an objective; one sentence.
        """
        terms = []
        for part in filter(None, (each.strip() for each in text.split(","))):
            match = _TERM.fullmatch(part)
            name = match["name"] if match else ""
            if match is None or name not in (*_SHARES, *_LATENCIES):
                raise ConfigError(
                    f"Invalid --objective {clean(part)!r}: use conditions such as "
                    f"'{DEFAULT}, p99<=500ms' on {', '.join((*_SHARES, *_LATENCIES))}."
                )
            wanted = _SHARES.get(name, "<=")
            unit = match["unit"] or ""
            if match["comparison"] != wanted or (unit == "%") != (name in _SHARES):
                example = f"{name}{wanted}" + ("95%" if name in _SHARES else "500ms")
                raise ConfigError(
                    f"Invalid --objective {clean(part)!r}: write for example {example}."
                )
            # With fractions: 99.9 % must be the same float as 999 of 1,000.
            scale = {"%": Fraction(1, 100), "s": Fraction(1000)}.get(unit, Fraction(1))
            terms.append(Term(name, wanted == ">=", float(Fraction(match["value"]) * scale)))
        if not terms:
            raise ConfigError("--objective is empty: write for example 'delivery>=99.9%'.")
        return cls(tuple(terms))

    def unmet(self, account: Account) -> list[tuple[Term, float | None]]:
        """Return the conditions that an account does not meet, each with the measured figure."""
        measured = ((term, measure(account, term.name)) for term in self.terms)
        return [(term, figure) for term, figure in measured if not term.is_met(figure)]


def measure(account: Account, name: str) -> float | None:
    """Return the figure that a condition is about, a share or milliseconds; None without any."""
    connections, codes, latency = account.connections, account.codes, account.delivery_ms
    match name:
        case "delivery":
            judged = account.deliveries.judged
            return account.deliveries.received / judged if judged else None
        case "connect":
            return connections.success_rate
        case "accepted":
            return codes.accepted / codes.judged if codes.judged else None
        case "errors":
            return account.errors.error_rate
        case "dropped":
            held = connections.succeeded
            return connections.dropped / held if held else None
    percentiles = {
        "p50": latency.p50,
        "p90": latency.p90,
        "p95": latency.p95,
        "p99": latency.p99,
        "p99.9": latency.p99_9,
        "max": latency.max,
    }
    return percentiles[name]
