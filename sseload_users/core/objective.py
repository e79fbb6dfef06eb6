"""What a server must still do for a number of connections to count as held; pure."""

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

#: What an objective can be about: which way is better, and the unit that it is told in.
_SHARES = {"delivery": ">=", "connect": ">=", "accepted": ">=", "errors": "<=", "dropped": "<="}
_LATENCIES = ("p50", "p90", "p95", "p99", "p99.9", "max")

DEFAULT = "delivery>=99.9%, connect>=95%, errors<=1%"


@dataclass(frozen=True, slots=True)
class Term:
    """One condition.

    Attributes:
        name: "delivery", "connect", "accepted", "errors", "dropped", or a percentile of the
            delivery latency.
        at_least: whether it is a lower bound.
        value: a share from 0 to 1, or milliseconds.
    """

    name: str
    at_least: bool
    value: float

    def holds(self, measured: float | None) -> bool:
        """Whether a figure keeps it; one that does not exist keeps an upper bound only."""
        if measured is None:
            return not self.at_least
        return measured >= self.value if self.at_least else measured <= self.value

    @property
    def is_latency(self) -> bool:
        """Whether it is about how fast, and not about how much."""
        return self.name in _LATENCIES

    def bound(self) -> str:
        """The condition in words: "p99 <= 500 ms"."""
        return f"{self.name} {self._bound()}"

    def words(self, measured: float | None) -> str:
        """The figure beside the bound: "p99 612 ms, objective <= 500 ms"."""
        return f"{self.name} {self._said(measured)}, objective {self._bound()}"

    def _bound(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self._said(self.value)}"

    def _said(self, value: float | None) -> str:
        """A figure with as many digits as it takes to be on the right side of the bound."""
        if value is None:
            return "none"
        if self.is_latency:
            short = ms(value)
            told = short if value == self.value or short != ms(self.value) else f"{value:,.3f}"
            return f"{told} ms"
        exact, mark = (Fraction(each).limit_denominator(10**9) for each in (value, self.value))
        return share(exact.numerator, exact.denominator, [mark])


@dataclass(frozen=True, slots=True)
class Objective:
    """All conditions together."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Objective:
        """The objective that a text says: "delivery>=99.9%, p99<=500ms".

        Raises:
            ConfigError: it says none; one sentence.
        """
        terms = []
        for part in filter(None, (each.strip() for each in text.split(","))):
            match = _TERM.fullmatch(part)
            name = match["name"] if match else ""
            if match is None or name not in (*_SHARES, *_LATENCIES):
                raise ConfigError(
                    f"--objective: {clean(part)!r} is no condition; write such as "
                    f"'{DEFAULT}, p99<=500ms', about {', '.join((*_SHARES, *_LATENCIES))}."
                )
            wanted = _SHARES.get(name, "<=")
            unit = match["unit"] or ""
            if match["comparison"] != wanted or (unit == "%") != (name in _SHARES):
                example = f"{name}{wanted}" + ("95%" if name in _SHARES else "500ms")
                raise ConfigError(f"--objective: {clean(part)!r} cannot be; write it as {example}.")
            # By fractions: 99.9 % must be the float that 999 of 1,000 is.
            scale = {"%": Fraction(1, 100), "s": Fraction(1000)}.get(unit, Fraction(1))
            terms.append(Term(name, wanted == ">=", float(Fraction(match["value"]) * scale)))
        if not terms:
            raise ConfigError("--objective is empty; write such as 'delivery>=99.9%'.")
        return cls(tuple(terms))

    def broken(self, account: Account) -> list[tuple[Term, float | None]]:
        """Return the conditions that an account does not meet, each with the measured figure."""
        measured = ((term, measure(account, term.name)) for term in self.terms)
        return [(term, figure) for term, figure in measured if not term.holds(figure)]


def measure(account: Account, name: str) -> float | None:
    """Return the figure that a condition is about, a share or milliseconds; None without any."""
    connections, codes, latency = account.connections, account.codes, account.delivery_ms
    match name:
        case "delivery":
            return account.deliveries.delivery_rate
        case "connect":
            return connections.success_rate
        case "accepted":
            return codes.accepted / codes.scheduled if codes.scheduled else None
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
