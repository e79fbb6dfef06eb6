"""Reading the metrics that sseload exposes, with the client library's parser."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from sseload_users.report import prometheus
from sseload_users.report.model import Report


def text_of(report: Report) -> str:
    """The metrics of a report in the text format."""
    return prometheus.exposition(prometheus.metrics_of(report)).body.decode()


def families(text: str) -> dict[str, Metric]:
    """Metrics by name, from the text format; no name may be there twice."""
    found = list(text_string_to_metric_families(text))
    names = [family.name for family in found]
    assert len(names) == len(set(names))
    return {family.name: family for family in found}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    """A family's figures by the values of their labels, in the order of the labels' names."""
    found = {
        tuple(value for _, value in sorted(each.labels.items())): each.value
        for each in family.samples
    }
    assert len(found) == len(family.samples), family.name
    return found
