"""Texts for the console in which no line breaks between a figure and its unit."""

from __future__ import annotations

from rich.text import Text

from sseload_users.report import units
from sseload_users.report.words import clean

#: Stands for a space where no line may break. Rich breaks at every kind of space, so it is a
#: private character until the text is whole.
GLUE = "\ue000"


def glued(words: str, style: str = "") -> Text:
    """A text, of whomever's words, in which no figure is torn from its unit."""
    return Text(units.glued(clean(words), GLUE), style=style)
