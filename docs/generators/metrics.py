"""The page of metrics, from the exposition itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from prometheus_client.core import Metric

from docs.generators.markdown import header, row
from sseload_users.report.prometheus import BUCKETS, MOST_CAUSES, MOST_CHANNELS, metrics_of
from sseload_users.report.serialization import parse, schema

_Node: TypeAlias = Mapping[str, Any]

_INTRODUCTION = """\
# Metrics reference

`make schema` generates this page from the exposition of a report that has everything. \
[Observability](observability.md) says where Prometheus finds the metrics.

- Times are in seconds. A figure that is not known is NaN.
- A histogram has ten buckets to a decade, from {lowest:g} s to {highest:g} s: a quantile computed \
from it is off by a quarter at most.
- The owed deliveries are gauges, because a missing one can still arrive late.
- Channels: the worst {channels}. Causes: the {causes} most frequent; the others are counted as \
`other`.
- Some metrics are there only where they have a meaning: those of nodes with `--nodes`, of \
channels in a run with channels, of recovery where the profile promises resumption, of the server \
with `--watch-process` and the like, of health checks with `--watch-health`, of patterns where the \
diagnosis names one.
"""

#: Labels whose values are not listed, and what they are.
_LABELS = {
    "cause": "the cause, as in the report",
    "channel": "the name of the channel",
    "compression": "what was negotiated, or `none`",
    "id": "the run's id",
    "name": "the series",
    "node": "the node's URL",
    "operation": "what failed, as in the report",
    "pattern": "the name of the pattern",
    "received_at": "the URL of the session's node",
    "region": "the worker's `--region`",
    "rule": "the name of the rule",
    "sent_to": "the URL of the node that took the code",
    "source": "what is watched",
    "target": "the server's URL",
    "transport": "`websocket`, `socketio` or `sse`",
    "unit": "the unit of the value",
    "worker": "the name of the worker",
}


def _lines() -> Iterator[str]:
    yield _INTRODUCTION.format(
        lowest=BUCKETS[0], highest=BUCKETS[-1], channels=MOST_CHANNELS, causes=MOST_CAUSES
    )
    yield header("metric", "type", "labels", "meaning")
    for metric in metrics_of(parse(_any_of(schema(), schema()["$defs"]), "the example")):
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        yield row(f"`{name}`", metric.type, "; ".join(_labels(metric)), metric.documentation)


def _labels(metric: Metric) -> Iterator[str]:
    """Yield each label of a metric, with its values or its meaning."""
    values: dict[str, dict[str, None]] = {}
    for sample in metric.samples:
        for label, value in sample.labels.items():
            if label != "le":
                values.setdefault(label, {})[value] = None
    for label, known in values.items():
        yield f"`{label}`: {_LABELS.get(label) or ', '.join(known)}"


def _any_of(node: _Node, definitions: _Node) -> Any:
    """Return some value that a JSON Schema allows, with every part that there can be."""
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        if name == "LatencySummary":  # whose fields depend on each other
            return {each: 0 if each == "count" else None for each in definitions[name]["required"]}
        return _any_of(definitions[name], definitions)
    if "anyOf" in node:
        return _any_of(node["anyOf"][0], definitions)
    if "const" in node or "enum" in node:
        return node.get("const", node.get("enum", [None])[0])
    if node["type"] == "object":
        named = {"x": each} if isinstance(each := node["additionalProperties"], dict) else {}
        known = {**named, **node.get("properties", {})}
        return {name: _any_of(inner, definitions) for name, inner in known.items()}
    if node["type"] == "array":
        inner = node.get("prefixItems") or [node["items"]]
        return [_any_of(each, definitions) for each in inner]
    if node["type"] == "string":
        return "2026-01-01T00:00:00Z" if node.get("format") == "date-time" else "x"
    return False if node["type"] == "boolean" else node.get("minimum", 0)


def page() -> str:
    """Return the text of docs/metrics-reference.md."""
    return "\n".join(_lines()).rstrip() + "\n"
