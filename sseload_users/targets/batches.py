"""The keys that tell how several messages share one payload, and the parts of such a payload."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar

from pydantic import Field, StrictBool, model_validator

from sseload_users.targets.schema import Table

#: White space between JSON values (RFC 8259 §2).
_JSON_SPACE = re.compile(r"[ \t\n\r]*")
_scan: Callable[[str, int], tuple[object, int]] = json.JSONDecoder().raw_decode


class BatchTable(Table):
    """A table with the keys that tell how a payload contains several messages."""

    literal: ClassVar[frozenset[str]] = frozenset({"separator", "prefix"})

    lines: StrictBool = False
    """Whether each line of a payload is a message. LF ends a line; CR before it is ignored."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """The text between the messages of a payload, such as `"\\u001e"`."""
    concatenated: StrictBool = False
    """Whether a payload consists of JSON values one after another, each of which is a message."""
    array: StrictBool = False
    """Whether a payload is a JSON array whose elements are messages: a string is the text of a
    message, anything else a message in JSON. A payload that is no array is one message."""
    prefix: Annotated[str, Field(min_length=1)] | None = None
    """The text in front of the array, such as `"a"` for SockJS. A payload without it is one
    message. Only with `array`."""

    @model_validator(mode="after")
    def _one_way(self) -> BatchTable:
        if sum((self.lines, self.separator is not None, self.concatenated, self.array)) > 1:
            raise ValueError("give one of lines, separator, concatenated and array")
        if self.prefix is not None and not self.array:
            raise ValueError("prefix is only for array = true")
        return self

    @property
    def batch_keys(self) -> dict[str, object]:
        """The values of these keys, for a copy of another table."""
        return {key: getattr(self, key) for key in BatchTable.model_fields}

    def parts(self, text: str) -> list[str]:
        """Return the texts of the messages in the text of a payload.

        Nothing between two separators is no message. An empty payload is an empty message.
        """
        if self.lines and text:
            # Only LF ends a line, and CR before it belongs to the end: in JSON, U+2028 and
            # the like stand within texts.
            return [line for each in text.split("\n") if (line := each.removesuffix("\r"))]
        if self.separator is not None and text:
            return [each for each in text.split(self.separator) if each]
        if self.concatenated and text:
            return [*json_values(text)]
        if self.array and text.startswith(self.prefix or ""):
            elements = json_elements(text, len(self.prefix or ""))
            return [text] if elements is None else elements
        return [text]


def json_values(text: str) -> Iterator[str]:
    """Yield the texts of JSON values that follow one another; from a mistake on, the rest."""
    at = _end_of_space(text, 0)
    while at < len(text):
        try:
            _, end = _scan(text, at)
        except (ValueError, RecursionError):
            end = len(text)
        yield text[at:end]
        at = _end_of_space(text, end)


def json_elements(text: str, at: int = 0) -> list[str] | None:
    """Return the elements of a JSON array: a string's value, or the text of any other value.

    Args:
        text: the text.
        at: where the array begins.

    Returns:
        The elements; None if the text is not an array.
    """
    found: list[str] = []
    at = _end_of_space(text, at)
    if text[at : at + 1] != "[":
        return None
    at = _end_of_space(text, at + 1)
    try:
        while text[at : at + 1] != "]" or found:
            value, end = _scan(text, at)
            found.append(value if isinstance(value, str) else text[at:end])
            at = _end_of_space(text, end)
            if text[at : at + 1] == "]":
                break
            if text[at : at + 1] != ",":
                return None
            at = _end_of_space(text, at + 1)
    except (ValueError, RecursionError):
        return None
    return found if _end_of_space(text, at + 1) == len(text) else None


def _end_of_space(text: str, at: int) -> int:
    space = _JSON_SPACE.match(text, at)
    return at if space is None else space.end()
