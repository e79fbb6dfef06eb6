"""Fill texts with ``{name}``, escaping each value for its context.

There are only names: no expressions, no conditions. Only a name directly between braces is
replaced (``{username}``); any other brace is literal, so JSON and GraphQL need no escapes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias
from urllib.parse import quote

#: A JSON value; a TOML file can give any but null.
Json: TypeAlias = Any

#: A name between braces; its group is the name.
FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ENDS_NAMESPACE = re.compile(r"[,?\x00-\x1f\x7f]")
_NOT_IN_HEADERS = re.compile(r"[^\x20-\x7e]+")
# What json.loads and json.dumps do, without looking at their options each time.
_decoder = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Json, int]] = _decoder.scan_once  # type: ignore[attr-defined]
_compact = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class BinaryTemplate:
    """A binary message to send.

    Args:
        digits: its bytes as hexadecimal digits; a name stands for its value in UTF-8.

    Raises:
        ValueError: they are not; one sentence.
    """

    digits: str

    @classmethod
    def of_base64(cls, text: str) -> BinaryTemplate:
        """Return a message whose parts around its names are in base 64.

        Raises:
            ValueError: they are not.
        """
        digits = ""
        # The groups of the pattern, which are the names, are every second part.
        for index, part in enumerate(FIELD.split(text)):
            is_name = index % 2
            digits += f"{{{part}}}" if is_name else base64.b64decode(part, validate=True).hex()
        return cls(digits)

    def __post_init__(self) -> None:
        try:
            self.fill(dict.fromkeys(names_in(self.digits), ""))
        except ValueError:
            raise ValueError(
                f"{self.digits!r} must be hexadecimal digits, two for each byte"
            ) from None

    def fill(self, values: Mapping[str, str]) -> bytes:
        """Return the message with its names replaced.

        Raises:
            UnknownNameError: a name has no value.
        """
        return bytes.fromhex(fill(self.digits, values, _hex))


def _hex(value: str) -> str:
    return value.encode("utf-8", "replace").hex()


class UnknownNameError(Exception):
    """A name has no value.

    Args:
        name: the name between the braces.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def names_in(value: Json) -> Iterator[str]:
    """Yield the names in a text, or in all texts of a JSON value."""
    if isinstance(value, str):
        yield from FIELD.findall(value)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from names_in(key)
            yield from names_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from names_in(each)


def begins_with_name(text: str) -> bool:
    """Whether a text begins with a name."""
    return FIELD.match(text) is not None


def fill(text: str, values: Mapping[str, str], escape: Callable[[str], str] = str) -> str:
    """Replace each name in a text by its escaped value.

    Raises:
        UnknownNameError: a name has no value.
    """

    def value(field: re.Match[str]) -> str:
        try:
            return escape(values[field[1]])
        except KeyError:
            raise UnknownNameError(field[1]) from None

    return FIELD.sub(value, text) if "{" in text else text


def fill_url(text: str, values: Mapping[str, str]) -> str:
    """Fill a path or query with percent-encoded values (RFC 3986 §2.1).

    A name at its beginning stands for a whole URL, or for a path with a query, as it is.
    """
    name = FIELD.match(text)
    if name is None:
        return fill(text, values, encode)
    return fill(name[0], values) + fill(text[name.end() :], values, encode)


def encode(value: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters."""
    return quote(value, safe="", errors="replace")


def fill_namespace(text: str, values: Mapping[str, str]) -> str:
    """Fill a Socket.IO namespace; percent-encode what would end it within a packet."""
    return fill(text, values, lambda value: _ENDS_NAMESPACE.sub(lambda end: encode(end[0]), value))


def fill_header(text: str, values: Mapping[str, str]) -> str:
    """Fill a header's value; percent-encode all but printable ASCII.

    Only printable ASCII is interpreted alike by all servers (RFC 9110 §5.5).
    """
    return _NOT_IN_HEADERS.sub(lambda run: encode(run[0]), fill(text, values))


def fill_json(value: Json, values: Mapping[str, str]) -> Json:
    """Fill all texts of a JSON value.

    A text that is JSON itself, as in Action Cable's identifiers, stays JSON: values are
    escaped once per level.
    """
    if isinstance(value, str):
        if "{" not in value or FIELD.search(value) is None:
            return value
        parsed = json_in(value)
        return fill(value, values) if parsed is None else dump(fill_json(parsed, values))
    if isinstance(value, Mapping):
        return {
            fill(key, values) if isinstance(key, str) else key: fill_json(each, values)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [fill_json(each, values) for each in value]
    return value


def fill_text(value: Json, values: Mapping[str, str], escape: Callable[[str], str] = str) -> str:
    """Fill a message or body: JSON for a table, a list or a text that is JSON; else text.

    Args:
        value: the template.
        values: values by name.
        escape: escapes values in a text that is not JSON.
    """
    if isinstance(value, str) and not is_json(value):
        return fill(value, values, escape)
    filled = fill_json(value, values)
    return filled if isinstance(filled, str) else dump(filled)


def fill_form(fields: Mapping[str, Json], values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Fill the fields of a form; a list has one for each item.

    Args:
        fields: the templates by name; a value that is no text is sent as JSON.
        values: values by name.
    """
    pairs = []
    for name, value in fields.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            filled = fill_json(each, values)
            pairs.append((fill(name, values), filled if isinstance(filled, str) else dump(filled)))
    return pairs


def is_json(text: str) -> bool:
    """Whether a text is a JSON object, array or string."""
    return json_in(text) is not None


@lru_cache(maxsize=256)
def json_in(text: str) -> Json:
    """Return the object, array or string that a text is as JSON; do not change it. Else None."""
    try:
        value = read_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict | list | str) else None


def dump(value: Json) -> str:
    """Encode as compact JSON in ASCII, so that the server's charset does not matter."""
    return _compact(value)


def read_json(text: str | bytes) -> Json:
    """Parse JSON.

    Raises:
        ValueError: the text is not JSON, or is nested too deep.
    """
    try:
        if not isinstance(text, str):
            return json.loads(text)
        try:
            # Hardly any text has white space around it, and looking for it costs as much as to
            # parse a short one.
            value, end = _scan(text, 0)
            if end == len(text):
                return value
        except (StopIteration, ValueError):
            pass  # as below, which says what is wrong, and where
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
