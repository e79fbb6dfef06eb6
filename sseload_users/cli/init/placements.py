"""Where a code may go in a copied request; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.draft import CODE
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.targets.redaction import is_secret_name

#: Names of fields that hold a message, the likeliest first.
_LIKELY = ("code", "message", "msg", "text", "content", "body", "value", "data", "payload", "title")
#: Names of fields that hold something else.
_UNLIKELY = ("id", "user", "name", "room", "channel", "topic", "type", "event", "to", "from")
#: Most places that are tried: each is a message to the server.
_MOST = 6


@dataclass(frozen=True, slots=True)
class Placement:
    """A request with the code in one of its places.

    Attributes:
        request: with `{code}` in its URL or body.
        place: where that is, in words.
        replaced: the text that was there.
    """

    request: CopiedRequest
    place: str
    replaced: str = ""


def placements(request: CopiedRequest) -> list[Placement]:
    """Return the places in which a code may go, the likeliest first.

    A request that already contains `{code}` has just that one.
    """
    if CODE in request.body or CODE in request.url:
        return [Placement(request, "where {code} is")]
    found = [*_in_body(request)] if request.body else [*_in_query(request)]
    return sorted(found, key=_rank)[:_MOST]


def recorded_placements(requests: Sequence[CopiedRequest]) -> list[Placement]:
    """Return the places in which a code may go in some recorded requests.

    Raises:
        ConfigError: there are requests, but no place.
    """
    found = [each for request in requests if not request.has_file for each in placements(request)]
    if requests and not found:
        first = requests[0]
        what = f"{first.method} {clean(urlsplit(first.url).path)}"
        if first.has_file:
            raise ConfigError(
                f"The form of {what} has a file, which a profile cannot send: record the page "
                "without one if the server accepts that, or give another request with --send."
            )
        raise ConfigError(
            f"{what} in the recording has neither a body nor a query in which a code could go: "
            "give the request with --send, with {code} in it where the code goes."
        )
    return found


def _in_body(request: CopiedRequest) -> Iterator[Placement]:
    try:
        content = json.loads(request.body)
    except ValueError:
        content = None
    if isinstance(content, dict | list):
        for steps, text in _texts(content, ()):
            if not is_secret_name(str(steps[-1]) if steps else ""):
                body = json.dumps(_replaced(content, steps), ensure_ascii=False)
                yield Placement(_with_body(request, body), _name(steps), text)
        return
    fields = parse_qsl(request.body, keep_blank_values=True)
    if request.is_form and fields and "=" in request.body:
        for index, (name, text) in enumerate(fields):
            if not is_secret_name(name):
                body = _form(fields, index)
                yield Placement(_with_body(request, body), name, text)
        return
    yield Placement(_with_body(request, CODE), "the whole body", request.body)


def _in_query(request: CopiedRequest) -> Iterator[Placement]:
    split = urlsplit(request.url)
    fields = parse_qsl(split.query, keep_blank_values=True)
    for index, (name, text) in enumerate(fields):
        if not is_secret_name(name):
            url = split._replace(query=_form(fields, index)).geturl()
            made = replace(request, url=url)
            yield Placement(made, name, text)


def _form(fields: list[tuple[str, str]], index: int) -> str:
    changed = [*fields]
    changed[index] = (fields[index][0], CODE)
    return urlencode(changed, safe="{}")


def _texts(value: Any, steps: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(value, str):
        yield steps, value
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _texts(child, (*steps, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _texts(child, (*steps, index))


def _replaced(value: Any, steps: tuple[Any, ...]) -> Any:
    if not steps:
        return CODE
    first, *rest = steps
    if isinstance(value, dict):
        return {
            name: _replaced(each, tuple(rest)) if name == first else each
            for name, each in value.items()
        }
    return [
        _replaced(each, tuple(rest)) if index == first else each for index, each in enumerate(value)
    ]


def _with_body(request: CopiedRequest, body: str) -> CopiedRequest:
    return replace(request, body=body)


def _name(steps: tuple[Any, ...]) -> str:
    return ".".join(map(str, steps))


def _rank(placement: Placement) -> tuple[int, int]:
    name = placement.place.rpartition(".")[2].lower()
    if name in _LIKELY:
        return _LIKELY.index(name), 0
    unlikely = any(part in name for part in _UNLIKELY)
    return len(_LIKELY) + unlikely, -len(placement.replaced)
