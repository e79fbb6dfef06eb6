"""Build the requests that a profile describes, and interpret their answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote_plus, unquote, urlencode, urlsplit

from sseload_users.targets.json_text import prepared
from sseload_users.targets.multipart import form_data, is_multipart, with_boundary
from sseload_users.targets.paths import MISSING, has_values, json_or_missing, scalar_text
from sseload_users.targets.schema import (
    AnswerSpec,
    BeforeSpec,
    CaptureSpec,
    ExpectedAnswer,
    RequestSpec,
    VerifySpec,
    defaults,
)
from sseload_users.targets.template import (
    Json,
    begins_with_name,
    encode,
    fill,
    fill_form,
    fill_header,
    fill_text,
    fill_url,
    is_json,
    names_in,
)
from sseload_users.transports import ConnectFailed
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.redirects import REDIRECTS
from sseload_users.transports.server_text import body_text

#: The schemes of a URL for HTTP and for WebSocket.
_SCHEMES = {
    "http": ("http", "ws"),
    "ws": ("http", "ws"),
    "https": ("https", "wss"),
    "wss": ("https", "wss"),
}
_FORM = "application/x-www-form-urlencoded"

#: Headers by name and value, in order.
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class BeforeStep:
    """A request to make before connecting.

    Attributes:
        request: builds it from the values captured by the previous steps.
        call: its description in the profile.
        anonymous: whether it is the same for all users and connections.
    """

    request: Callable[[Mapping[str, str]], HttpRequest]
    call: BeforeSpec
    anonymous: bool = False

    @property
    def per_user(self) -> bool:
        """Whether it is made once per user instead of once per connection."""
        return self.call.per == "user"

    @property
    def valid_for(self) -> float:
        """Seconds for which the captured values of such a request are valid."""
        return self.call.valid_for

    def read(self, answer: HttpResponse, redirects: Sequence[HttpResponse] = ()) -> dict[str, str]:
        """Return the values captured from the answer, by name.

        Args:
            answer: the answer.
            redirects: the answers that led to it, whose headers count as well.

        Raises:
            ConnectFailed: at "before": the answer is a failure, or lacks a value.
        """
        cause = refusal(self.call.expect, answer.status, answer.body)
        if cause is not None:
            raise ConnectFailed("before", cause, server_text=body_text(answer.body))
        found = capture_from(self.call.capture, answer, redirects)
        for name in self.call.capture:
            if name not in found:
                # Without the answer, which may contain secrets.
                raise ConnectFailed("before", f"no {name} in the answer")
        return found


@dataclass(frozen=True, slots=True)
class UpkeepAction:
    """A periodic action of a connection: a request, a message or a ping.

    Attributes:
        every: interval in seconds.
        request: the HTTP request, or None.
        message: the message to send over the connection, or None. Without either, a ping is sent.
        expect: which answers to the request count as success.
    """

    every: float
    request: HttpRequest | None
    message: str | bytes | None = field(repr=False)
    expect: ExpectedAnswer

    def failure(self, status: int, body: bytes) -> str | None:
        """Return None if an answer counts as success, else the countable cause."""
        return refusal(self.expect, status, body)


class RequestTemplate:
    """Builds the requests that a profile describes at one place.

    What has no names is filled once: one of these builds the requests for all codes.

    Args:
        call: their description.
        host: "scheme://host[:port][/base]".
        headers: additional headers; they replace the profile's of the same name.
    """

    def __init__(self, call: RequestSpec, host: str, headers: Headers) -> None:
        self._call = call
        self._host = host
        self._further = headers
        # A profile that wants a redirect as the answer does not want it followed.
        self._unfollowed = _named_statuses(call) & REDIRECTS
        own = body_headers(call.body, call.headers)
        self._own = own
        names = (*names_in(call.path), *names_in(call.query))
        self._url = None if names else filled_url(host, call.path, call.query, {})
        texts = (*own.values(), *(text for _, text in headers))
        fixed = not any(True for text in texts for _ in names_in(text))
        self._headers = merge_headers(own, headers, {}) if fixed else None
        self._body = None if _is_form(call.body, own) else prepared(call.body)

    def fill(self, values: Mapping[str, str]) -> HttpRequest:
        """Return a request.

        Args:
            values: values by name.

        Raises:
            UnknownNameError: a name has no value.
        """
        call, url, headers, body = self._call, self._url, self._headers, self._body
        return HttpRequest(
            call.method,
            filled_url(self._host, call.path, call.query, values) if url is None else url,
            merge_headers(self._own, self._further, values) if headers is None else headers,
            filled_body(call.body, self._own, values)
            if body is None
            else body.fill(values).encode(),
            self._unfollowed,
        )


def body_headers(body: Json, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request, with the type of its body.

    Args:
        body: its description in the profile; None for no body.
        headers: the profile's; a ``Content-Type`` among them says what the body is.
    """
    own = dict(headers)
    if body is not None and _content_type(own) is None:
        json_body = not isinstance(body, str) or is_json(body)
        own["Content-Type"] = "application/json" if json_body else "text/plain; charset=utf-8"
    if isinstance(body, Mapping):
        return {
            name: with_boundary(value)
            if name.lower() == "content-type" and is_multipart(value)
            else value
            for name, value in own.items()
        }
    return own


def filled_body(body: Json, headers: Mapping[str, str], values: Mapping[str, str]) -> bytes:
    """Fill a request's body; empty if there is none.

    Args:
        body: its description in the profile; None for no body.
        headers: see `body_headers`; their ``Content-Type`` says what the body is.
        values: values by name.

    Raises:
        UnknownNameError: a name has no value.
    """
    if body is None:
        return b""
    kind = _content_type(headers) or ""
    if isinstance(body, Mapping) and _is_form(body, headers):
        fields = fill_form(body, values)
        if is_multipart(kind):
            return form_data(fields, kind)
        return urlencode(fields, errors="replace").encode()
    escape = quote_plus if _is_urlencoded(kind) else str
    return fill_text(body, values, escape).encode("utf-8", "replace")


