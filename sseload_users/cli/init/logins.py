"""Make the requests before connecting, and note in the draft what they give."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.draft import Draft
from sseload_users.cli.init.login import capture_of, names_used, token_in
from sseload_users.cli.init.output import Output, WatchFailed
from sseload_users.cli.init.renewal import forgery_names, renewed
from sseload_users.core.errors import ConfigError
from sseload_users.options import Options
from sseload_users.run.resources import Resources
from sseload_users.targets.multipart import form_data, is_multipart, with_boundary
from sseload_users.transports.causes import cause_of
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.request_client import RequestClient

_TIMEOUT_S = 10.0
#: A profile that reaches the server; nothing connects by it.
_UNUSED = {
    "transport": "websocket",
    "connect": {"path": "/"},
    "code": {"whole": True},
    "ingest": {"path": "/", "query": {"code": "{code}"}},
}


class Logins:
    """The requests that clients make before they connect.

    Args:
        draft: the profile that is being written.
        given: how to reach the server.
        host: its URL.
        folder: for a file that is needed meanwhile.
        output: prints each request.
    """

    def __init__(
        self, draft: Draft, given: Options, host: str, folder: Path, output: Output
    ) -> None:
        self._draft = draft
        self._given = given
        self._host = host
        self._folder = folder
        self._output = output
        self._answers: list[HttpResponse] = []
        self._cookies: set[str] = set()

    def make(self, requests: Sequence[CopiedRequest]) -> None:
        """Make requests in order, and note them in the draft.

        Raises:
            WatchFailed: one failed.
        """
        if not requests:
            return
        path = self._folder / "login.toml"
        path.write_text(Draft(_UNUSED).toml(""), encoding="utf-8")
        resources = Resources.of(replace(self._given, target=str(path)), self._host)
        client = RequestClient(resources.network, _TIMEOUT_S)
        self._draft.tables["before"] = []
        self._draft.comments["before"] = (
            "Each connection logs in by itself. Cookies are kept for what follows."
        )
        for each in requests:
            form = self._form_of(each)
            if form is not None:
                self._step(client, form, required=False)
            self._step(client, self.renewed(each))

    def renewed(self, request: CopiedRequest) -> CopiedRequest:
        """Return a request with what the answers give in place of the browser's own values."""
        return renewed(request, self._gives, self.token, self._cookies)

    def _form_of(self, request: CopiedRequest) -> CopiedRequest | None:
        """Return the request for the page of a form whose hidden field no answer has given."""
        lacking = [name for name in forgery_names(request) if not self._gives(name)]
        if request.method == "GET" or not lacking or "{" in request.body:
            return None
        return CopiedRequest("GET", request.url, ())

    def _gives(self, name: str) -> bool:
        return any(capture_of(name, each) is not None for each in self._answers)

    def _step(
        self, client: RequestClient, request: CopiedRequest, *, required: bool = True
    ) -> None:
        """Make a request with the values of earlier answers, and note it in the draft."""
        text = f"{request.url} {request.headers} {request.body}"
        names = names_used(text, dict(self._given.value))
        self.capture(names)
        values = dict(self._given.value) | {name: self._value(name) for name in names}
        try:
            responses = [response for _, response in client.follow(_request(request, values))]
        except OSError as error:
            raise WatchFailed(f"The login request failed: {cause_of(error)}.") from error
        response = responses[-1]
        place = f"{request.method} {urlsplit(request.url).path or '/'}"
        self._output.step("login", f"{place}: HTTP {response.status}")
        if not 200 <= response.status < 300:
            if not required:
                return
            raise WatchFailed(
                f"The login request was refused with HTTP {response.status}: copy it anew, "
                "and check that it can be made more than once."
            )
        self._answers.append(
            replace(response, headers=tuple(pair for each in responses for pair in each.headers))
        )
        self._cookies.update(
            line.partition("=")[0].strip()
            for each in responses
            for line in (each.header("Set-Cookie") or "").splitlines()
        )
        self._draft.tables["before"].append(self._draft.request(request, self._host))

    def _value(self, name: str) -> str:
        """Return the value of a name that an answer has."""
        found = (capture_of(name, each) for each in reversed(self._answers))
        return next(value for _, value in filter(None, found))

    @property
    def token(self) -> str | None:
        """The name of the token that an answer hands out, if there is one."""
        return next(filter(None, map(token_in, self._answers)), None)

    def capture(self, names: Sequence[str]) -> None:
        """Note in the draft where the answers have the values of some names.

        Raises:
            ConfigError: no answer has one of them.
        """
        tables = self._draft.tables.get("before", ()) if self._answers else ()
        for name in names:
            # The latest answer is the likeliest: a login comes before what needs it.
            for table, response in reversed([*zip(tables, self._answers, strict=True)]):
                found = capture_of(name, response)
                if found is not None:
                    table.setdefault("capture", {})[name] = found[0]
                    break
            else:
                raise ConfigError(
                    f"{{{name}}} has no value: no answer to a --login request has a field "
                    f"{name!r}; or give it with --value {name}=…."
                )


def _filled(text: str, values: Mapping[str, str], encoded: Callable[[str], str] = str) -> str:
    """Return a text with values in place of the names in braces."""
    return re.sub(
        r"\{([A-Za-z_]\w*)\}",
        lambda found: encoded(values[found[1]]) if found[1] in values else found[0],
        text,
    )


def _request(request: CopiedRequest, values: Mapping[str, str]) -> HttpRequest:
    """Return a request with values in place of the names in braces."""
    headers = [(name, _filled(value, values)) for name, value in request.headers]
    text = _filled(request.body, values, quote if request.is_form else str)
    body = text.encode()
    if is_multipart(request.content_type):
        kind = with_boundary(request.content_type)
        headers = [
            (name, kind if name.lower() == "content-type" else value) for name, value in headers
        ]
        body = form_data(parse_qsl(text, keep_blank_values=True), kind)
    return HttpRequest(request.method, _filled(request.url, values, quote), tuple(headers), body)
