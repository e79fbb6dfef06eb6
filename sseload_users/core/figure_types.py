"""What figures are made of: types of numbers and texts, and the summary of latencies.

Their annotations and the docstrings below their fields are the report's JSON Schema, see
`report.serialization`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import ConfigDict, Field, with_config
from pydantic.json_schema import SkipJsonSchema

#: How figures are read from JSON: unknown fields are ignored, NaN and infinity refused.
FIGURES = ConfigDict(use_attribute_docstrings=True, allow_inf_nan=False)

Count: TypeAlias = Annotated[int, Field(ge=0)]
Amount: TypeAlias = Annotated[float, Field(ge=0)] | None
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)] | None
Percent: TypeAlias = Annotated[float, Field(ge=0, le=100)] | None
# Only the schema states that names are not empty: pydantic refuses lone surrogates where it has to
# check a text's length.
Name: TypeAlias = Annotated[str, Field(json_schema_extra={"minLength": 1})]
Timestamp: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$",
        json_schema_extra={"format": "date-time"},
    ),
]


def _only_where_counted(schema: dict[str, Any]) -> None:
    """State in a summary's JSON Schema that its figures are null exactly where count is 0."""
    figures = [name for name in schema["properties"] if name != "count"]
    texts = {"hdr"}
    schema["if"] = {"properties": {"count": {"const": 0}}}
    schema["then"] = {"properties": {name: {"type": "null"} for name in figures}}
    schema["else"] = {
        "properties": {name: {"type": "string" if name in texts else "number"} for name in figures}
    }


@with_config(FIGURES | ConfigDict(json_schema_extra=_only_where_counted))
@dataclass(slots=True, kw_only=True)
class LatencySummary:
    """A summary of latencies in milliseconds.

    Percentiles are nearest-rank, to three significant digits.
    """

    count: Count
    """How many values."""
    min: float | None
    """The lowest value, in milliseconds; null where count is 0."""
    mean: float | None
    """The arithmetic mean, in milliseconds; null where count is 0."""
    p50: float | None
    """The median, in milliseconds; null where count is 0."""
    p90: float | None
    """The 90th percentile, in milliseconds; null where count is 0."""
    p95: float | None
    """The 95th percentile, in milliseconds; null where count is 0."""
    p99: float | None
    """The 99th percentile, in milliseconds; null where count is 0."""
    p99_9: float | None
    """The 99.9th percentile, in milliseconds; null where count is 0."""
    max: float | None
    """The highest value, in milliseconds; null where count is 0."""
    hdr: str | None
    """All values in microseconds, as an HdrHistogram (V2, compressed, base 64); null where count is
    0."""
    counts: Annotated[SkipJsonSchema[Mapping[int, int] | None], Field(exclude=True)] = None
    """While a run goes on, instead of hdr, which takes long to encode: how often each value in
    microseconds occurred."""
