"""JSON paths, for example ``data.code``, ``[0].code`` or ``a["b.c"]``.

A step into a text parses that text as JSON, as Pusher's ``data`` requires.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sseload_users.targets.template import Json, read_json

_STEP = re.compile(r'(?:^|\.)([^.\[\]"]+)|\[(\d{1,9})\]|\["([^"]+)"\]')

#: The result of ``find`` if there is no value; different from JSON's null.
MISSING: Final = object()


class JsonPath:
    """A path into a JSON value.

    Args:
        text: names separated by dots, list indices from 0 in brackets, and names that
            contain dots or brackets in brackets and quotes.

    Raises:
        ValueError: the path is invalid; one sentence.
    """

    __slots__ = ("_steps", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        steps: list[str | int] = []
        end = 0
        while end < len(text) or not steps:
            step = _STEP.match(text, end)
            # A dot only separates names, so "a..b" and "a." do not match here.
            if step is None or (end == 0 and text.startswith(".")):
                raise ValueError(
                    f"invalid path {text!r}; use for example 'data.code', '[0].code' or "
                    "'data[\"a.b\"]'"
                )
            steps.append(int(step[2]) if step[2] else step[1] or step[3])
            end = step.end()
        self._steps = tuple(steps)

    def find(self, value: Json) -> Any:
        """Return the value at the path, or ``MISSING``."""
        for step in self._steps:
            if isinstance(value, str):
                value = json_or_missing(value)
            if isinstance(step, int):
                if not isinstance(value, list) or step >= len(value):
                    return MISSING
                value = value[step]
            else:
                if not isinstance(value, dict) or step not in value:
                    return MISSING
                value = value[step]
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonPath) and other._steps == self._steps

    def __hash__(self) -> int:
        return hash(self._steps)

    def __str__(self) -> str:
        return self.text


def json_or_missing(text: str | bytes) -> Any:
    """Parse a text as JSON; return ``MISSING`` if it is not JSON."""
    try:
        return read_json(text)
    except ValueError:
        return MISSING


def json_equal(value: Json, wanted: Json) -> bool:
    """Whether two JSON values are equal; true does not equal 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def scalar_text(value: Json) -> str | None:
    """Return a text as it is and an integer as text; None for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
