"""Parsing of Prometheus' text exposition format."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from sseload_users.core.formatting import clean, shorten
from sseload_users.core.metric_selectors import MetricSample


def parse_samples(text: str) -> list[MetricSample]:
    """Return the samples of a metrics page.

    Raises:
        ValueError: a line is neither a sample nor a comment; names the line.
    """
    return list(_samples(text))


def _samples(text: str) -> Iterator[MetricSample]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        # Line by line: the error can name the line, and without its TYPE a counter keeps its
        # name. The parser would append "_total" to it.
        try:
            for family in text_string_to_metric_families(line):
                for sample in family.samples:
                    yield MetricSample(sample.name, sample.labels, float(sample.value))
        except (ValueError, LookupError, OverflowError) as error:
            raise ValueError(f"line {number} is not a sample: {clean(shorten(line))}") from error
