"""What a copied request has of the browser's own session is replaced; the rest stays."""

from __future__ import annotations

import pytest

from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.login import capture_of, with_plain_names
from sseload_users.cli.init.renewal import forgery_names, renewed
from sseload_users.transports.http_request import HttpResponse

FORM = (("Content-Type", "application/x-www-form-urlencoded"),)


def test_what_an_answer_gives_is_replaced() -> None:
    request = CopiedRequest(
        "POST",
        "http://h/a?room=1&ticket_token=old",
        (("Cookie", "sid=old; theme=dark"), ("Authorization", "Bearer old"), ("X-CSRF", "old")),
        '{"csrfToken": "old", "password": "mine", "text": "hello"}',
    )
    made = renewed(request, lambda name: name != "password", "jwt", {"sid"})
    assert made.url == "http://h/a?room=1&ticket_token={ticket_token}"
    assert made.headers == (
        ("Cookie", "theme=dark"),
        ("Authorization", "Bearer {jwt}"),
        ("X-CSRF", "{csrf}"),
    )
    assert made.body == '{"csrfToken": "{csrf_token}", "password": "mine", "text": "hello"}'


@pytest.mark.parametrize("body", ['{"a":1,  "text":"b=c"}', "text=a&text=b", "a=b&c", "plain"])
def test_what_no_answer_gives_stays_as_it_was_written(body: str) -> None:
    request = CopiedRequest("POST", "http://h/a?token=x&b", (*FORM, ("X-Api-Key", "k")), body)
    assert renewed(request, lambda _: False, None, ()) == request


def test_the_proof_of_a_form_is_named() -> None:
    request = CopiedRequest("POST", "http://h/", FORM, "authenticity_token=x&name=y")
    assert forgery_names(request) == ["authenticity_token"]


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ('<meta name="stream-token" content="v1">', "stream_token"),
        ('<input type="hidden" value="v1" name="csrf_token">', "csrf_token"),
        ('<script>window.csrfToken = "v1"</script>', "csrf_token"),
        ('{"data": {"csrfToken": "v1"}}', "csrf_token"),
    ],
)
def test_a_name_is_found_however_a_page_writes_it(page: str, name: str) -> None:
    found = capture_of(name, HttpResponse(200, page.encode(), ()))
    assert found is not None
    assert found[1] == "v1"


def test_a_cookie_that_a_header_repeats_is_found() -> None:
    answer = HttpResponse(200, b"", (("Set-Cookie", "XSRF-TOKEN=v1; Path=/"),))
    found = capture_of("xsrf_token", answer)
    assert found is not None
    assert (found[0]["header"], found[1]) == ("Set-Cookie", "v1")


def test_names_in_braces_may_be_written_as_in_a_page() -> None:
    assert with_plain_names('/s?t={stream-token} {"a-b": 1}') == '/s?t={stream_token} {"a-b": 1}'
