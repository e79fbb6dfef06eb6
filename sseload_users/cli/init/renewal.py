"""Replace what a copied request has of the browser's own session by what the logins give; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.draft import identifier, mapped
from sseload_users.targets.redaction import is_secret_name

#: Names of fields and headers against forged requests, whose values come from a page.
_FORGERY = re.compile(r"csrf|xsrf|authenticity|verification|nonce", re.IGNORECASE)
#: Whether an earlier answer has a value of a name.
Gives = Callable[[str], bool]


def renewed(
    request: CopiedRequest, gives: Gives, token: str | None, cookies: Collection[str]
) -> CopiedRequest:
    """Return a request with names in braces in place of values that an earlier answer gives anew.

    Args:
        request: as the browser sent it, in its own session.
        gives: whether an earlier answer has a value of a name.
        token: the name of the token that a login gives; None if there is none.
        cookies: names of the cookies that the answers set; these come by themselves.
    """

    def field(name: str, value: str) -> str:
        known = identifier(name)
        wanted = (is_secret_name(name) or _FORGERY.search(name)) and "pass" not in name.lower()
        return f"{{{known}}}" if wanted and "{" not in value and gives(known) else value

    def header(name: str, value: str) -> str:
        if name == "cookie":
            return "; ".join(_without(value, cookies))
        if name != "authorization":
            return field(name.removeprefix("x-"), value)
        bearer = token and value.startswith("Bearer ") and "{" not in value
        return f"Bearer {{{token}}}" if bearer else value

    headers = [(name, header(name.lower(), value)) for name, value in request.headers]
    split = urlsplit(request.url)
    url = split._replace(query=_form(split.query, field)).geturl() if split.query else request.url
    body = _body(request.body, field)
    return replace(request, url=url, headers=tuple(filter(_has_value, headers)), body=body)


def forgery_names(request: CopiedRequest) -> list[str]:
    """Return the names by which a request proves that it comes from a page of the server."""
    found = [name for name, _ in request.headers] + [*_names(request.body)]
    return [identifier(name.lower().removeprefix("x-")) for name in found if _FORGERY.search(name)]


def is_login(request: CopiedRequest) -> bool:
    """Whether a request sends a password."""
    return request.method != "GET" and any("pass" in each.lower() for each in _names(request.body))


def _has_value(header: tuple[str, str]) -> bool:
    return bool(header[1])


def _without(cookies: str, names: Collection[str]) -> Iterator[str]:
    for each in cookies.split(";"):
        if each.strip() and each.partition("=")[0].strip() not in names:
            yield each.strip()


def _body(body: str, field: Callable[[str, str], str]) -> str:
    try:
        content = json.loads(body)
    except ValueError:
        return _form(body, field) if _is_form(body) else body
    changed = mapped(content, field)
    # A body without such a value stays as it was written.
    return body if changed == content else json.dumps(changed, ensure_ascii=False)


def _form(text: str, field: Callable[[str, str], str]) -> str:
    pairs = (each.partition("=") for each in text.split("&"))
    return "&".join(f"{name}{equals}{field(name, value)}" for name, equals, value in pairs)


def _names(body: str) -> Iterator[str]:
    if _is_form(body):
        yield from (each.partition("=")[0] for each in body.split("&"))
        return
    try:
        pending = [json.loads(body)]
    except ValueError:
        return
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from value
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _is_form(body: str) -> bool:
    return re.fullmatch(r"[^\s=&{}]+=[^\s&]*(&[^\s=&]+=[^\s&]*)*", body) is not None
