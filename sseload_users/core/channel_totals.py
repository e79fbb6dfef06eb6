"""The account of each channel of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import nsmallest

from sseload_users.core.audience_figures import ChannelFigures
from sseload_users.core.channels import ChannelPlan
from sseload_users.core.code_tally import STRAY, CodeTally, Outcomes
from sseload_users.core.histogram import Histogram


@dataclass(slots=True)
class ChannelTotal:
    """The account of one channel.

    Attributes:
        codes: number of codes that were sent to it.
        outcomes: sum of their outcomes.
        latencies: of their deliveries, in microseconds.
    """

    codes: int = 0
    outcomes: Outcomes = field(default_factory=Outcomes)
    latencies: Histogram = field(default_factory=Histogram)


class ChannelTotals:
    """The accounts of all channels that codes were sent to.

    Args:
        plan: deals codes to channels.
    """

    def __init__(self, plan: ChannelPlan) -> None:
        self._plan = plan
        self._totals: dict[str, ChannelTotal] = {}

    @property
    def count(self) -> int:
        """How many channels there are."""
        return len(self._plan.names)

    def count_sent(self, sequence: int) -> None:
        """Count a code that was sent."""
        self._of(sequence).codes += 1

    def add(self, sequence: int, code: CodeTally) -> None:
        """Add what a worker reports of a code."""
        if sequence == STRAY:  # it has no channel
            return
        total = self._of(sequence)
        total.outcomes.add(code)
        total.latencies.merge(code.latencies)

    def figures(self, most: int | None = None) -> list[ChannelFigures]:
        """Return the figures of the channels, the worst first.

        Args:
            most: how many of them; None for all.
        """
        names = self._plan.names
        if most is None or most >= len(names):
            return [self._figures(name) for name in sorted(names, key=self._goodness)]
        return [self._figures(name) for name in nsmallest(most, names, key=self._goodness)]

    def losses(self) -> dict[str, tuple[int, int]]:
        """Return the pairs that were owed in each channel, and those of them that were lost."""
        return {
            name: (each.outcomes.owed, each.outcomes.owed - each.outcomes.received)
            for name, each in self._totals.items()
        }

    def _of(self, sequence: int) -> ChannelTotal:
        return self._totals.setdefault(self._plan.channel_of(sequence), ChannelTotal())

    def _goodness(self, name: str) -> tuple[int, int, int]:
        """Return by what channels are sorted: leaks, what was not received, the latency."""
        total = self._totals.get(name, _NOTHING)
        outcomes = total.outcomes
        return -outcomes.leaked, outcomes.received - outcomes.owed, -total.latencies.max_us

    def _figures(self, name: str) -> ChannelFigures:
        total = self._totals.get(name, _NOTHING)
        outcomes, latencies = total.outcomes, total.latencies
        p50, p95, p99 = latencies.percentiles_ms((50, 95, 99))
        return ChannelFigures(
            name=name,
            connections=self._plan.sizes[name],
            codes=total.codes,
            owed=outcomes.owed,
            delivered=outcomes.delivered,
            late=outcomes.late,
            recovered=outcomes.recovered,
            interrupted=outcomes.interrupted,
            missing=outcomes.missing,
            leaked=outcomes.leaked,
            p50=p50,
            p95=p95,
            p99=p99,
            max=latencies.max_us / 1000 if latencies.total else None,
        )


#: Stands for the account of a channel that no code was sent to; nothing is added to it.
_NOTHING = ChannelTotal()
