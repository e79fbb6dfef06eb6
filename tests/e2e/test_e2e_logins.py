"""Whole runs against servers that ask for a login, of listeners and of the publisher."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.login_server import LoginServer, Request, Response, json_response
from tests.support.runs import QUICK, Outcome, run

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

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


COOKIES = """\
transport = "websocket"

[[before]]
path = "/login"
capture = { "csrf" = { regex = 'name="csrf" value="([^"]+)"' } }

[[before]]
method = "POST"
path = "/login"
headers = { "Content-Type" = "application/x-www-form-urlencoded" }
body = "csrf={csrf}&name={username}"

[connect]
path = "/ws"

[confirm]
fields = { "type" = "connected" }

[[upkeep]]
every = 0.4

[upkeep.request]
method = "POST"
path = "/alive"

[code]
field = "code"

[ingest]
method = "POST"
path = "/publish"
body = { "code" = "{code}" }
"""


class CookieServer(LoginServer):
    """A server with a login form: it knows its users by a cookie only."""

    def __init__(self) -> None:
        super().__init__(self._route)
        self.alive: set[str] = set()

    def _route(self, request: Request) -> Response | None:
        pairs = (each.partition("=") for each in request.headers.get("cookie", "").split(";"))
        cookies = {name.strip(): value for name, _, value in pairs}
        user = self.user_of(cookies.get("sessionid", ""))
        match request.method, request.path:
            case "GET", "/login":
                token = self.new_token("form")
                set_cookie = {"Set-Cookie": f"csrftoken={token}; Path=/login"}
                return 200, set_cookie, f'<input name="csrf" value="{token}">'.encode()
            case "POST", "/login":
                return self._log_in(request.body.decode(), cookies)
            case "GET", "/home":
                return json_response({"hello": user}, 200 if user else 500)
            case _, "/ws":
                # The form's cookie is for the path of the form only.
                if "csrftoken" in cookies:
                    return json_response({}, 400)
                return self.accept(user) if user else json_response({}, 403)
            case _, "/alive":
                if user:
                    self.alive.add(user)
                return json_response({}, 200 if user else 401)
            case _, "/publish":
                return self.take(request, user) if user else (302, {"Location": "/login"}, b"")
        return None

    def _log_in(self, body: str, cookies: Mapping[str, str]) -> Response:
        form = dict(each.split("=") for each in body.split("&"))
        if form["csrf"] != cookies.get("csrftoken"):
            return json_response({"error": "CSRF"}, 403)
        session = f"sessionid={self.new_token(form['name'])}; Path=/; HttpOnly"
        return 302, {"Set-Cookie": session, "Location": "/home"}, b""


def test_cookies_go_with_the_handshake_upkeep_and_codes(tmp_path: Path) -> None:
    server = CookieServer()
    outcome = run_with(tmp_path, server, COOKIES, "20", "5", "1")
    assert outcome.report["deliveries"]["delivered"] == 5 * 20
    assert outcome.grade == "good"
    users = {f"user-{each}" for each in range(20)}
    assert (set(server.connected), server.alive) == (users, users)
    assert server.published == ["user-0"] * 5
    # The first code found that nobody was logged in.
    assert server.requests["/publish", 302] == 1
    assert server.requests["/home", 200] == 20 + 1
    for session in server.tokens:
        assert session not in outcome.stdout + outcome.stderr


def test_values_are_captured_from_headers_and_redirects(tmp_path: Path) -> None:
    def route(request: Request) -> Response | None:
        if request.path == "/login":
            name = request.query["name"]
            location = f"/app?token={server.new_token(name)}&x=1"
            return 303, {"Location": location, "X-Ticket": f"ticket {name}"}, b""
        if request.path == "/app":
            return json_response({})
        if request.path == "/ws" and request.headers["x-ticket"] != f"ticket {request.query['n']}":
            return json_response({}, 400)
        if request.path == "/publish":
            return server.take(request, "somebody")
        return None

    server = LoginServer(route)
    profile = PROFILE.replace(
        'method = "POST"\npath = "/login"\nbody = { "name" = "{username}" }\n'
        'capture = { "token" = { field = "access_token" } }',
        'path = "/login"\nquery = { "name" = "{username}" }\n'
        'capture = { "token" = { header = "location", regex = \'token=([^&]+)\' },'
        ' "ticket" = { header = "X-Ticket" } }',
    ).replace(
        'query = { "token" = "{token}" }',
        'query = { "token" = "{token}", "n" = "{username}" }\n'
        'headers = { "X-Ticket" = "{ticket}" }',
    )
    outcome = run_with(tmp_path, server, profile, "4", "3", "1")
    assert outcome.grade == "good"
    assert sorted(server.connected) == [f"user-{each}" for each in range(4)]


@pytest.mark.parametrize("scheme", ["http", "ws", "path"])
def test_a_whole_url_tells_where_to_connect(tmp_path: Path, scheme: str) -> None:
    """One server tells each client which of three others to connect to."""
    nodes = [LoginServer() for _ in range(3)]

    def negotiate() -> Response:
        if scheme == "path":
            return json_response({"url": f"/ws?token={server.new_token('somebody')}"})
        index = server.requests["/negotiate", 200] % 3
        token = nodes[index].new_token("somebody")
        return json_response({"url": f"{urls[index].replace('http', scheme)}/ws?token={token}"})

    def route(request: Request) -> Response | None:
        if request.path == "/negotiate":
            return negotiate()
        if request.path == "/publish":
            for each in nodes:
                each.broadcast(request.body)
            return server.take(request, "somebody")
        return None

    server = LoginServer(route)
    profile = (
        PROFILE.replace('"/login"', '"/negotiate"')
        .replace('"token" = { field = "access_token" }', '"url" = { field = "url" }')
        .replace('path = "/ws"\nquery = { "token" = "{token}" }', 'path = "{url}"')
        .replace('headers = { "Authorization" = "Bearer {token}" }\n', "")
    )
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(each.serving()) for each in nodes]
        outcome = run_with(tmp_path, server, profile, "9", "3", "1")
    assert outcome.report["deliveries"]["delivered"] == 3 * 9
    assert outcome.grade == "good"
    on_nodes = [len(each.connected) for each in (*nodes, server)]
    assert on_nodes == ([0, 0, 0, 9] if scheme == "path" else [3, 3, 3, 0])


def test_a_token_travels_as_a_subprotocol(tmp_path: Path) -> None:
    def route(request: Request) -> Response | None:
        if request.path == "/ws":
            offered = request.headers.get("sec-websocket-protocol", "").split(", ")
            if len(offered) != 2 or server.user_of(offered[1]) is None:
                return json_response({}, 401)
            server.connected.append(server.user_of(offered[1]) or "")
            return 101, {"Sec-WebSocket-Protocol": offered[0]}, b""
        return None

    server = LoginServer(route)
    profile = PROFILE.replace(
        'query = { "token" = "{token}" }', 'subprotocols = ["bearer", "{token}"]'
    )
    outcome = run_with(tmp_path, server, profile, "3", "3", "1")
    assert outcome.grade == "good"
    assert sorted(server.connected) == ["user-0", "user-1", "user-2"]
    assert not any(each in str(outcome.report) for each in server.tokens)


def test_endless_redirects_of_a_login_fail_its_connections(tmp_path: Path) -> None:
    def route(request: Request) -> Response | None:
        return (302, {"Location": "/login"}, b"") if request.path == "/login" else None

    profile = PROFILE.replace('headers = { "Authorization" = "Bearer {token}" }\n', "")
    outcome = run_with(tmp_path, LoginServer(route), profile, "2", "3", "1")
    assert ("before", "too many redirects") in outcome.causes


def test_what_is_signed_is_what_is_sent(tmp_path: Path) -> None:
    """The server checks each signature over the body as it came, with the time of its code."""
    wrong: list[str] = []

    def route(request: Request) -> Response | None:
        if request.path == "/ws":
            return server.accept("somebody")
        if request.path != "/publish":
            return None
        time_s = request.headers["x-time"]
        text = f"{time_s}.POST./publish.".encode() + request.body
        expected = hmac.new(b"the-secret", text, hashlib.sha512).hexdigest()
        sent_ns = int(json.loads(request.body)["code"].split("-")[3], 36)
        if request.headers["x-sign"] != f"v1={expected}" or int(time_s) != sent_ns // 10**9:
            wrong.append(request.headers["x-sign"])
            return json_response({"error": "bad signature"}, 401)
        return server.take(request, "somebody")

    server = LoginServer(route)
    profile = (
        'transport = "websocket"\n[connect]\npath = "/ws"\n[confirm]\nany = true\n'
        '[code]\nfield = "code"\n'
        '[ingest]\nmethod = "POST"\npath = "/publish"\nbody = { "code" = "{code}" }\n'
        '[ingest.sign]\nscheme = "hmac"\nsecret = "{secret}"\nhash = "sha512"\n'
        'over = "{time}.{method}.{path}.{body}"\n'
        'headers = { "X-Time" = "{time}", "X-Sign" = "v1={signature}" }\n'
    )
    secret = ("--value", "secret=the-secret")
    outcome = run_with(tmp_path, server, profile, "3", "30", "1", *secret)
    assert (wrong, outcome.report["codes"]["accepted"]) == ([], 30)
    assert outcome.grade == "good"


def test_cookies_of_the_handshake_go_with_later_requests_and_reconnects(tmp_path: Path) -> None:
    """As a server does that keeps its sticky session, or its login, in a cookie of the 101."""
    seen: dict[str, list[str]] = {"/ws": [], "/pong": [], "/login": []}

    def route(request: Request) -> Response | None:
        if request.path not in seen:
            return server.take(request, "somebody") if request.path == "/publish" else None
        seen[request.path].append(request.headers.get("cookie", ""))
        if request.path == "/login":
            return json_response({"access_token": "t-1234"})
        if request.path == "/pong":
            return json_response({})
        server.accept("somebody")
        return 101, {"Set-Cookie": f"sid={len(seen['/ws'])}"}, b""

    server = LoginServer(route)
    profile = PROFILE + '[[upkeep]]\nevery = 0.2\nrequest = { "path" = "/pong" }\n'
    outcome = run_with(tmp_path, server, profile, "2", "4", "2", "--session-length", "0.7")
    assert outcome.report["connections"]["replaced"] >= 2
    first, *others = sorted(seen["/ws"])
    assert first == others[0] == ""  # each connection's first handshake has none
    assert len(others) >= 3
    assert all(others[1:])
    assert {*seen["/pong"]} <= {f"sid={each + 1}" for each in range(len(seen["/ws"]))}
    assert "" not in seen["/pong"]
