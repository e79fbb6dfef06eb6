"""The report as JSON: written, read back from a file, and its JSON Schema.

`python -m sseload_users.report.serialization` prints the schema, see `make schema`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from sseload_users.core.errors import ConfigError
from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.formatting import clean, shorten
from sseload_users.core.histogram import Histogram
from sseload_users.report import hdr
from sseload_users.report.model import SCHEMA, RegionShare, Report, WorkerShare
from sseload_users.verdict.reasons import StepReport

_NOTHING = asdict(Histogram().summary())
_NOTHING.pop("counts")

_ADDED_TO_ACCOUNTS: Mapping[str, Any] = {
    "channels": [],
    "leaks": [],
    "resume": None,
    "observed": None,
}
_ADDED_TO_PARTS: Mapping[tuple[str, ...], Mapping[str, Any]] = {
    ("connections",): {
        "ever_connected": 0,
        "never_connected": 0,
        "ended": 0,
        "replaced": 0,
        "planned_ends": 0,
        "resumed": 0,
        "over_http2": 0,
        "polling": None,
        "recovery_ms": _NOTHING,
        "connect_parts": dict.fromkeys(
            (f"{part}_ms" for part in ("tcp", "tls", "handshake", "subscription", "own", "queue")),
            _NOTHING,
        ),
        "ramp": None,
    },
    ("connections", "causes", "*"): {"said": ""},
    ("codes",): {"unowed": 0, "overlapping": 0, "unknown": 0},
    ("deliveries",): {"overlooked": 0, "recovered": 0, "replayed": 0, "leaked": 0, "history": 0},
    ("errors",): {
        "upkeep": 0,
        "upkeep_failed": 0,
        "channel_changes": 0,
        "channel_changes_failed": 0,
    },
    ("errors", "causes", "*"): {"said": ""},
    ("leaks", "*"): {"had_left": False},
    ("generator",): {
        "stamp_error_ms": _NOTHING,
        "in_doubt": 0,
        "imprecise": 0,
        "stall_ms": _NOTHING,
        "stalled_ms": None,
        "waited_percent_max": None,
    },
}

#: Fields that schema 1 did not have from the beginning, and what stands for them in an older
#: report, by the path to the objects that have them ("*" for each of a list).
_ADDED: Mapping[tuple[str, ...], Mapping[str, Any]] = {
    ("verdict", "reasons", "*"): {"tolerated": False},
    ("steps", "*", "verdict", "reasons", "*"): {"tolerated": False},
    (): {
        **_ADDED_TO_ACCOUNTS,
        "reach": [],
        "compression": {"negotiated": {}, "wire_bytes": 0, "inflated_bytes": 0},
        "storm": None,
        "flap": None,
        "vitals": [],
        "paces": [],
        "health": None,
        "addresses": [],
        "nodes": [],
        "node_pairs": [],
        "workers": [],
        "regions": [],
        "steps": [],
        "search": None,
        "losses": None,
        "diagnosis": [],
    },
    ("run",): {"ingest": "unknown", "reasons": 0},
    ("storm",): {"own_ms": _NOTHING, "limited_by": None},
    ("timeline", "*"): {
        "connected": 0,
        "failed": 0,
        "dropped": 0,
        "ended": None,
        "stall_ms": None,
        "waited_percent": None,
        "rss_mib": None,
        "p90_ms": None,
        "p95_ms": None,
        "max_ms": None,
        "latencies": [],
    },
    ("per_code", "*"): {
        "channel": "",
        "payload_bytes": None,
        "id": "",
        "recovered": 0,
        "leaked": 0,
    },
    ("nodes", "*"): {
        "node": 0,
        "planned_ends": 0,
        "returned": 0,
        "gap_p50_ms": None,
        "gap_max_ms": None,
        "diverted": 0,
        "outages": [],
        **dict.fromkeys(("owed", "delivered", "late", "recovered", "interrupted", "missing"), 0),
    },
    ("workers", "*"): {"waited_percent": None, "recovered": 0, "leaked": 0},
    ("regions", "*"): {"waited_percent": None, "recovered": 0, "leaked": 0},
    ("steps", "*"): {**_ADDED_TO_ACCOUNTS, "target": "", "spread_ms": _NOTHING},
    **{
        (*owner, *part): added
        for owner in ((), ("steps", "*"))
        for part, added in _ADDED_TO_PARTS.items()
    },
}


#: Lists that grow with a run. Each of their rows is a line: the standard library's encoder in C
#: does not indent, and the one in Python takes five times as long.
_LONG = ("per_code", "timeline")


@cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def to_json(report: Report) -> str:
    """Return the text of report.json."""
    text = StringIO()
    for name in _field_names(Report):
        text.write(f'{"," if text.tell() else "{"}\n "{name}": ')
        value = getattr(report, name)
        if name not in _LONG or not value:
            text.write(_encode(value, indent=1).replace("\n", "\n "))
            continue
        for number, row in enumerate(value):
            text.write(f"{',' if number else '['}\n  {_encode(row)}")
        text.write("\n ]")
    text.write("\n}\n")
    return text.getvalue()


def _encode(part: Any, indent: int | None = None) -> str:
    return json.dumps(part, default=_as_object, indent=indent, allow_nan=False)


def _as_object(part: Any) -> dict[str, Any]:
    """Return a dataclass of the report as a JSON object.

    pydantic would first read every class's source code for the descriptions in the schema.
    """
    names = _field_names(type(part))  # type: ignore[arg-type] # mypy takes no class for hashable
    return {name: getattr(part, name) for name in names}


@cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of a class's fields, without those that are excluded from JSON."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        each.name
        for each in fields(kind)
        if not any(
            isinstance(known, FieldInfo) and known.exclude
            for known in getattr(hints[each.name], "__metadata__", ())
        )
    )


def read(place: str | Path) -> Report:
    """Return the report in a file, or in a directory's report.json.

    Raises:
        ConfigError: there is no readable report; one sentence.
    """
    path = Path(place)
    try:
        if path.is_dir():
            path /= "report.json"
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{clean(path)}: cannot be read ({(error.strerror or 'no file').lower()}); "
            "name a report.json or a directory with one."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{clean(path)}: is not JSON ({clean(error)}); name a report.json or a directory "
            "with one."
        ) from error
    return parse(data, str(path))


def parse(data: Any, name: str) -> Report:
    """Return the report in a file's content.

    Args:
        data: as `json.loads` returns it.
        name: what to call it in the error.

    Raises:
        ConfigError: it is not a report; one sentence.
    """
    for path, added in _ADDED.items():
        for owner in _objects(data, path):
            for field, value in added.items():
                owner.setdefault(field, value)
    try:
        report = _adapter().validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _not_a_report(name, ".".join(map(str, first["loc"])), first["msg"]) from error
    for where, latency in (
        ("delivery_ms", report.delivery_ms),
        ("connections.connect_ms", report.connections.connect_ms),
        *((f"reach.{at}.delivery_ms", each.delivery_ms) for at, each in enumerate(report.reach)),
    ):
        try:
            _check(latency)
        except ValueError as error:
            raise _not_a_report(name, where, str(error)) from error
    return report


def _objects(data: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects at a path, as far as there are any."""
    if not path:
        if isinstance(data, dict):
            yield data
    elif path[0] == "*":
        for each in data if isinstance(data, list) else ():
            yield from _objects(each, path[1:])
    elif isinstance(data, dict):
        yield from _objects(data.get(path[0]), path[1:])


