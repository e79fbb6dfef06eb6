"""Keeping figures and their units on one line."""

from __future__ import annotations

import re

_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h|pp|MiB)(?!\w))")


def bind_units(text: str, space: str = "\N{NO-BREAK SPACE}") -> str:
    """Return the text with `space` between each figure and its unit."""
    return _UNIT.sub(space, text)
