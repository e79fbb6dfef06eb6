"""Pieces of Markdown that the generated pages share."""

from __future__ import annotations

import re
from collections.abc import Iterable


def anchor(title: str) -> str:
    """Return the anchor of a heading, by GitHub's rule."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def row(*cells: str) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def header(*cells: str) -> str:
    """Return the first two lines of a table."""
    return f"{row(*cells)}\n|{'---|' * len(cells)}"


def any_of(words: Iterable[str]) -> str:
    """Join alternatives: "a, b or c"."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def sentence(clause: str) -> str:
    """Return a clause as a sentence."""
    first = clause.split(" ", 1)[0]
    # The name of a file is written as it is.
    text = clause if "." in first else f"{clause[:1].upper()}{clause[1:]}"
    return text if text.endswith((".", "…")) else f"{text}."
