"""Copied curl commands, as browsers write them."""

from __future__ import annotations

import pytest

from sseload_users.cli.init.curl import CopiedRequest, parse
from sseload_users.core.errors import ConfigError

JSON = ("Content-Type", "application/json")


def copied_form(*parts: str) -> str:
    """Return the command for a multipart form, as Chromium copies it; each value is "x y"."""
    head = r"--XY\r\nContent-Disposition: form-data; "
    body = "".join(rf"{head}{part}\r\n\r\nx y\r\n" for part in parts)
    return (
        "curl 'http://h/p' -H 'content-type: multipart/form-data; boundary=XY' "
        f"--data-raw $'{body}--XY--\\r\\n'"
    )


FORM = ("Content-Type", "application/x-www-form-urlencoded")

FROM_CHROMIUM = r"""curl 'https://h/api' \
  -H 'accept: */*' \
  -H 'content-type: application/json' \
  -H 'sec-fetch-mode: cors' \
  -H 'user-agent: x' \
  -H 'x-api-key: k' \
  --data-raw $'{"t":"it\'s \u00e9\n"}' --compressed
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("curl http://h/x", CopiedRequest("GET", "http://h/x", ())),
        ("curl h:8000/x", CopiedRequest("GET", "http://h:8000/x", ())),
        ("curl -X put http://h/x", CopiedRequest("PUT", "http://h/x", ())),
        (
            "curl 'http://h/x' -d a=1 -d b=2",
            CopiedRequest("POST", "http://h/x", (FORM,), "a=1&b=2"),
        ),
        ("curl -da=1 http://h/", CopiedRequest("POST", "http://h/", (FORM,), "a=1")),
        ("curl --json '{}' http://h/", CopiedRequest("POST", "http://h/", (JSON,), "{}")),
        ("curl -G --data=q=1 'http://h/?a=0'", CopiedRequest("GET", "http://h/?a=0&q=1", ())),
        (
            "curl --data-urlencode 'm=a b&c' http://h/",
            CopiedRequest("POST", "http://h/", (FORM,), "m=a%20b%26c"),
        ),
        (
            "curl http://h/ -b 'a=1; b=2' -u me:pw",
            CopiedRequest(
                "GET", "http://h/", (("Cookie", "a=1; b=2"), ("Authorization", "Basic bWU6cHc="))
            ),
        ),
        (
            FROM_CHROMIUM,
            CopiedRequest(
                "POST",
                "https://h/api",
                (("content-type", "application/json"), ("x-api-key", "k")),
                '{"t":"it\'s é\n"}',
            ),
        ),
    ],
)
def test_a_command_becomes_a_request(line: str, expected: CopiedRequest) -> None:
    assert parse(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        copied_form('name="a &b"', 'name="{c}"'),
        copied_form('name="a &b"', 'name="{c}"').replace("\\r", ""),
        """curl http://h/p -F 'a &b=x y' -F '{c}="x y";type=text/plain'""",
        "curl http://h/p --form-string 'a &b=x y' --form '{c}=x y'",
    ],
    ids=["copied", "copied without carriage returns", "-F", "--form-string"],
)
def test_a_multipart_form_is_kept_as_its_fields(line: str) -> None:
    assert parse(line) == CopiedRequest(
        "POST", "http://h/p", (("Content-Type", "multipart/form-data"),), "a+%26b=x+y&{c}=x+y"
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("wget http://h/", "it must begin with curl"),
        ("", "it must begin with curl"),
        ("curl 'http://h/", "its quotes do not match"),
        ("curl -H 'a: b'", "it has no URL"),
        ("curl http://h/ -F a=@b", "its form has a file, which a profile cannot send"),
        ("curl http://h/ -F 'a=<b'", "its form has a file"),
        (copied_form('name="a"; filename="b.txt"'), "its form has a file"),
        (copied_form('name="a"').replace("--XY--", ""), "its multipart form is not complete"),
        ("curl http://h/ -d @file", "paste the body itself"),
        ("curl http://h/ -H", "its last option has no value"),
    ],
)
def test_what_is_no_request_is_refused_in_one_sentence(line: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as raised:
        parse(line)
    assert "\n" not in str(raised.value)
