"""Build texts for the console in which no line breaks between a figure and its unit."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from sseload_users.core import nbsp
from sseload_users.core.formatting import clean

#: Stands for a space where no line may break. Rich breaks at every kind of space, so this is a
#: private character until the text is rendered.
GLUE = "\ue000"

#: An item up to this length fits into the narrowest column and is not broken.
_UNBROKEN = 36


def glued(words: str, style: str = "") -> Text:
    """Return a text, made safe for a terminal, that keeps figures and units together."""
    return Text(nbsp.bind_units(clean(words), GLUE), style=style)


def listed(items: Iterable[str | Text]) -> Text:
    """Return items with dots between them; lines break after a dot, and within long items only."""
    text = Text()
    for index, item in enumerate(items):
        each = glued(item) if isinstance(item, str) else item
        if each.cell_len <= _UNBROKEN:
            each.plain = each.plain.replace(" ", GLUE)
        if index:
            text.append(f"{GLUE}· ", style="dim")
        text.append(each)
    return text
