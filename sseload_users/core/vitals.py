"""Figures on the server's condition under load, on the run's time axis."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sseload_users.core.formatting import count, number
from sseload_users.core.run_figures import VitalsSeries

Source = Literal["process", "metrics", "health"]

_S = 1_000_000_000

#: The order of a process's figures.
_PROCESS_ORDER = ("cpu", "rss", "threads", "open files")

#: Minimum growth of memory, in MiB, and of connections for a statement about memory per
#: connection: less is noise.
_MIN_GROWTH_MIB, _MIN_CONNECTIONS = 4.0, 20
#: Memory of a typical small server, in MiB.
_HOST_MIB = 2048.0


@dataclass(frozen=True, slots=True)
class Series:
    """A series of figures.

    Attributes:
        source: where it is read.
        name: cpu, rss, threads, open files, health, or the metric's own name.
        unit: "%", of one core; "MiB"; "ms"; or empty.
    """

    source: Source
    name: str
    unit: str = ""


@dataclass(slots=True)
class HealthChecks:
    """The target's health checks during a run.

    Attributes:
        made: how many were made.
        failures: how many failed, by cause.
    """

    made: int = 0
    failures: Counter[str] = field(default_factory=Counter)


class ServerVitals:
    """The figures of one run: one a second for each series, 8 bytes each.

    Args:
        started_ns: when the run began (wall clock, ns).

    Attributes:
        health: the target's health checks; None if none are made.
    """

    def __init__(self, started_ns: int) -> None:
        self.health: HealthChecks | None = None
        self._from = started_ns // _S
        self._values: dict[Series, array[float]] = {}

    def add(self, series: Series, at_ns: int, value: float) -> None:
        """Add a figure; the highest of each second is kept.

        Args:
            series: the series.
            at_ns: when it was read (wall clock, ns).
            value: the figure.
        """
        values = self._values.setdefault(series, array("d"))
        index = at_ns // _S - self._from
        if index < 0 or not math.isfinite(value):
            return
        values.extend([math.nan] * (index + 1 - len(values)))
        values[index] = value if math.isnan(values[index]) else max(value, values[index])

    def latest(self) -> list[VitalsSeries]:
        """Return each series with its latest figure as its only value."""
        return [
            VitalsSeries(
                source=series.source,
                name=series.name,
                unit=series.unit,
                values=[round(values[-1], 3)],
            )
            for series, values in sorted(self._values.items(), key=_sort_key)
            if values
        ]

    def columns(self, started_ns: int, ends_s: Sequence[float]) -> list[VitalsSeries]:
        """Return each series with a figure, or None, for each interval of the timeline.

        Args:
            started_ns: when the run began (wall clock, ns).
            ends_s: when each interval ends, in seconds since then.
        """
        ends = [round(end + started_ns / _S) - self._from for end in ends_s]
        spans = list(zip([0, *ends], ends, strict=False))
        return [
            VitalsSeries(
                source=series.source,
                name=series.name,
                unit=series.unit,
                values=[_highest(values[max(0, start) : max(0, end)]) for start, end in spans],
            )
            for series, values in sorted(self._values.items(), key=_sort_key)
        ]


def _sort_key(item: tuple[Series, object]) -> int:
    """Return the sort key: the process's figures, the health check, metrics as given."""
    series = item[0]
    if series.source == "process":
        return _PROCESS_ORDER.index(series.name)
    return len(_PROCESS_ORDER) + (series.source == "metrics")


def _highest(values: Sequence[float]) -> float | None:
    known = [each for each in values if not math.isnan(each)]
    return round(max(known), 3) if known else None


def memory_per_connection(
    vitals: Sequence[VitalsSeries], open_connections: Sequence[int]
) -> tuple[float, float] | None:
    """Return the server's memory before the connections, and how much each of them took.

    Measured from the moment with the fewest connections before the most were open, to the first
    moment with the most: later growth may be caused by codes, or be a leak.

    Args:
        vitals: all series.
        open_connections: how many were open at the end of each interval of the timeline.

    Returns:
        MiB before the connections, and MiB per connection; None if it did not grow or was not
        measured.
    """
    rss: Sequence[float | None] = next((each.values for each in vitals if each.name == "rss"), [])
    points = [
        (many, value)
        for many, value in zip(open_connections, rss, strict=False)
        if value is not None
    ]
    if not points:
        return None
    top = max(range(len(points)), key=lambda index: points[index][0])
    fewest, base = min(points[: top + 1])
    more, grown = points[top][0] - fewest, points[top][1] - base
    if more < _MIN_CONNECTIONS or grown < _MIN_GROWTH_MIB:
        return None
    return base, grown / more


def sentences(vitals: Sequence[VitalsSeries], open_connections: Sequence[int]) -> Iterator[str]:
    """Yield what the figures say about the server, for the summary.

    Args:
        vitals: all series.
        open_connections: how many were open at the end of each interval of the timeline.
    """
    for each in vitals:
        known = [value for value in each.values if value is not None]
        if known:
            yield _range(each.name, each.unit, known)
    memory = memory_per_connection(vitals, open_connections)
    if memory is not None:
        base, each_mib = memory
        holds = max(0.0, _HOST_MIB - base) / each_mib
        yield (
            f"rss grew {_three_digits(each_mib)} MiB per connection; 2 GiB holds about "
            f"{number(_round_down(holds))}"
        )


def _range(name: str, unit: str, values: Sequence[float]) -> str:
    suffix = f" {unit}" if unit else ""
    low, high = min(values), max(values)
    if name == "threads" and low == high:
        return count(int(high), "thread")
    if name in ("cpu", "health"):
        return f"{name} up to {_three_digits(high)}{suffix}"
    span = _three_digits(high) if low == high else f"{_three_digits(low)} to {_three_digits(high)}"
    return f"{name} {span}{suffix}"


def _three_digits(value: float) -> str:
    """Return a figure to three digits."""
    if value == int(value) and abs(value) < 1e15:
        return number(int(value))
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _round_down(value: float) -> int:
    """Return an estimate rounded down to two digits: 1,057 becomes 1,000."""
    if value < 100:
        return int(value)
    step = 10 ** (int(math.log10(value)) - 1)
    return int(value // step * step)
