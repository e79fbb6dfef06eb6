"""Texts that are codes of a run, changed on the way: how they were changed."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from sseload_users.core.codes import CodeShape

#: A send time before this is cut off: it is in 2001 (ns since the Unix epoch).
_TOO_EARLY_NS = 10**18
#: No code is longer; nothing else is worth a closer look.
_LONGEST = 2000

#: How a text was changed that has more than one code, or more than a code.
FURTHER_TEXT = "with further text around"
_CUT_END, _CUT_START = "cut off at the end", "cut off at the beginning"


class AlteredCodes:
    """Recognizes codes of a run that were changed.

    Args:
        shape: the shape of the run's codes. Without ``{run}`` in its template, any text could be
            one: then nothing is recognized.
    """

    def __init__(self, shape: CodeShape) -> None:
        self._shape = shape
        self._mark = shape.run_id.lower() if "{run}" in shape.template else ""
        self._in_any_case = re.compile(shape.pattern, re.IGNORECASE)
        before, _, after = shape.template.partition("{run}")
        self._before, self._after = before, after
        stripped = shape.template.strip()
        is_padded = self._mark and stripped != shape.template
        self._stripped = CodeShape(shape.run_id, stripped) if is_padded else None

    def how(self, text: str) -> str:
        """Return how a text was changed, in words; empty if it is no code of the run at all."""
        if not self._mark or len(text) > _LONGEST or self._mark not in text.lower():
            return ""
        parsed = self._shape.parse(text)
        if parsed is not None:
            is_cut = parsed.sent_ns is not None and parsed.sent_ns < _TOO_EARLY_NS
            return _CUT_END if is_cut and self._shape.template.endswith("{sent}") else ""
        for name, decode in _DECODERS:
            if self._shape.parse(decode(text)) is not None:
                return name
        return self._other_case(text) or self._white_space(text) or self._cut(text)

    def _other_case(self, text: str) -> str:
        if self._in_any_case.fullmatch(text) is None:
            return ""
        if text == text.upper():
            return "in upper case"
        return "in lower case" if text == text.lower() else "in another case"

    def _white_space(self, text: str) -> str:
        if self._shape.parse(text.strip()) is not None:
            return "with white space around"
        if self._stripped is not None and self._stripped.parse(text.strip()) is not None:
            return "without the white space at their ends"
        return ""

    def _cut(self, text: str) -> str:
        """Return where a code was cut off; the run's identity is whole."""
        run = self._shape.run_id
        before, found, after = text.partition(run)
        if not found:
            return ""
        if before == self._before and self._is_start(after):
            return _CUT_END
        whole = self._before + found + after
        if self._before.endswith(before) and self._shape.parse(whole) is not None:
            return _CUT_START
        return FURTHER_TEXT if self._shape.find_all(text.encode()) else ""

    def _is_start(self, after: str) -> bool:
        """Whether a text is the beginning of what follows the run's identity in a code."""
        return any(re.fullmatch(each, after) for each in _beginnings(self._after))


def _beginnings(template: str) -> Iterator[str]:
    """Yield patterns of all beginnings of a part of a template, cut off anywhere."""
    pattern = ""
    for piece in re.split(r"(\{[^{}]*\})", template):
        if piece.startswith("{"):
            field = "[0-9]+" if piece.startswith("{seq") else "[0-9a-z]+"
            yield pattern + field
            pattern += field
        else:
            for at in range(len(piece) + 1):
                yield pattern + re.escape(piece[:at])
            pattern += re.escape(piece)


def _unquoted(text: str) -> str:
    """Return a JSON string's text, with or without its quotation marks; the text if it is none."""
    quoted = text if text.startswith('"') else f'"{text}"'
    try:
        found = json.loads(quoted)
    except ValueError:
        return text
    return found if isinstance(found, str) else text


_DECODERS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("escaped for HTML", html.unescape),
    ("percent-encoded", unquote),
    ("escaped as a JSON string", _unquoted),
)