def _check(latency: LatencySummary) -> None:
    """Compare a summary's figures with its histogram.

    Raises:
        ValueError: they contradict each other.
    """
    figures = (latency.min, latency.mean, latency.p50, latency.p99, latency.max, latency.hdr)
    if latency.count and None in figures:
        raise ValueError("it counts values that it does not have")
    values = hdr.histogram(latency)
    if (values.total if values else 0) != latency.count:
        raise ValueError("its count is not that of its histogram")


def _not_a_report(name: str, where: str, why: str) -> ConfigError:
    why = shorten(clean(why), 90)
    return ConfigError(
        f"{clean(name)}: is not a report of sseload ({clean(where) or 'the whole'}: "
        f"{why[:1].lower()}{why[1:]}); name a report.json that --delivery-report wrote."
    )


def schema() -> dict[str, Any]:
    """Return the report's JSON Schema (draft 2020-12); every field is required and described."""
    generated = _adapter().json_schema(mode="serialization")
    definitions = generated["$defs"]
    _describe(generated, Report)
    for kind in (StepReport, WorkerShare, RegionShare):
        _describe(definitions[kind.__name__], kind)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:sseload:report:{SCHEMA}",
        "title": "sseload report",
        **_plain(generated),
    }


def _describe(definition: dict[str, Any], kind: type) -> None:
    """Add the descriptions of inherited fields, which pydantic reads from a class's own source."""
    for base in filter(is_dataclass, kind.__mro__[1:]):
        inherited = TypeAdapter(base).json_schema(mode="serialization")["properties"]
        for name, field in inherited.items():
            # pydantic leaves out a description that the field's own type has as well.
            if "description" in field:
                definition["properties"][name].setdefault("description", field["description"])


def _plain(node: Any) -> Any:
    """Return a part of a generated schema, closed, without titles, and its texts in one line."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "$defs"):
            made[key] = {name: _plain(each) for name, each in value.items()}
        elif key == "description":
            made[key] = " ".join(value.split())
        else:
            made[key] = _plain(value)
    if "required" in node:
        made["required"] = list(node["properties"])
    if "required" in node or "patternProperties" in node:
        made["additionalProperties"] = False
    return made


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
