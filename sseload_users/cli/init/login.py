"""Requests before connecting: what their answers give, and where that is; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from sseload_users.cli.init.draft import identifier
from sseload_users.transports.http_request import HttpResponse

#: Names under which servers hand out what proves a login, the likeliest first.
TOKENS = ("token", "access_token", "accessToken", "jwt", "id_token", "ticket", "key")


def capture_of(name: str, response: HttpResponse) -> tuple[dict[str, Any], str] | None:
    """Return where the value of a name is in an answer, as a profile says it, and the value.

    Args:
        name: a field of the JSON, or what stands before the value in a page.
        response: the answer.

    Returns:
        None if the answer has no such value.
    """
    text = response.body.decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    for path, value in _fields(content, ""):
        if identifier(path.rpartition(".")[2]) == identifier(name):
            return {"field": path}, value
    if content is not None:
        return _in_header(name, response)
    # A page has it in a script, an attribute or a hidden field.
    escaped = "[-_]?".join(map(re.escape, name.split("_")))
    for regex in (
        rf"""(?i)(?<![\w-]){escaped}["']?\s*[:=]\s*["']([^"']+)["']""",
        rf"""(?i)name=["']{escaped}["'][^>]*?(?:content|value)=["']([^"']+)["']""",
        rf"""(?i)(?:content|value)=["']([^"']+)["'][^>]*?name=["']{escaped}["']""",
    ):
        found = re.search(regex, text)
        if found:
            return {"regex": regex}, found[1]
    return _in_header(name, response)


def _in_header(name: str, response: HttpResponse) -> tuple[dict[str, Any], str] | None:
    dashed = name.replace("_", "-")
    for each in (name, dashed, f"x-{dashed}"):
        header = response.header(each)
        if header:
            return {"header": each}, header
    # A cookie that a script is to repeat in a header, such as XSRF-TOKEN.
    regex = rf"(?im)^{'[-_]?'.join(map(re.escape, name.split('_')))}=([^;\r\n]+)"
    found = re.search(regex, response.header("Set-Cookie") or "")
    if found is None:
        return None
    return {"header": "Set-Cookie", "regex": regex, "percent_encoded": True}, found[1]


def token_in(response: HttpResponse) -> str | None:
    """Return the name of the token that an answer hands out; None if there is none."""
    return next((name for name in TOKENS if capture_of(name, response) is not None), None)


def source_of(value: str, response: HttpResponse) -> dict[str, Any] | None:
    """Return where a value is in an answer, as a profile says it; None if it is not there."""
    text = response.body.decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    for path, found in _fields(content, ""):
        if found == value:
            return {"field": path}
    at = text.find(value)
    if at < 0:
        return None
    # What stands before it, back to the start of its line or tag.
    before = re.split(r"[\n<>{};]", text[max(0, at - 60) : at])[-1]
    return {"regex": f"{re.escape(before)}([^\"'\\s<>&]+)"} if before.strip() else None


def names_used(text: str, known: Collection[str] = ()) -> list[str]:
    """Return the names in braces that a text uses, without those that are known."""
    found = re.findall(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", text)
    return [name for name in dict.fromkeys(found) if name not in known]


def with_plain_names(text: str) -> str:
    """Return a text with the names in its braces as a profile can have them: {csrf-token}."""
    return re.sub(r"\{([A-Za-z_][\w-]*)\}", lambda found: f"{{{found[1].replace('-', '_')}}}", text)


def _fields(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path to each text in a JSON value, the shallow ones first."""
    pending = [(value, path)]
    while pending:
        children: list[tuple[Any, str]] = []
        for each, place in pending:
            if isinstance(each, str) and place:
                yield place, each
            elif isinstance(each, dict):
                children += [
                    (child, f"{place}.{name}" if place else name)
                    for name, child in each.items()
                    if not set(name) & set('.[]"')
                ]
            elif isinstance(each, list):
                children += [(child, f"{place}[{index}]") for index, child in enumerate(each)]
        pending = children