def _is_form(body: Json, headers: Mapping[str, str]) -> bool:
    """Whether a body is the fields of a form."""
    kind = _content_type(headers) or ""
    return isinstance(body, Mapping) and (_is_urlencoded(kind) or is_multipart(kind))


def _is_urlencoded(kind: str) -> bool:
    return kind.partition(";")[0].strip().lower() == _FORM


def _content_type(headers: Mapping[str, str]) -> str | None:
    return next((headers[name] for name in headers if name.lower() == "content-type"), None)


def _named_statuses(call: RequestSpec) -> frozenset[int]:
    """Return the statuses that a profile names for the answer to a request."""
    refuse = call.refuse if isinstance(call, VerifySpec) else None
    return frozenset((*call.expect.status, *(() if refuse is None else refuse.status)))


def filled_url(host: str, path: str, query: Mapping[str, str], values: Mapping[str, str]) -> str:
    """Fill a URL and append a query to it.

    Args:
        host: "scheme://host[:port][/base]"; the URL has its kind of scheme, HTTP or WebSocket.
        path: a path at the host, a whole URL, or a name whose value is one of these.
        query: texts by name.
        values: values by name.

    Raises:
        UnknownNameError: a name has no value.
    """
    filled = fill_url(path, values).strip()
    scheme, found, rest = filled.partition("://")
    if found and scheme.lower() in _SCHEMES:
        http, ws = _SCHEMES[scheme.lower()]
        filled = f"{http if host.startswith('http') else ws}://{rest}"
    elif begins_with_name(path):
        # Relative to the host, as a link on its pages is.
        base = urlsplit(host)
        root = f"{base.scheme}://{base.netloc}"
        filled = root + filled if filled.startswith("/") else filled
    else:
        filled = host + filled
    filled = filled.partition("#")[0]
    for name, value in query.items():
        pair = f"{encode(fill(name, values))}={encode(fill(value, values))}"
        filled += f"{'&' if '?' in filled else '?'}{pair}"
    return filled


def merge_headers(
    own: Mapping[str, str], further: Headers, values: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Fill a profile's headers and the user's; the latter replace those of the same name."""
    replaced = {name.lower() for name, _ in further}
    kept = [(name, value) for name, value in own.items() if name.lower() not in replaced]
    return tuple((name, fill_header(value, values)) for name, value in (*kept, *further))


def refusal(answer: ExpectedAnswer, status: int, body: bytes) -> str | None:
    """Return why an answer is not a success, as a countable cause; None if it is one."""
    if status not in answer.status if answer.status else not 200 <= status <= 299:
        return f"HTTP {status}"
    if not answer.fields and not answer.has:
        return None
    value = json_or_missing(body)
    if value is MISSING:
        return f"HTTP {status} without JSON"
    for path, wanted in answer.fields.items():
        if not has_values({path: wanted}, value):
            return f"HTTP {status}, but {path} is not {json.dumps(wanted)}"
    for path in answer.has:
        if path.find(value) is MISSING:
            return f"HTTP {status} without {path}"
    return None


def answer_matches(kind: AnswerSpec, status: int, body: bytes) -> bool:
    """Whether an answer meets all conditions of a profile's description."""
    if kind.status and status not in kind.status:
        return False
    if kind.regex is not None and kind.regex.search(body.decode(errors="replace")) is None:
        return False
    value = json_or_missing(body) if kind.fields or kind.has else MISSING
    return has_values(kind.fields, value) and all(
        path.find(value) is not MISSING for path in kind.has
    )


def capture_from(
    captures: Mapping[str, CaptureSpec], answer: HttpResponse, redirects: Sequence[HttpResponse]
) -> dict[str, str]:
    """Return the values that can be captured from an answer to a request, by name.

    Args:
        captures: where each value is.
        answer: the answer.
        redirects: the answers that led to it, whose headers count as well.
    """

    def header(name: str) -> str | None:
        values = (each.header(name) for each in (answer, *reversed(redirects)))
        return next((each for each in values if each is not None), None)

    text = answer.body.decode(errors="replace")
    return capture(captures, text, json_or_missing(answer.body), header)


def capture(
    captures: Mapping[str, CaptureSpec],
    text: str,
    value: Json,
    header: Callable[[str], str | None] = lambda _: None,
) -> dict[str, str]:
    """Return the values that an answer or a message gives, by name, or else their defaults.

    Args:
        captures: where each value is.
        text: searched by regular expressions.
        value: searched by paths.
        header: returns the values of a header, one a line; None if there are none.
    """
    return defaults(captures) | find_values(captures, text, value, header)


def find_values(
    captures: Mapping[str, CaptureSpec],
    text: str,
    value: Json,
    header: Callable[[str], str | None] = lambda _: None,
) -> dict[str, str]:
    """Return the values that an answer or a message has, by name; see `capture`."""
    found = {}
    for name, place in captures.items():
        part = None if place.field is None else scalar_text(place.field.find(value))
        searched: str | None = text
        if place.header is not None:
            part = searched = header(place.header)
        if place.regex is not None:
            part = None if searched is None else matched_text(place.regex, searched)
        if part is not None:
            found[name] = unquote(part) if place.percent_encoded else part
    return found


def matched_text(regex: re.Pattern[str], text: str) -> str | None:
    """Return the group of a regular expression's match, or the whole match; None without one."""
    match = regex.search(text)
    return None if match is None else match[regex.groups]
