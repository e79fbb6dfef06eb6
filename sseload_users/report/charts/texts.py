"""Texts in pictures: made safe, and how much room they need."""

from __future__ import annotations

from markupsafe import Markup, escape

from sseload_users.core.formatting import clean
from sseload_users.core.nbsp import bind_units

#: Pixels: the width of a narrow plot, of a letter, and the height of a line.
NARROW, LETTER, LINE = 270, 6.6, 13


def text(words: object) -> Markup:
    """Return a text made safe for HTML and SVG, with figures and units kept together."""
    return escape(bind_units(clean(words)))
