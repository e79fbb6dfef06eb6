"""Find the part of a page that shows what a rule's reason is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from sseload_users.verdict.reasons import Reason

_CHART = re.compile(r'<figure class="chart" id="([\w-]+)"')

#: The names of the parts, by their ids.
_NAMES = {
    "causes": "Errors by cause",
    "chart-connections": "Connections",
    "chart-deliveries": "Deliveries by code",
    "chart-generator": "Generator",
    "chart-latency": "Delivery latency over time",
    "chart-losses": "Who lacked what",
    "chart-server": "Server",
    "chart-traffic": "Codes and deliveries",
    "leaks": "Codes outside their channels",
    "notes": "Notes",
    "outcomes": "Outcomes of the deliveries",
    "search": "The search",
    "steps": "Step by step",
}
_CONNECTIONS, _SENT = ("chart-connections",), ("chart-traffic",)
#: The parts that show what a rule judges, the most telling first.
_SHOWN_BY: Mapping[str, Sequence[str]] = {
    "run_complete": ("notes",),
    "connection_success": _CONNECTIONS,
    "size_target": ("steps", *_CONNECTIONS),
    "connect_timeouts": _CONNECTIONS,
    "connections_dropped": _CONNECTIONS,
    "codes_accepted": _SENT,
    "codes_owed": _SENT,
    "codes_seen": _SENT,
    "holes": _SENT,
    "codes_received": ("chart-losses", "chart-deliveries", "chart-traffic"),
    "isolation": ("leaks",),
    "latency": ("chart-latency",),
    "objective": ("steps", "chart-latency"),
    "search": ("search", "steps"),
    "error_rate": ("causes", "chart-connections"),
    "generator": ("chart-generator",),
    "health": ("chart-server",),
    **dict.fromkeys(
        ("duplicates", "replayed", "out_of_order", "unexpected", "malformed"),
        ("outcomes", "chart-traffic"),
    ),
}


class Link(NamedTuple):
    """A part of the page: its id and its name."""

    part: str
    name: str


def links(
    reasons: Iterable[Reason], charts: Iterable[Markup], sections: Iterable[str]
) -> dict[str, Link]:
    """Return where the page shows what each reason is about, by rule.

    Args:
        reasons: of the verdict.
        charts: those on the page.
        sections: ids of the sections on the page.
    """
    there = {*sections, *(each for chart in charts for each in _CHART.findall(chart))}
    found = {}
    for reason in reasons:
        shown_by = ("steps",) if reason.rule.startswith("step ") else _SHOWN_BY.get(reason.rule, ())
        part = next((each for each in shown_by if each in there), None)
        if part is not None:
            found[reason.rule] = Link(part, _NAMES[part])
    return found
