"""Requests that a profile describes, filled for one connection or code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote_plus, unquote

from sseload_users.targets.paths import MISSING, json_equal, json_or_missing, scalar_text
from sseload_users.targets.schema import (
    AnswerSpec,
    BeforeSpec,
    CaptureSpec,
    ExpectedAnswer,
    RequestSpec,
)
from sseload_users.targets.template import (
    Json,
    encode,
    fill,
    fill_header,
    fill_text,
    fill_url,
    is_json,
)
from sseload_users.transports import ConnectFailed
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.server_text import body_text

_FORM = "application/x-www-form-urlencoded"

#: Headers by name and value, in order.
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class BeforeStep:
    """A request to make before connecting.

    Attributes:
        request: makes it of what the steps before captured.
        call: the profile's words.
    """

    request: Callable[[Mapping[str, str]], HttpRequest]
    call: BeforeSpec

    @property
    def per_user(self) -> bool:
        """Whether it is made once for all connections of a user."""
        return self.call.per == "user"

    @property
    def valid_for(self) -> float:
        """Seconds for which what such a request gives is good."""
        return self.call.valid_for

    def read(self, status: int, body: bytes) -> dict[str, str]:
        """What the answer gives for the steps after this one and for the connection.

        Raises:
            ConnectFailed: at "before": the answer is no success, or lacks what is needed.
        """
        text = body.decode(errors="replace")
        cause = refusal(self.call.expect, status, body)
        if cause is not None:
            raise ConnectFailed("before", cause, server_text=body_text(body))
        found = capture(self.call.capture, text, json_or_missing(body))
        for name in self.call.capture:
            if name not in found:
                # Without the answer: what stands in it may be secret.
                raise ConnectFailed("before", f"no {name} in the answer")
        return found


@dataclass(frozen=True, slots=True)
class UpkeepAction:
    """What a connection must do again and again: one of ``request`` and ``text``.

    Attributes:
        every: seconds between two times.
        request: to be made by HTTP.
        text: to be sent over the connection.
        expect: which answers to the request count as success.
    """

    every: float
    request: HttpRequest | None
    text: str | None = field(repr=False)
    expect: ExpectedAnswer

    def accepts(self, status: int, body: bytes) -> str | None:
        """None if the request was answered with success, else the countable cause."""
        return refusal(self.expect, status, body)


def fill_request(
    call: RequestSpec, host: str, values: Mapping[str, str], headers: Headers
) -> HttpRequest:
    """The request that a call describes.

    Args:
        call: the profile's words.
        host: "scheme://host[:port][/base]".
        values: what goes in for each name.
        headers: further ones; of the same name, they replace the profile's.

    Raises:
        UnknownNameError: a name has no value.
    """
    url = call.path if call.path.startswith("http") else host + call.path
    own = dict(call.headers)
    body = b""
    if call.body is not None:
        kind = next((own[name] for name in own if name.lower() == "content-type"), None)
        json_body = not isinstance(call.body, str) or is_json(call.body)
        if kind is None:
            kind = "application/json" if json_body else "text/plain; charset=utf-8"
            own["Content-Type"] = kind
        escape = quote_plus if kind.partition(";")[0].strip().lower() == _FORM else str
        body = fill_text(call.body, values, escape).encode("utf-8", "replace")
    return HttpRequest(
        call.method,
        with_query(url, call.query, values),
        merge_headers(own, headers, values),
        body,
    )


def with_query(url: str, query: Mapping[str, str], values: Mapping[str, str]) -> str:
    """A URL, filled, with a query behind the one that it may have."""
    filled = fill_url(url, values)
    for name, value in query.items():
        pair = f"{encode(fill(name, values))}={encode(fill(value, values))}"
        filled += f"{'&' if '?' in filled else '?'}{pair}"
    return filled


def merge_headers(
    own: Mapping[str, str], further: Headers, values: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """A profile's headers and the user's, which replace those of the same name, filled."""
    replaced = {name.lower() for name, _ in further}
    kept = [(name, value) for name, value in own.items() if name.lower() not in replaced]
    return tuple((name, fill_header(value, values)) for name, value in (*kept, *further))


def refusal(answer: ExpectedAnswer, status: int, body: bytes) -> str | None:
    """Why an answer is no success, as a countable cause; None if it is one."""
    if status not in answer.status if answer.status else not 200 <= status <= 299:
        return f"HTTP {status}"
    if not answer.fields and not answer.has:
        return None
    value = json_or_missing(body)
    if value is MISSING:
        return f"HTTP {status} without JSON"
    for path, wanted in answer.fields.items():
        if not json_equal(path.find(value), wanted):
            return f"HTTP {status}, but {path} is not {json.dumps(wanted)}"
    for path in answer.has:
        if path.find(value) is MISSING:
            return f"HTTP {status} without {path}"
    return None


def answer_matches(kind: AnswerSpec, status: int, body: bytes) -> bool:
    """Whether an answer is of the kind that a profile describes."""
    if kind.status and status not in kind.status:
        return False
    if kind.regex is not None and kind.regex.search(body.decode(errors="replace")) is None:
        return False
    value = json_or_missing(body) if kind.fields or kind.has else MISSING
    return all(json_equal(path.find(value), wanted) for path, wanted in kind.fields.items()) and (
        all(path.find(value) is not MISSING for path in kind.has)
    )


def capture(captures: Mapping[str, CaptureSpec], text: str, value: Json) -> dict[str, str]:
    """What can be captured from an answer or a message.

    Args:
        captures: where each named value is.
        text: what regular expressions look in.
        value: what paths look in.
    """
    found = {}
    for name, place in captures.items():
        part = None if place.field is None else scalar_text(place.field.find(value))
        if place.regex is not None:
            part = matched_text(place.regex, text)
        if part is not None:
            found[name] = unquote(part) if place.percent_encoded else part
    return found


def matched_text(regex: re.Pattern[str], text: str) -> str | None:
    """The part that a regular expression's group is, or all that it matches."""
    match = regex.search(text)
    return None if match is None else match[regex.groups]
