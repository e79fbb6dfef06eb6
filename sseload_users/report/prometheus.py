"""The figures of a run for Prometheus: its text exposition format, version 0.0.4.

Written here rather than by a client library, as a run's figures come from one account and
not from counters that code increments; the format is a dozen lines, and the tests read it
with the client library's parser.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

from sseload_users.core.formatting import clean
from sseload_users.report import hdr
from sseload_users.verdict.rules import GRADES

#: What `text` has to be served as.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Upper bounds of the histograms' buckets, in seconds.
BUCKETS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
    1.0, 2.0, 5.0, 10.0, 20.0, 60.0,
)  # fmt: skip

#: So many causes are told apart; the others are counted together.
MOST_CAUSES = 50

Labels = Mapping[str, object]
Sample = tuple[Labels, float | None]


def text(report: Mapping[str, Any]) -> str:
    """The metrics of a report, or of a run that is still going on.

    Args:
        report: the parts of schema 1 that there are: of a live run some may be missing, and
            their metrics are left out. A latency may have `counts` instead of `hdr`, see
            `hdr.histogram`.

    Returns:
        The exposition, to be served as `CONTENT_TYPE`; a null figure is NaN.
    """
    return "".join(_families(report))


def _families(report: Mapping[str, Any]) -> Iterator[str]:
    if run := report.get("run"):
        labels = {"id": run["id"], "target": run["target"], "transport": run["transport"]}
        yield _family("run_info", "gauge", "The run.", [(labels, 1)])
        yield _plain("run_complete", "Whether the run went to its end.", run["complete"])
        yield _plain("workers", "Processes that hold the connections.", run["workers"])
    if verdict := report.get("verdict"):
        samples: list[Sample] = [({"grade": grade}, verdict["grade"] == grade) for grade in GRADES]
        yield _family("verdict", "gauge", "What the run amounts to: 1 for its grade.", samples)
    if timeline := report.get("timeline"):
        yield from _now(timeline[-1])
    if connections := report.get("connections"):
        yield from _connections(connections)
    if codes := report.get("codes"):
        yield from _codes(codes)
    if deliveries := report.get("deliveries"):
        yield from _deliveries(deliveries)
    if delivery := report.get("delivery_ms"):
        yield _histogram("delivery_latency", "From a code's sending to its arrival.", delivery)
    if spread := report.get("spread_ms"):
        yield _histogram("code_spread", "From a code's first arrival to its last.", spread)
    if errors := report.get("errors"):
        yield from _errors(errors)
    if generator := report.get("generator"):
        yield from _generator(generator)


def _now(interval: Mapping[str, Any]) -> Iterator[str]:
    yield _plain("connections_open", "Connections that are subscribed.", interval["open"])
    yield _plain(
        "connections_connecting", "Connections that are connecting.", interval["connecting"]
    )
    yield _plain(
        "generator_cpu_ratio",
        "CPU use of the busiest generator process, 1 for one whole core.",
        _scaled(interval["cpu_percent"], 0.01),
    )
    yield _plain(
        "generator_wait_ratio",
        "The share of the time in which a generator process waited for a core.",
        _scaled(interval["waited_percent"], 0.01),
    )


def _connections(connections: Mapping[str, Any]) -> Iterator[str]:
    yield _family(
        "connects_total",
        "counter",
        "Connect attempts, by what became of them.",
        [({"result": result}, connections[result]) for result in ("succeeded", "failed")],
    )
    yield _plain(
        "sessions_dropped_total",
        "Sessions that the server or the network ended.",
        connections["dropped"],
        "counter",
    )
    yield _plain(
        "sessions_reconnected_total",
        "Sessions that followed a dropped one of the same connection.",
        connections["reconnected"],
        "counter",
    )
    yield _plain(
        "connections_peak", "The most connections that were subscribed at once.",
        connections["peak_open"],
    )  # fmt: skip
    yield _histogram(
        "connect_time", "Connect times, without queueing in the generator.",
        connections["connect_ms"],
    )  # fmt: skip


def _codes(codes: Mapping[str, Any]) -> Iterator[str]:
    statuses = ("accepted", "rejected", "unanswered", "unsent")
    yield _family(
        "codes_total",
        "counter",
        "Codes that were due, by what became of their requests.",
        [({"status": status}, codes[status]) for status in statuses],
    )
    yield _histogram(
        "ingest_time", "From a code's sending to the server's answer.", codes["ingest_ms"]
    )


def _deliveries(deliveries: Mapping[str, Any]) -> Iterator[str]:
    fates = ("delivered", "late", "interrupted", "missing")
    beside = ("duplicate", "out_of_order", "unexpected", "foreign", "malformed")
    # What is owed and what is missing are not counters: a session that is closed, or a code
    # that comes late after all, takes from them.
    yield _plain("deliveries_owed", "Pairs of a code and a session it is owed to.",
                 deliveries["owed"])  # fmt: skip
    yield _family(
        "deliveries",
        "gauge",
        "Owed deliveries, by what became of them.",
        [({"outcome": fate}, deliveries[fate]) for fate in fates],
    )
    yield _family(
        "messages_beside_total",
        "counter",
        "What came beside owed deliveries, by what it was.",
        [({"kind": kind}, deliveries[kind]) for kind in beside],
    )


def _errors(errors: Mapping[str, Any]) -> Iterator[str]:
    yield _plain(
        "operations_total", "Connect attempts and codes that were due.", errors["operations"],
        "counter",
    )  # fmt: skip
    causes = errors["causes"]
    counted: dict[tuple[str, str], int] = {}
    for cause in causes[:MOST_CAUSES]:
        key = (clean(cause["operation"]), clean(cause["cause"]))
        counted[key] = counted.get(key, 0) + cause["count"]
    if causes[MOST_CAUSES:]:
        counted["other", "other"] = sum(cause["count"] for cause in causes[MOST_CAUSES:])
    yield _family(
        "errors_total",
        "counter",
        "Failed operations, by cause.",
        [
            ({"operation": operation, "cause": cause}, many)
            for (operation, cause), many in counted.items()
        ],
    )


def _generator(generator: Mapping[str, Any]) -> Iterator[str]:
    yield _histogram(
        "generator_lag", "From the kernel's timestamp to the read.", generator["lag_ms"]
    )
    yield _plain(
        "generator_resident_memory_bytes",
        "Resident memory of all generator processes at their fullest.",
        _scaled(generator["rss_mib"], 1 << 20),
    )
    yield _plain(
        "generator_clock_error_seconds",
        "How wrong a latency between two machines can be by their clocks.",
        _scaled(generator["clock_error_ms"], 0.001),
    )
    yield _plain(
        "generator_saturated", "Whether the generator is too busy for its load.",
        generator["saturated"],
    )  # fmt: skip


def _plain(
    name: str, about: str, value: float | None, kind: Literal["counter", "gauge"] = "gauge"
) -> str:
    return _family(name, kind, about, [({}, value)])


def _family(name: str, kind: str, about: str, samples: Sequence[Sample]) -> str:
    """A metric with its HELP and TYPE; without samples nothing."""
    if not samples:
        return ""
    return _head(name, kind, about) + "".join(
        _line(name, labels, value) for labels, value in samples
    )


def _histogram(name: str, about: str, latency: Mapping[str, Any]) -> str:
    """A latency in milliseconds as a histogram in seconds."""
    name = f"{name}_seconds"
    found = hdr.histogram(latency)
    counts = found.counts if found else {}
    values = sorted(counts)
    ranks = [0, *accumulate(counts[value] for value in values)]
    lines = [
        _line(f"{name}_bucket", {"le": f"{bound:g}"}, ranks[bisect_right(values, bound * 1e6)])
        for bound in BUCKETS
    ]
    total = ranks[-1]
    return "".join(
        (
            _head(name, "histogram", about),
            *lines,
            _line(f"{name}_bucket", {"le": "+Inf"}, total),
            _line(f"{name}_sum", {}, (latency["mean"] or 0.0) * total / 1000),
            _line(f"{name}_count", {}, total),
        )
    )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _head(name: str, kind: str, about: str) -> str:
    return f"# HELP sseload_{name} {about}\n# TYPE sseload_{name} {kind}\n"


def _line(name: str, labels: Labels, value: float | None) -> str:
    said = ",".join(f'{label}="{_escaped(each)}"' for label, each in labels.items())
    braces = f"{{{said}}}" if said else ""
    return f"sseload_{name}{braces} {_number(value)}\n"


def _escaped(value: object) -> str:
    return clean(value).replace("\\", r"\\").replace('"', r"\"")


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "NaN"
    return str(int(value)) if float(value).is_integer() else repr(float(value))
