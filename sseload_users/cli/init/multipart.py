"""Read multipart forms that a browser sent (RFC 7578); pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from sseload_users.targets.multipart import boundary_in, is_multipart

#: Behind a boundary: the headers, and the value.
_PART = re.compile(r"[ \t]*\r?\n(.*?)\r?\n\r?\n(.*)", re.DOTALL)
_NAME = re.compile(r';\s*name="([^"]*)"', re.IGNORECASE)
_FILE = re.compile(r";\s*filename\*?=", re.IGNORECASE)
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}


class Form(NamedTuple):
    """A form.

    Attributes:
        body: its fields, as in a URL-encoded form.
        has_file: whether it has fields that are files, which are not in `body`.
    """

    body: str
    has_file: bool = False


def read(kind: str, text: str) -> Form | None:
    """Return the form in a request's body; None if it is none.

    Args:
        kind: the request's ``Content-Type``.
        text: the body.
    """
    boundary = boundary_in(kind)
    if not is_multipart(kind) or boundary is None:
        return None
    before, *parts = re.split(rf"(?:\A|\r?\n)--{re.escape(boundary)}", text)
    if before or not parts or not parts[-1].startswith("--"):
        return None
    fields, has_file = [], False
    for part in parts[:-1]:
        split = _PART.fullmatch(part)
        found = None if split is None else _NAME.search(split[1])
        if split is None or found is None:
            return None
        name = re.sub("%22|%0D|%0A", lambda escaped: _ESCAPED[escaped[0]], found[1])
        if _FILE.search(split[1]):
            has_file = True
        else:
            fields.append((name, split[2]))
    return Form(encoded(fields), has_file)


def of_parameters(parameters: Iterable[Mapping[str, str]]) -> Form:
    """Return the form that a recording has as ``params`` instead of a text (HAR 1.2).

    Of a form with a file, Chromium records neither.
    """
    given = [*parameters]
    fields = [(each["name"], each.get("value", "")) for each in given if "fileName" not in each]
    return Form(encoded(fields), has_file=not given or len(fields) < len(given))


def encoded(fields: Iterable[tuple[str, str]]) -> str:
    """Return fields as in a URL-encoded form, with names in braces as they are."""
    return urlencode([*fields], safe="{}", errors="replace")
