"""The cookies of one connection: what answers set goes with its further requests (RFC 6265)."""

from __future__ import annotations

import email.message
import http.cookiejar
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from sseload_users.transports.http_request import HttpResponse

#: Most bytes of cookies that are kept: a server that sets more gets none back.
_MAX_BYTES = 16384
_HTTP = {"ws": "http", "wss": "https"}


class Cookies:
    """A cookie jar, as a browser has one.

    It takes no memory until a server sets a cookie: most set none.
    """

    __slots__ = ("_jar",)

    def __init__(self) -> None:
        self._jar: http.cookiejar.CookieJar | None = None

    def take(self, url: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the cookies that the response of a URL sets."""
        values = [value for name, value in headers if name.lower() == b"set-cookie"]
        self._take(url, [each.decode("latin-1") for each in values])

    def take_from(self, url: str, response: HttpResponse) -> None:
        """Take the cookies that the response of a URL sets."""
        values = (value for name, value in response.headers if name.lower() == "set-cookie")
        self._take(url, [*values])

    def _take(self, url: str, values: Sequence[str]) -> None:
        if not values:
            return
        message = email.message.Message()
        for each in values:
            message["Set-Cookie"] = each
        if self._jar is None:
            self._jar = http.cookiejar.CookieJar()
        self._jar.extract_cookies(_Response(message), _request(url))  # type: ignore[arg-type]
        if sum(len(each.name) + len(each.value or "") for each in self._jar) > _MAX_BYTES:
            self._jar.clear()

    def __bool__(self) -> bool:
        return self._jar is not None

    def add(self, cookies: Iterable[http.cookiejar.Cookie]) -> None:
        """Add cookies; they replace those of the same name, domain and path."""
        for each in cookies:
            self._jar = http.cookiejar.CookieJar() if self._jar is None else self._jar
            self._jar.set_cookie(each)

    def __iter__(self) -> Iterator[http.cookiejar.Cookie]:
        return iter(() if self._jar is None else self._jar)

    @property
    def values(self) -> list[str]:
        """The values of all cookies."""
        return [each.value for each in self if each.value]

    def add_to(self, url: str, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Return a request's headers with the cookies that go with it.

        A cookie that the server has set replaces one of the same name in the headers.
        """
        if self._jar is None:
            return headers
        request = _request(url)
        self._jar.add_cookie_header(request)
        own = request.get_header("Cookie")
        if not own:
            return headers
        names = {each.partition("=")[0].strip() for each in own.split(";")}
        kept: list[tuple[str, str]] = []
        for name, value in headers:
            if name.lower() == "cookie":
                pairs = (each.strip() for each in value.split(";"))
                value = "; ".join(each for each in pairs if each.partition("=")[0] not in names)  # noqa: PLW2901
            if value or name.lower() != "cookie":
                kept.append((name, value))
        return (*kept, ("Cookie", own))


class _Response:
    """A response, as http.cookiejar wants it."""

    def __init__(self, message: email.message.Message) -> None:
        self._message = message

    def info(self) -> email.message.Message:
        return self._message


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(url)
    scheme = _HTTP.get(parts.scheme, parts.scheme)
    return urllib.request.Request(parts._replace(scheme=scheme).geturl())  # noqa: S310 - not opened
