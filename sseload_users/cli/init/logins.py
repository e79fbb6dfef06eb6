"""Make the requests before connecting, and note in the draft what they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.draft import Draft
from sseload_users.cli.init.login import capture_of, token_in
from sseload_users.cli.init.output import Output, WatchFailed
from sseload_users.core.errors import ConfigError
from sseload_users.options import Options
from sseload_users.run.resources import Resources
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
        tables = []
        for each in requests:
            request = HttpRequest(each.method, each.url, each.headers, each.body.encode())
            try:
                *_, (_, response) = client.follow(request)
            except OSError as error:
                raise WatchFailed(f"The login request failed: {cause_of(error)}.") from error
            tables.append(self._draft.request(each, self._host))
            place = f"{each.method} {urlsplit(each.url).path or '/'}"
            self._output.step("login", f"{place}: HTTP {response.status}")
            if not 200 <= response.status < 300:
                raise WatchFailed(
                    f"The login request was refused with HTTP {response.status}: copy it anew, "
                    "and check that it can be made more than once."
                )
            self._answers.append(response)
        self._draft.tables["before"] = tables
        self._draft.comments["before"] = (
            "Each connection logs in by itself. Cookies are kept for what follows."
        )

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
            for table, response in zip(tables, self._answers, strict=True):
                found = capture_of(name, response)
                if found is not None:
                    table.setdefault("capture", {})[name] = found[0]
                    break
            else:
                raise ConfigError(
                    f"{{{name}}} has no value: no answer to a --login request has a field "
                    f"{name!r}; or give it with --value {name}=…."
                )
