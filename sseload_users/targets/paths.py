"""JSON paths: where in a message something is, as ``data.code``, ``[0].code``, ``a["b.c"]``.

A step into a text reads that text as JSON, as Pusher's ``data`` needs it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sseload_users.targets.template import Json, read_json

_STEP = re.compile(r'(?:^|\.)([^.\[\]"]+)|\[(\d{1,9})\]|\["([^"]+)"\]')

#: What ``find`` gives where there is nothing; JSON's null is something.
MISSING: Final = object()


class JsonPath:
    """A path into a JSON value.

    Args:
        text: names with dots between them, list indices from 0 in brackets, names with
            dots or brackets of their own in brackets and quotes.

    Raises:
        ValueError: it is no such path; one sentence.
    """

    __slots__ = ("_steps", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        steps: list[str | int] = []
        end = 0
        while end < len(text) or not steps:
            step = _STEP.match(text, end)
            # A dot is only between names, so "a..b" and "a." do not come to here.
            if step is None or (end == 0 and text.startswith(".")):
                raise ValueError(
                    f"{text!r} is no path; write one such as 'data.code', '[0].code' or "
                    "'data[\"a.b\"]'"
                )
            steps.append(int(step[2]) if step[2] else step[1] or step[3])
            end = step.end()
        self._steps = tuple(steps)

    def find(self, value: Json) -> Any:
        """What is there, or ``MISSING``."""
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
    """The JSON value that a text is, or ``MISSING``."""
    try:
        return read_json(text)
    except ValueError:
        return MISSING


def json_equal(value: Json, wanted: Json) -> bool:
    """Whether a JSON value is the wanted one; true is not 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def scalar_text(value: Json) -> str | None:
    """A text, or a whole number as text; None for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
