"""Parse options whose text has parts: headers, values by name, lists of sizes.

Errors do not repeat what may be secret.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean

_HEADER = re.compile(r"(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(?P<value>[^\r\n\0]*?)[ \t]*")
_VALUE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<text>.*)", re.DOTALL)


def parse_header(flag: str, text: str) -> tuple[str, str]:
    """Return a header's name and value.

    Args:
        flag: the option, for the error.
        text: "Name: value".

    Raises:
        ConfigError: it is not a header.
    """
    match = _HEADER.fullmatch(text)
    if match is None:
        raise ConfigError(f"{flag}: one is not of the form 'Name: value'.")
    return match["name"], match["value"]


def parse_values(given: str | Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the values for a profile's names, in order.

    Args:
        given: texts of the form "name=text"; or one text with all of them, separated by blanks
            and quoted as in a shell, as the web form has a single field.

    Raises:
        ConfigError: a text is invalid, or a name occurs twice.
    """
    if isinstance(given, str):
        try:
            given = shlex.split(given)
        except ValueError as error:
            raise ConfigError("--value: a quotation mark is not closed.") from error
    found: dict[str, str] = {}
    for each in given:
        match = _VALUE.fullmatch(each)
        if match is None:
            raise ConfigError("--value: one is not of the form name=text.")
        if match["name"] in found:
            raise ConfigError(f"--value {match['name']} is given twice; give it once.")
        found[match["name"]] = match["text"]
    return tuple(found.items())


def join_values(given: Mapping[str, str]) -> str:
    """Return values as one text for `parse_values`."""
    return shlex.join(f"{name}={text}" for name, text in given.items())


def parse_sizes(text: str) -> tuple[int, ...]:
    """Return the sizes of a ladder.

    Args:
        text: whole numbers, separated by commas or blanks.

    Raises:
        ConfigError: the text is invalid.
    """
    words = [each for each in re.split(r"[,\s]+", text) if each]
    if not all(each.isascii() and each.isdigit() and int(each) > 0 for each in words):
        raise ConfigError(
            f"Invalid --ladder {clean(text)!r}: use comma-separated numbers of connections, for "
            "example 50,100,200."
        )
    return tuple(int(each) for each in words)


def is_plain_url(text: str) -> bool:
    """Whether a text is an HTTP URL without a user name and password."""
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    known = parts.scheme in ("http", "https") and bool(parts.hostname)
    return known and port_is_valid and "@" not in parts.netloc and text.isprintable()
