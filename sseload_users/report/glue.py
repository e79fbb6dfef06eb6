"""Texts in which no line breaks between a figure and its unit."""

from __future__ import annotations

import re

from rich.text import Text

from sseload_users.report.words import clean

#: Stands for a space where no line may break. Rich breaks at every kind of space, so it is a
#: private character until the text is whole.
GLUE = "\ue000"
_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h|MiB|GiB)(?!\w))")


def glued(words: str, style: str = "") -> Text:
    """A text, of whomever's words, in which no figure is torn from its unit."""
    return Text(_UNIT.sub(GLUE, clean(words)), style=style)
