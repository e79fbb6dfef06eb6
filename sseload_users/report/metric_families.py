"""Families of Prometheus metrics, from their samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from sseload_users.core.formatting import clean

#: The values of a family's labels, and a figure; None is exposed as NaN.
Sample: TypeAlias = tuple[Sequence[object], float | None]


def gauge(name: str, about: str, value: float | None) -> GaugeMetricFamily:
    """Return a gauge without labels.

    Args:
        name: without the prefix of all names.
        about: its description.
        value: None if it is not known.
    """
    return gauges(name, about, (), [((), value)])


def counter(name: str, about: str, value: int) -> CounterMetricFamily:
    """Return a counter without labels; see `gauge`."""
    return counters(name, about, (), [((), value)])


def gauges(
    name: str, about: str, labels: Sequence[str], samples: Iterable[Sample]
) -> GaugeMetricFamily:
    """Return gauges that differ in the values of their labels; see `gauge`."""
    family = GaugeMetricFamily(f"sseload_{name}", about, labels=labels)
    _fill(family, samples)
    return family


def counters(
    name: str, about: str, labels: Sequence[str], samples: Iterable[Sample]
) -> CounterMetricFamily:
    """Return counters that differ in the values of their labels; see `gauge`."""
    family = CounterMetricFamily(f"sseload_{name}", about, labels=labels)
    _fill(family, samples)
    return family


def scaled(value: float | None, factor: float) -> float | None:
    """Return a value in another unit."""
    return None if value is None else value * factor


def _fill(family: GaugeMetricFamily | CounterMetricFamily, samples: Iterable[Sample]) -> None:
    for labels, value in samples:
        family.add_metric([clean(each) for each in labels], math.nan if value is None else value)
