"""Options that say more than one thing in a text: headers, values by name, lists of sizes.

A mistake in what may be secret is told without repeating it.
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


def header(flag: str, text: str) -> tuple[str, str]:
    """A header's name and value.

    Args:
        flag: the option that it was given to.
        text: "Name: value".

    Raises:
        ConfigError: it is no header.
    """
    match = _HEADER.fullmatch(text)
    if match is None:
        raise ConfigError(f"{flag}: one is not of the form 'Name: value'.")
    return match["name"], match["value"]


def values(given: str | Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The values for a profile's names, in order.

    Args:
        given: each as "name=text"; or all in one text, as the web form has a single field:
            with blanks between, and quoted as in a shell where a text has blanks.

    Raises:
        ConfigError: one is no such pair, or a name comes twice.
    """
    if isinstance(given, str):
        try:
            given = shlex.split(given)
        except ValueError as error:
            raise ConfigError("--value: a quotation mark is not closed; close it.") from error
    found: dict[str, str] = {}
    for each in given:
        match = _VALUE.fullmatch(each)
        if match is None:
            raise ConfigError("--value: one is not of the form name=text.")
        if match["name"] in found:
            raise ConfigError(f"--value {match['name']} is given twice; give it once.")
        found[match["name"]] = match["text"]
    return tuple(found.items())


def joined(given: Mapping[str, str]) -> str:
    """Values in one text, as `values` takes it."""
    return shlex.join(f"{name}={text}" for name, text in given.items())


def sizes(text: str) -> tuple[int, ...]:
    """The sizes of a ladder.

    Args:
        text: whole numbers with commas or blanks between.

    Raises:
        ConfigError: there is something else in it.
    """
    words = [each for each in re.split(r"[,\s]+", text) if each]
    if not all(each.isascii() and each.isdigit() and int(each) > 0 for each in words):
        raise ConfigError(
            f"--ladder {clean(text)!r} cannot be: write numbers of connections with commas "
            "between, such as 50,100,200,500."
        )
    return tuple(int(each) for each in words)


def is_plain_url(text: str) -> bool:
    """Whether a text is a URL of HTTP's, without a user name or password."""
    try:
        parts = urlsplit(text)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        return False
    known = parts.scheme in ("http", "https") and bool(parts.hostname)
    return known and port_is_one and "@" not in parts.netloc and text.isprintable()
