"""Cookies: what goes where."""

from __future__ import annotations

import pytest

from sseload_users.transports.cookies import Cookies

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
