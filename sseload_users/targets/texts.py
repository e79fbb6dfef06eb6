"""Find all texts of a profile, any of which may contain ``{name}``.

The search follows the tables' types, so it includes every key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from sseload_users.targets.paths import JsonPath
from sseload_users.targets.template import BinaryTemplate, Json, names_in


@dataclass(frozen=True, slots=True)
class Text:
    """A text, or a table or list of them.

    Attributes:
        key: its key in the file, such as "before[0].query".
        value: its value.
        filled: whether names in it are replaced by their values.
    """

    key: str
    value: Json
    filled: bool = True


def texts(table: BaseModel, key: str = "") -> Iterator[Text]:
    """Yield all texts of a table and of the tables in it.

    Args:
        table: a `schema.Model`.
        key: the table's key; empty for the whole file.
    """
    literal: frozenset[str] = getattr(table, "literal", frozenset())
    for name in type(table).model_fields:
        place = f"{key}.{name}" if key else name
        yield from _texts_in(getattr(table, name), place, filled=name not in literal)


def same_for_all(table: BaseModel, further: Iterable[str] = ()) -> bool:
    """Whether what a table describes is the same for all users and connections of a target.

    Args:
        table: a `schema.Model`.
        further: texts that are filled as well.
    """
    given = [*(each.value for each in texts(table) if each.filled), *further]
    return {"host", "origin"}.issuperset(name for each in given for name in names_in(each))


def _texts_in(value: object, key: str, *, filled: bool) -> Iterator[Text]:
    match value:
        case BaseModel():
            yield from texts(value, key)
        case re.Pattern():
            yield Text(key, value.pattern, filled=False)
        case BinaryTemplate():
            yield Text(key, value.digits, filled=filled)
        case JsonPath():
            yield Text(key, value.text, filled=False)
        case tuple():
            for index, each in enumerate(value):
                yield from _texts_in(each, f"{key}[{index}]", filled=filled)
        case Mapping():
            for name, each in value.items():
                if isinstance(name, JsonPath):
                    yield Text(key, name.text, filled=False)
                    yield Text(key, each, filled)
                elif isinstance(each, BaseModel):
                    yield from texts(each, f"{key}.{name}")
                else:
                    yield Text(key, {name: each}, filled)
        case str() | list():
            yield Text(key, value, filled)
