"""Whole runs against servers that ask for a login, of listeners and of the publisher."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.login_server import LoginServer, Request, Response, json_response
from tests.support.runs import QUICK, Outcome, run

pytestmark = pytest.mark.e2e

PROFILE = """\
transport = "websocket"

[[before]]
method = "POST"
path = "/login"
body = { "name" = "{username}" }
capture = { "token" = { field = "access_token" } }

[connect]
path = "/ws"
query = { "token" = "{token}" }

[confirm]
fields = { "type" = "connected" }

[code]
field = "code"

[ingest]
method = "POST"
path = "/publish"
headers = { "Authorization" = "Bearer {token}" }
body = { "code" = "{code}" }
"""


def run_with(folder: Path, server: LoginServer, profile: str, *arguments: str) -> Outcome:
    """Run with a profile and a file of twenty users."""
    path, users = folder / "mine.toml", folder / "users.csv"
    path.write_text(profile, "utf-8")
    users.write_text("username\n" + "".join(f"user-{each}\n" for each in range(20)), "utf-8")
    with server.serving() as url:
        return run(
            folder, *arguments, *QUICK, "--target", str(path), "--host", url,
            "--users-file", str(users),
        )  # fmt: skip


def notes(outcome: Outcome) -> str:
    return "\n".join(outcome.report["run"]["notes"])


def test_each_connection_and_the_publisher_log_in(tmp_path: Path) -> None:
    server = LoginServer()
    outcome = run_with(tmp_path, server, PROFILE, "20", "6", "1")
    assert outcome.report["deliveries"]["delivered"] == 6 * 20
    assert outcome.grade == "good"
    assert Counter(server.connected) == Counter(f"user-{each}" for each in range(20))
    assert server.published == ["user-0"] * 6
    assert server.requests == {
        ("/login", 200): 21, ("/ws", 101): 20, ("/publish", 200): 6,
    }  # fmt: skip
    assert "logged in again" not in notes(outcome)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_code_that_an_expired_login_refuses_is_sent_again(tmp_path: Path, processes: int) -> None:
    server = LoginServer(lifetime=4)
    more = ("--processes", "2") if processes == 2 else ()
    outcome = run_with(tmp_path, server, PROFILE, "6", "10", "1", *more)
    codes = outcome.report["codes"]
    assert (codes["accepted"], codes["rejected"], codes["sent"]) == (10, 0, 10)
    assert outcome.report["deliveries"]["delivered"] == 10 * 6
    assert outcome.report["errors"]["causes"] == []
    assert outcome.grade == "good"
    # The fifth and the ninth find that their login has expired.
    assert server.requests["/publish", 401] == 2
    assert server.requests["/login", 200] == 6 + 3
    assert "sseload logged in again 2 times." in notes(outcome)
    assert sum(each["sent"] for each in outcome.report["timeline"]) == 10


def test_a_login_that_is_never_accepted_is_not_repeated_for_each_code(tmp_path: Path) -> None:
    def refuse(request: Request) -> Response | None:
        return json_response({"error": "no"}, 401) if request.path == "/publish" else None

    server = LoginServer(refuse)
    outcome = run_with(tmp_path, server, PROFILE, "2", "8", "1")
    assert outcome.report["codes"]["rejected"] == 8
    assert server.requests["/login", 200] == 2 + 1


def test_a_server_that_refuses_codes_for_want_of_a_login_gets_one(tmp_path: Path) -> None:
    """The profile does not say that codes need a login; the server does."""
    logins = 0
    server = LoginServer()

    def route(request: Request) -> Response | None:
        nonlocal logins
        logins += request.path == "/login"
        if request.path != "/publish":
            return None
        # The first login is the listener's.
        return server.take(request, "user-0") if logins > 1 else json_response({}, 403)

    server.route = route
    profile = PROFILE.replace('headers = { "Authorization" = "Bearer {token}" }\n', "")
    outcome = run_with(tmp_path, server, profile, "1", "3", "1")
    assert outcome.report["codes"]["accepted"] == 3
    assert logins == 1 + 1


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("http://no-such-host.invalid/publish", "no such host"),
        ("http://[bad/{username}", "resolve: bad URL"),
    ],
)
def test_a_code_that_cannot_be_sent_is_unsent_with_its_cause(
    tmp_path: Path, path: str, cause: str
) -> None:
    profile = PROFILE.replace('path = "/publish"', f'path = "{path}"')
    outcome = run_with(tmp_path, LoginServer(), profile, "2", "5", "1")
    assert outcome.report["codes"]["unsent"] == 5
    assert {each["cause"]: each["count"] for each in outcome.report["errors"]["causes"]} == {
        cause: 5
    }
