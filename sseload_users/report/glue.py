"""Texts for the console in which no line breaks between a figure and its unit."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from sseload_users.core import nbsp as units
from sseload_users.core.formatting import clean

#: Stands for a space where no line may break. Rich breaks at every kind of space, so it is a
#: private character until the text is whole.
GLUE = "\ue000"

#: An item that is no longer is not torn: it fits into the narrowest column.
_WHOLE = 36


def glued(words: str, style: str = "") -> Text:
    """A text, of whomever's words, in which no figure is torn from its unit."""
    return Text(units.glued(clean(words), GLUE), style=style)


def listed(items: Iterable[str | Text]) -> Text:
    """Items with dots between, in one line or several: a line breaks after a dot.

    An item is torn only if it is a long one.
    """
    text = Text()
    for index, item in enumerate(items):
        each = glued(item) if isinstance(item, str) else item
        if each.cell_len <= _WHOLE:
            each.plain = each.plain.replace(" ", GLUE)
        if index:
            text.append(f"{GLUE}· ", style="dim")
        text.append(each)
    return text
