"""Figures and their units stay together wherever a line is broken."""

from __future__ import annotations

import re

_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h|pp|MiB)(?!\w))")


def glued(words: str, glue: str = "\N{NO-BREAK SPACE}") -> str:
    """The words, with `glue` for the space between a figure and its unit."""
    return _UNIT.sub(glue, words)
