"""Cookies, and redirects: what goes where."""

from __future__ import annotations

import pytest

from sseload_users.transports.cookies import Cookies
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.redirects import redirected

SET = b"set-cookie"


def sent(cookies: Cookies, url: str, *headers: tuple[str, str]) -> dict[str, str]:
    """Return the cookies that go with a request."""
    found = [value for name, value in cookies.add_to(url, headers) if name == "Cookie"]
    pairs = (each.partition("=") for value in found for each in value.split("; "))
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize(
    ("attributes", "url", "goes"),
    [
        ("", "http://127.0.0.1:8000/ws", True),
        ("", "ws://127.0.0.1:9000/ws", True),
        ("", "http://127.0.0.2:8000/ws", False),
        ("; Path=/live", "ws://127.0.0.1:8000/live/ws", True),
        ("; Path=/live", "ws://127.0.0.1:8000/other", False),
        ("; HttpOnly; SameSite=Lax", "ws://127.0.0.1:8000/", True),
        ("; Secure", "ws://127.0.0.1:8000/", False),
        ("; Secure", "wss://127.0.0.1:8000/", True),
        ("; Max-Age=0", "ws://127.0.0.1:8000/", False),
        ("; Domain=example.org", "ws://127.0.0.1:8000/", False),
    ],
)
def test_a_cookie_goes_where_it_belongs(attributes: str, url: str, goes: bool) -> None:
    cookies = Cookies()
    cookies.take("https://127.0.0.1:8000/login", [(SET, b"sid=abc" + attributes.encode())])
    assert sent(cookies, url) == ({"sid": "abc"} if goes else {})


def test_a_cookie_of_a_domain_goes_to_its_hosts() -> None:
    cookies = Cookies()
    cookies.take("https://app.example.org/login", [(SET, b"sid=abc; Domain=example.org; Path=/")])
    assert sent(cookies, "wss://live.example.org/ws") == {"sid": "abc"}
    assert sent(cookies, "wss://example.com/ws") == {}


def test_a_set_cookie_replaces_a_given_one_and_keeps_others() -> None:
    cookies = Cookies()
    cookies.take("http://h.test/login", [(SET, b"a=new"), (SET, b"b=2")])
    given = cookies.add_to("ws://h.test/login", (("Cookie", "a=old; c=3"), ("X", "y")))
    assert given == (("Cookie", "c=3"), ("X", "y"), ("Cookie", "a=new; b=2"))


def test_cookies_are_bounded() -> None:
    cookies = Cookies()
    for index in range(30):
        cookies.take("http://h.test/", [(SET, b"c%d=" % index + b"x" * 4000)])
        assert sum(map(len, cookies.values)) <= 16384


REQUEST = HttpRequest(
    "POST", "http://h.test/a/login", (("Authorization", "x"), ("Content-Type", "y")), b"z"
)


def follow(status: int, location: str) -> HttpRequest | None:
    return redirected(REQUEST, HttpResponse(status, b"", (("location", location),)))


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
def test_a_redirect_changes_the_method_as_browsers_do(status: int, method: str) -> None:
    found = follow(status, "next#part")
    assert found is not None
    assert (found.method, found.url) == (method, "http://h.test/a/next")
    kept = {"Content-Type": "y"} if method == "POST" else {}
    assert (found.body, dict(found.headers)) == (
        b"z" if kept else b"",
        {"Authorization": "x", **kept},
    )


def test_credentials_go_to_no_other_origin() -> None:
    for location in ("https://h.test/", "http://other.test/", "http://h.test:81/"):
        found = follow(307, location)
        assert found is not None
        assert dict(found.headers) == {"Content-Type": "y"}


@pytest.mark.parametrize("location", ["ftp://h.test/", "http://[bad", "javascript:1"])
def test_other_redirects_are_answers(location: str) -> None:
    assert follow(302, location) is None
    assert redirected(REQUEST, HttpResponse(304, b"", (("location", "/"),))) is None
    assert redirected(REQUEST, HttpResponse(302, b"")) is None
