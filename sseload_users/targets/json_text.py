"""JSON texts with names, prepared to be filled many times: once for each code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from sseload_users.targets.template import (
    FIELD,
    Json,
    UnknownNameError,
    dump,
    json_in,
    names_in,
)

#: A text, or a name and how many times its value is escaped.
_Part: TypeAlias = str | tuple[str, int]


class JsonText:
    """A JSON value with names, as text; see `prepared`.

    Args:
        parts: of the text, in order.
    """

    __slots__ = ("_parts",)

    def __init__(self, parts: Iterator[_Part]) -> None:
        self._parts = tuple(parts)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return what `fill_text` returns for the value, several times as fast.

        Raises:
            UnknownNameError: a name has no value.
        """
        filled = []
        for part in self._parts:
            if isinstance(part, str):
                filled.append(part)
                continue
            name, levels = part
            try:
                text = values[name]
            except KeyError:
                raise UnknownNameError(name) from None
            for _ in range(levels):
                text = _escaped(text)
            filled.append(text)
        return "".join(filled)


def prepared(value: Json) -> JsonText | None:
    """Return a table, a list or a text that is JSON; None if it can only be filled as a whole."""
    if isinstance(value, str):
        # A text without names stays as it is, with its spaces.
        value = None if FIELD.search(value) is None else json_in(value)
    if not isinstance(value, Mapping | list | tuple) or _has_names_in_keys(value):
        return None
    return JsonText(_parts(value))


def _parts(value: Json) -> Iterator[_Part]:
    if isinstance(value, str):
        yield '"'
        yield from _parts_of_text(value)
        yield '"'
    elif isinstance(value, Mapping):
        yield "{"
        for index, (key, each) in enumerate(value.items()):
            yield f"{',' if index else ''}{dump(key)}:"
            yield from _parts(each)
        yield "}"
    elif isinstance(value, list | tuple):
        yield "["
        for index, each in enumerate(value):
            if index:
                yield ","
            yield from _parts(each)
        yield "]"
    else:
        yield dump(value)


def _parts_of_text(text: str) -> Iterator[_Part]:
    """Yield what is between the quotes."""
    inner = None if FIELD.search(text) is None else json_in(text)
    if inner is not None:
        # It stays JSON, so its values are escaped once more.
        for part in _parts(inner):
            yield _escaped(part) if isinstance(part, str) else (part[0], part[1] + 1)
        return
    # The groups of the pattern, which are the names, are every second part.
    for index, part in enumerate(FIELD.split(text)):
        yield (part, 1) if index % 2 else _escaped(part)


def _escaped(text: str) -> str:
    """Return a text as it is within a JSON string."""
    return dump(text)[1:-1]


def _has_names_in_keys(value: Json) -> bool:
    """Whether a key has a name, or is no text: two of a table may be the same once filled."""
    if isinstance(value, Mapping):
        keys = any(not isinstance(key, str) or any(names_in(key)) for key in value)
        return keys or any(map(_has_names_in_keys, value.values()))
    if isinstance(value, str):
        inner = None if FIELD.search(value) is None else json_in(value)
        return inner is not None and _has_names_in_keys(inner)
    return isinstance(value, list | tuple) and any(map(_has_names_in_keys, value))
