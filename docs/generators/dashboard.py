"""The page of the dashboard's panels, from the dashboard itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from docs.generators.markdown import header, row

_DASHBOARD = Path(__file__).parents[2] / "deploy/observability/grafana/dashboards/sseload.json"

_INTRODUCTION = """\
# Dashboard reference

`make schema` generates this page from the [Grafana dashboard](observability.md). Each query is \
given without its selectors `job=~"$job",instance=~"$instance"`.
"""


def _lines() -> Iterator[str]:
    yield _INTRODUCTION.rstrip()
    for panel in json.loads(_DASHBOARD.read_text("utf-8"))["panels"]:
        if panel["type"] == "row":
            yield f"\n## {panel['title']}\n"
            yield header("panel", "queries", "meaning")
            continue
        queries = (_shown(each["expr"]) for each in panel["targets"])
        yield row(panel["title"], "; ".join(f"`{each}`" for each in queries), panel["description"])


def _shown(query: str) -> str:
    selectors = 'job=~"$job",instance=~"$instance"'
    return query.replace(f",{selectors}", "").replace(f"{{{selectors}}}", "")


def page() -> str:
    """Return the text of docs/dashboard-reference.md."""
    return "\n".join(_lines()).rstrip() + "\n"
