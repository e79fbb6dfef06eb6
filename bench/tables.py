"""Tables of figures: as Markdown, as JSON and in the documentation."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent / "results"
_DOCUMENTS = [
    Path(__file__).parent.parent / "docs" / name for name in ("performance.md", "scaling.md")
]


@dataclass(slots=True)
class Table:
    """The result of one part.

    Attributes:
        name: of the part.
        columns: the headings.
        rows: one text per column.
        notes: sentences below the table.
        raw: all figures, for the JSON file.
    """

    name: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table as Markdown, with its notes; figures are right-aligned."""
        lines = [
            _line(self.columns),
            _line(["---"] + ["---:"] * (len(self.columns) - 1)),
            *(_line(row) for row in self.rows),
        ]
        return "\n".join(lines + [f"\n{note}" for note in self.notes])


def spread(values: Sequence[float], digits: int) -> str:
    """Format the median, with the lowest and the highest of several values."""
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
    return text


def in_rounds(rounds: int) -> str:
    """Describe the figures of `spread`."""
    return "one round" if rounds == 1 else f"{rounds} rounds: the median (lowest to highest)"


def keep(tables: Sequence[Table], machine: dict[str, str]) -> Path:
    """Write all tables to a new JSON file; return its path."""
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    content = {"machine": machine, "parts": [asdict(table) for table in tables]}
    path.write_text(json.dumps(content, indent=1))
    return path


def document(tables: Sequence[Table], machine: dict[str, str]) -> None:
    """Write the tables and the machine to the documentation, each between its two marks.

    Raises:
        ValueError: a mark is missing.
    """
    description = "; ".join(f"{name}: {value}" for name, value in machine.items())
    for name, content in [
        ("machine", description),
        *((each.name, each.markdown()) for each in tables),
    ]:
        for path in _DOCUMENTS:
            before, begin, rest = path.read_text().partition(f"<!-- {name} -->\n")
            _, end, after = rest.partition(f"<!-- end of {name} -->\n")
            if end:
                path.write_text(f"{before}{begin}\n{content}\n\n{end}{after}")
                break
        else:
            raise ValueError(f"docs: the marks of {name} are missing")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
