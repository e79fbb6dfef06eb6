"""Recordings from which the browser has left out cookies and tokens."""

from __future__ import annotations

import pytest

from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.har import Exchange, Frame, is_sanitized
from sseload_users.cli.init.recording import understand

LOGIN = CopiedRequest("POST", "http://h/login", (), '{"user":"ann","password":"pw"}')
POST = CopiedRequest("POST", "http://h/posts", (), '{"text":"hello there"}')
SOCKET = CopiedRequest("GET", "ws://h/live", ())


def exchange(request: CopiedRequest, at_s: float, *headers: tuple[str, str]) -> Exchange:
    frames = [Frame(False, 4.0, '{"text":"hello there"}')] if request is SOCKET else []
    return Exchange(request, at_s, 200, "", "", headers, frames)


@pytest.mark.parametrize("name", ["Cookie", "authorization"])
def test_one_header_shows_that_nothing_was_left_out(name: str) -> None:
    sent = CopiedRequest("GET", "http://h/", ((name, "x"),))
    assert is_sanitized([exchange(POST, 1.0)])
    assert not is_sanitized([exchange(POST, 1.0), exchange(sent, 2.0)])
    assert not is_sanitized([exchange(POST, 1.0, ("Set-Cookie", "sid=1"))])


def test_the_login_of_such_a_recording_is_made_anew() -> None:
    log = [exchange(LOGIN, 1.0), exchange(SOCKET, 2.0), exchange(POST, 3.0)]
    found = understand(log)
    assert found.sanitized
    assert found.logins == [LOGIN]
    whole = understand([exchange(LOGIN, 1.0, ("Set-Cookie", "sid=1")), *log[1:]])
    assert (whole.sanitized, whole.logins) == (False, [])
