"""How the server fared while it was under load: figures on the run's own time axis; pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sseload_users.core.figures import VitalsSeries
from sseload_users.core.formatting import count, number

Source = Literal["process", "metrics", "health"]

_S = 1_000_000_000

_FIRST = ("cpu", "rss", "threads", "open files")

#: What a process' memory has to grow by before anything is said about it, in MiB, and by how
#: many connections: less is noise.
_GROWN_MIB, _MORE_CONNECTIONS = 4.0, 20
#: The memory that the question is usually about, in MiB: a small rented server's.
_HOST_MIB = 2048.0


@dataclass(frozen=True, slots=True)
class Series:
    """What is measured.

    Attributes:
        source: how.
        name: cpu, rss, threads, open files, health, or the metric's own name.
        unit: "%", of one core; "MiB"; "ms"; or empty.
    """

    source: Source
    name: str
    unit: str = ""


class ServerVitals:
    """The figures of one run, one a second for each series: 8 bytes each, however long it is.

    Args:
        started_ns: when the run began (wall clock, ns).
    """

    def __init__(self, started_ns: int) -> None:
        self._from = started_ns // _S
        self._values: dict[Series, array[float]] = {}

    def note(self, series: Series, at_ns: int, value: float) -> None:
        """Note a figure; the highest of a second counts.

        Args:
            series: of which it is.
            at_ns: when it was taken (wall clock, ns).
            value: the figure.
        """
        values = self._values.setdefault(series, array("d"))
        index = at_ns // _S - self._from
        if index < 0 or not math.isfinite(value):
            return
        values.extend([math.nan] * (index + 1 - len(values)))
        values[index] = value if math.isnan(values[index]) else max(value, values[index])

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
            for series, values in sorted(self._values.items(), key=_place)
        ]


def _place(item: tuple[Series, object]) -> int:
    """The process' figures come first, then the health check; metrics as they were named."""
    series = item[0]
    if series.source == "process":
        return _FIRST.index(series.name)
    return len(_FIRST) + (series.source == "metrics")


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
        MiB to begin with, and MiB for each connection; None where it did not grow, or was not
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
    if more < _MORE_CONNECTIONS or grown < _GROWN_MIB:
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
            yield _in_words(each.name, each.unit, known)
    memory = memory_per_connection(vitals, open_connections)
    if memory is not None:
        base, each_mib = memory
        holds = max(0.0, _HOST_MIB - base) / each_mib
        yield (
            f"rss grew {_rough(each_mib)} MiB per connection; 2 GiB holds about "
            f"{number(_round_down(holds))}"
        )


def _in_words(name: str, unit: str, values: Sequence[float]) -> str:
    behind = f" {unit}" if unit else ""
    low, high = min(values), max(values)
    if name == "threads" and low == high:
        return count(int(high), "thread")
    if name in ("cpu", "health"):
        return f"{name} up to {_rough(high)}{behind}"
    span = _rough(high) if low == high else f"{_rough(low)} to {_rough(high)}"
    return f"{name} {span}{behind}"


def _rough(value: float) -> str:
    """Three digits are as much as anybody reads."""
    if value == int(value) and abs(value) < 1e15:
        return number(int(value))
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _round_down(value: float) -> int:
    """To two digits, since it is an estimate: 1,057 becomes 1,000."""
    if value < 100:
        return int(value)
    step = 10 ** (int(math.log10(value)) - 1)
    return int(value // step * step)
