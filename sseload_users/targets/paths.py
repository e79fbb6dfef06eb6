"""JSON paths, for example ``data.code``, ``[0].code``, ``batch[*].code`` or ``a["b.c"]``.

A step into a text parses that text as JSON, as Pusher's ``data`` requires. A wildcard selects
all children of an array or an object, as in RFC 9535 §2.3.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

from sseload_users.targets.template import Json, read_json

_STEP = re.compile(r'(?:^|\.)([^.\[\]"]+)|\[(\d{1,9})\]|\["([^"]+)"\]|\[(\*)\]')

#: The result of ``find`` if there is no value; different from JSON's null.
MISSING: Final = object()


class _Wildcard(Enum):
    """The step ``[*]``."""

    ALL = "*"


_Step: TypeAlias = str | int | _Wildcard


class JsonPath:
    """A path into a JSON value.

    Args:
        text: names separated by dots, list indices from 0 in brackets, names that contain
            dots or brackets in brackets and quotes, and ``[*]`` for all elements of a list.

    Attributes:
        text: as given.
        has_wildcard: whether it can lead to several values.

    Raises:
        ValueError: the path is invalid; one sentence.
    """

    __slots__ = ("_steps", "has_wildcard", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        steps: list[_Step] = []
        end = 0
        while end < len(text) or not steps:
            step = _STEP.match(text, end)
            # A dot only separates names, so "a..b" and "a." do not match here.
            if step is None or (end == 0 and text.startswith(".")):
                raise ValueError(
                    f"invalid path {text!r}; use for example 'data.code', '[0].code', "
                    "'batch[*].code' or 'data[\"a.b\"]'"
                )
            index, wildcard = step[2], step[4]
            steps.append(_Wildcard.ALL if wildcard else int(index) if index else step[1] or step[3])
            end = step.end()
        self._steps = tuple(steps)
        self.has_wildcard = _Wildcard.ALL in steps

    def find(self, value: Json) -> Any:
        """Return the value at the path, the first of several, or ``MISSING``."""
        if self.has_wildcard:
            return next(self.find_all(value), MISSING)
        for step in self._steps:
            value = _child(value, step)
            if value is MISSING:
                break
        return value

    def find_all(self, value: Json) -> Iterator[Any]:
        """Yield the values at the path, in their order."""
        values: Iterator[Any] = iter((value,))
        for step in self._steps:
            values = _children(values, step)
        return values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonPath) and other._steps == self._steps

    def __hash__(self) -> int:
        return hash(self._steps)

    def __str__(self) -> str:
        return self.text


def _child(value: Json, step: _Step) -> Any:
    """Return a value's child, or ``MISSING``."""
    if isinstance(value, str):
        value = json_or_missing(value)
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and step < len(value) else MISSING
    return value.get(step, MISSING) if isinstance(value, dict) else MISSING


def _children(values: Iterator[Any], step: _Step) -> Iterator[Any]:
    """Yield the children of all values; of several levels, one level at a time."""
    for value in values:
        if step is not _Wildcard.ALL:
            child = _child(value, step)
            if child is not MISSING:
                yield child
            continue
        parent = json_or_missing(value) if isinstance(value, str) else value
        if isinstance(parent, list):
            yield from parent
        elif isinstance(parent, dict):
            yield from parent.values()


def json_or_missing(text: str | bytes) -> Any:
    """Parse a text as JSON; return ``MISSING`` if it is not JSON."""
    try:
        return read_json(text)
    except ValueError:
        return MISSING


def json_equal(value: Json, wanted: Json) -> bool:
    """Whether two JSON values are equal; true does not equal 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def has_values(wanted: Mapping[JsonPath, Json], value: Json) -> bool:
    """Whether a JSON value has the wanted values at all these paths.

    A path with a wildcard leads to several values; one of them suffices.
    """
    return all(
        any(json_equal(found, each) for found in path.find_all(value))
        if path.has_wildcard
        else json_equal(path.find(value), each)
        for path, each in wanted.items()
    )


def scalar_text(value: Json) -> str | None:
    """Return a text as it is and an integer as text; None for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
