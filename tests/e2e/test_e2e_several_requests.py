"""Whole runs in which handing in a code takes several requests."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest

from tests.support.login_server import LoginServer, Request, Response, json_response
from tests.support.runs import QUICK, Outcome, run

pytestmark = pytest.mark.e2e

PROFILE = """\
transport = "websocket"

[connect]
path = "/open"

[confirm]
fields = { "type" = "connected" }

[code]
field = "code"

[[ingest.before]]
method = "POST"
path = "/drafts"
body = { "code" = "{code}", "padding" = "{padding}" }
expect = { status = [201] }
capture = { "id" = { header = "Location", regex = "[^/]+$" } }

[[ingest.before]]
path = "/drafts/{id}"
capture = { "etag" = { field = "etag" } }

[ingest]
method = "POST"
path = "/drafts/{id}/publish"
query = { "etag" = "{etag}" }

[ingest.sign]
scheme = "hmac"
secret = "shared secret"
over = "{method} {path} {time} {body}"
headers = { "X-Time" = "{time}", "X-Signature" = "{signature}" }
"""


class DraftServer(LoginServer):
    """A server that broadcasts a code once its draft is published.

    Args:
        slow_s: seconds that it takes for each draft.

    Attributes:
        drafts: the codes by the drafts' IDs.
        published_ids: IDs of the drafts that were published, in order.
    """

    def __init__(self, slow_s: float = 0.0) -> None:
        super().__init__(self.answer)
        self.drafts: dict[str, bytes] = {}
        self.published_ids: list[str] = []
        self._slow_s = slow_s

    def answer(self, request: Request) -> Response | None:
        """Answer a request for a draft, and any WebSocket."""
        if request.path == "/open":
            return self.accept("somebody")
        if not request.path.startswith("/drafts"):
            return None
        if not _is_signed(request):
            return json_response({"error": "bad signature"}, 403)
        *_, name, action = ("", *request.path.split("/"))
        if action == "drafts":
            return self.create(request)
        if action == "publish":
            return self.publish(name, request)
        return json_response({"etag": f"etag-of-{action}"})

    def create(self, request: Request) -> Response:
        """Create a draft."""
        time.sleep(self._slow_s)
        name = f"draft-{len(self.drafts) + 1:04}"
        self.drafts[name] = request.body
        return 201, {"Location": f"/drafts/{name}"}, b""

    def publish(self, name: str, request: Request) -> Response:
        """Publish a draft."""
        if request.query != {"etag": f"etag-of-{name}"}:
            return json_response({"error": f"{name} has changed"}, 412)
        self.published_ids.append(name)
        self.broadcast(self.drafts[name])
        return json_response({"ok": True})


def _is_signed(request: Request) -> bool:
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    path = request.path + (f"?{query}" if query else "")
    signed = f"{request.method} {path} {request.headers['x-time']} {request.body.decode()}"
    expected = hmac.new(b"shared secret", signed.encode(), hashlib.sha256).hexdigest()
    return request.headers["x-signature"] == expected


def run_with(folder: Path, server: LoginServer, *arguments: str, profile: str = PROFILE) -> Outcome:
    path = folder / "drafts.toml"
    path.write_text(profile, "utf-8")
    report = arguments[0] != "check"
    with server.serving() as url:
        options = (*arguments, *QUICK, "--target", str(path), "--host", url)
        return run(folder, *options, report=report)


def test_a_code_counts_as_sent_when_the_last_request_is_written(tmp_path: Path) -> None:
    server = DraftServer(slow_s=0.15)
    outcome = run_with(tmp_path, server, "4", "6", "2")
    codes, deliveries = outcome.report["codes"], outcome.report["deliveries"]
    assert (codes["accepted"], codes["scheduled"]) == (6, 6)
    assert (deliveries["owed"], deliveries["delivered"]) == (24, 24)
    assert (deliveries["unexpected"], deliveries["foreign"]) == (0, 0)
    # Each step was made once for each code.
    assert server.published_ids == sorted(server.drafts)
    assert len(server.published_ids) == 6
    # What the server takes for a draft is neither latency nor a delay of the schedule.
    assert outcome.report["delivery_ms"]["p50"] < 140
    assert codes["schedule_slip_ms"]["p50"] < 140
    assert outcome.grade == "good"


@pytest.mark.dear
def test_a_failure_names_its_request(tmp_path: Path) -> None:
    class Failing(DraftServer):
        def create(self, request: Request) -> Response:
            """Refuse every third draft, and forget where every other third is."""
            status, headers, body = super().create(request)
            match len(self.drafts) % 3:
                case 0:
                    return json_response({"error": "database is full"}, 500)
                case 1:
                    return status, {}, body
            return status, headers, body

        def publish(self, name: str, request: Request) -> Response:
            return json_response({"error": f"{name} is locked"}, 409)

    server = Failing()
    outcome = run_with(tmp_path, server, "2", "6", "1")
    codes = outcome.report["codes"]
    assert (codes["unsent"], codes["rejected"], codes["sent"]) == (4, 2, 2)
    assert {each[1]: count for each, count in outcome.causes.items()} == {
        "HTTP 500 (POST /drafts)": 2,
        "no id in the answer (POST /drafts)": 2,
        "HTTP 409": 2,
    }
    said = {each["cause"]: each["said"] for each in outcome.report["errors"]["causes"]}
    assert said["HTTP 500 (POST /drafts)"] == '{"error": "database is full"}'
    # What an answer gave is secret.
    assert said["HTTP 409"] == '{"error": "*** is locked"}'
    assert outcome.report["deliveries"]["owed"] == 0


def test_check_shows_each_request(tmp_path: Path) -> None:
    server = DraftServer()
    outcome = run_with(tmp_path, server, "check", "--payload-bytes", "600")
    assert outcome.status == 0, outcome.stdout
    way = "POST /drafts, then GET /drafts/{id}, then POST /drafts/{id}/publish"
    assert f"codes in by {way}, as" in outcome.stdout
    lines = [line.split(maxsplit=3)[-1] for line in outcome.stdout.splitlines() if " send " in line]
    assert [line.partition(" ")[0] for line in lines[:3]] == ["POST", "GET", "POST"]
    assert "/drafts: HTTP 201" in lines[0]
    assert '/drafts/***: HTTP 200 {"etag": "***"}' in lines[1]
    assert "/drafts/***/publish: HTTP 200" in lines[2]
    assert [len(server.drafts[each]) for each in server.published_ids] == [600, 600, 600]


@pytest.mark.dear
def test_a_login_that_expires_between_two_requests_begins_the_code_anew(tmp_path: Path) -> None:
    class Expiring(DraftServer):
        tokens_used: list[str] = []  # noqa: RUF012 - one server only

        def publish(self, name: str, request: Request) -> Response:
            if request.bearer not in self.tokens:
                return json_response({"error": "token expired"}, 401)
            response = super().publish(name, request)
            if len(self.published_ids) == 3:
                self._users.clear()
            return response

    login = PROFILE.replace(
        "[connect]",
        '[[before]]\nmethod = "POST"\npath = "/login"\nbody = { "name" = "{username}" }\n'
        'capture = { "token" = { field = "access_token" } }\n[connect]',
    ).replace(
        'query = { "etag" = "{etag}" }\n',
        'query = { "etag" = "{etag}" }\nheaders = { "Authorization" = "Bearer {token}" }\n',
    )
    server = Expiring()
    outcome = run_with(tmp_path, server, "2", "5", "1", profile=login)
    codes = outcome.report["codes"]
    assert (codes["accepted"], codes["sent"]) == (5, 5)
    assert outcome.report["deliveries"]["delivered"] == 10
    # The fourth code has two drafts, of which the second is published.
    assert len(server.drafts) == 6
    assert server.published_ids == [each for each in sorted(server.drafts) if each != "draft-0004"]
    code = json.loads(server.drafts["draft-0004"])["code"].rsplit("-", 1)[0]
    assert json.loads(server.drafts["draft-0005"])["code"].startswith(code)


@pytest.mark.dear
@pytest.mark.parametrize("place", ["query", "path", "headers"])
def test_a_code_outside_the_body_has_the_time_of_its_sending(tmp_path: Path, place: str) -> None:
    server = LoginServer()

    def route(request: Request) -> Response | None:
        if request.path == "/open":
            return server.accept("somebody")
        if not request.path.startswith("/in"):
            return None
        given = {
            "query": request.query.get("code", ""),
            "path": request.path.rpartition("/")[2],
            "headers": request.headers.get("x-code", ""),
        }
        server.broadcast(json.dumps({"code": given[place]}).encode())
        return json_response({})

    server.route = route
    where = {
        "query": 'path = "/in"\nquery = { "code" = "{code}" }',
        "path": 'path = "/in/{code}"',
        "headers": 'path = "/in"\nheaders = { "X-Code" = "{code}" }',
    }
    ingest = f'[ingest]\nmethod = "POST"\n{where[place]}\n'
    outcome = run_with(
        tmp_path, server, "2", "4", "1", profile=PROFILE.split("[[ingest")[0] + ingest
    )
    deliveries = outcome.report["deliveries"]
    assert outcome.report["codes"]["accepted"] == outcome.report["codes"]["sent"] == 4
    assert (deliveries["owed"], deliveries["delivered"]) == (8, 8)
    assert outcome.grade == "good"
