from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart import parse_form

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed, ParsedMessage
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from tests.support.ingest_answers import ingest_failure
from tests.support.replies import confirms, replies

HOST = "http://127.0.0.1:8000"
#: What profiles leave open, and nobody can know but who runs the server.
VALUES = {
    profile: {name: "hunter2-hunter2"}
    for name, profiles in {
        "ingest_token": ("code-server-socket", "code-server-sse"),
        "token": ("pusher-private", "pusher-presence"),
    }.items()
    for profile in profiles
}
VALUES["mercure"] = {"token": "hunter2-hunter2", "publisher_token": "hunter2-hunter2"}
ALICE = Identity("alice")


def made(tmp_path: Path, text: str, **headers: list[tuple[str, str]]) -> Target:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return Target(target.load(str(path)), HOST, headers=headers.get("headers", []))


def mine(
    tmp_path: Path, *, connect: str = "", code: str = 'field = "code"', more: str = ""
) -> Target:
    return made(
        tmp_path,
        f"""\
transport = "websocket"
[connect]
path = "/ws"
{connect}
[code]
{code}
[ingest]
method = "POST"
path = "/in"
body = {{ "code" = "{{code}}" }}
{more}
""",
    )


@pytest.mark.parametrize(
    ("host", "normalized", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws"),
        ("https://Example.org/", "https://example.org", "wss://example.org/ws"),
        ("ws://host:80", "http://host:80", "ws://host:80/ws"),
        ("wss://[::1]:9/base//", "https://[::1]:9/base", "wss://[::1]:9/base/ws"),
        (" http://host/a/b ", "http://host/a/b", "ws://host/a/b/ws"),
    ],
)
def test_a_host_is_normalized(host: str, normalized: str, url: str) -> None:
    found = Target(target.load("websocket"), host)
    assert found.host == normalized
    assert found.endpoint(ALICE).url == f"{url}?username=alice"
    assert found.ingest("C", ALICE).url == f"{normalized}/api/ingest"


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("foo", "Invalid host 'foo': use a URL such as http://127.0.0.1:8000."),
        ("", "Invalid host '': use a URL such as http://127.0.0.1:8000."),
        (
            "localhost:8000",
            "Invalid host 'localhost:8000': use a URL such as http://127.0.0.1:8000.",
        ),
        ("ftp://a", "Invalid host 'ftp://a': use a URL such as http://127.0.0.1:8000."),
        ("http://", "Invalid host 'http://': use a URL such as http://127.0.0.1:8000."),
        ("http://a:b", "Invalid host 'http://a:b': use a URL such as http://127.0.0.1:8000."),
        (
            "http://a:99999",
            "Invalid host 'http://a:99999': use a URL such as http://127.0.0.1:8000.",
        ),
        ("http://[::1", "Invalid host 'http://[::1': use a URL such as http://127.0.0.1:8000."),
        (
            "http://a/?b=c",
            "Invalid host 'a': the URL contains a query or fragment; put it into the profile.",
        ),
    ],
)
def test_an_invalid_host_is_reported(host: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Target(target.load("websocket"), host)
    assert str(raised.value) == said


def test_a_password_in_the_host_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="use a header") as raised:
        Target(target.load("websocket"), "http://bob:hunter2@host")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("header", [("a b", "c"), ("a", "b\r\nc: d"), ("", "x")])
def test_an_invalid_header_is_reported_without_its_value(header: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^Invalid header: .*; write 'Name: value'\.$") as raised:
        Target(target.load("websocket"), HOST, headers=[header])
    assert "c: d" not in str(raised.value)


def test_headers_replace_the_profiles_in_every_request() -> None:
    found = Target(
        target.load("centrifugo"),
        HOST,
        headers=[("Authorization", "Bearer {jwt}"), ("x-api-key", "k2"), ("Cookie", "a=1")],
        ingest_headers=[("X-API-KEY", "k3"), ("Cookie", "b=2"), ("Cookie", "c=3")],
    )
    bob = Identity("bob", {"jwt": "j.w.t"})
    authorization = ("Authorization", "Bearer j.w.t")
    assert found.endpoint(bob).headers == (authorization, ("x-api-key", "k2"), ("Cookie", "a=1"))
    assert found.ingest("C", bob).headers == (
        ("Content-Type", "application/json"),
        authorization,
        ("X-API-KEY", "k3"),
        ("Cookie", "b=2"),
        ("Cookie", "c=3"),
    )


def parts(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the fields of a multipart form as a server's parser reads them."""
    found: list[Any] = []
    ((_, kind),) = request.headers
    parse_form({"Content-Type": kind.encode()}, BytesIO(request.body), found.append, None)
    return [(each.field_name.decode(), (each.value or b"").decode()) for each in found]


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_user_or_code_breaks_a_request(username: str, code: str) -> None:
    found = Target(target.load("code-server"), HOST)
    identity = Identity(username)
    request = found.ingest(code, identity)
    assert json.loads(request.body) == {
        "username": username,
        "code": code,
        "source": "load-test",
    }
    endpoint = found.endpoint(identity)
    asked = parse_qs(urlsplit(endpoint.url).query, keep_blank_values=True)
    assert asked == {"username": [username.encode("utf-8", "replace").decode()]}


@given(st.text(max_size=20))
def test_bodies_are_escaped_for_their_type(
    tmp_path_factory: pytest.TempPathFactory, value: str
) -> None:
    value = value.encode("utf-8", "replace").decode()
    text = """\
transport = "websocket"
[connect]
path = "/ws"
[code]
whole = true
[ingest]
method = "POST"
path = "/{code}"
headers = { "content-type" = "application/x-www-form-urlencoded" }
body = "user={username}&code={code}"
"""
    folder = tmp_path_factory.mktemp("bodies")
    form = made(folder, text).ingest(value, Identity(value))
    assert parse_qs(form.body.decode("ascii"), keep_blank_values=True) == {
        "user": [value],
        "code": [value],
    }
    fields = """body = { "user" = "{username}", "code" = ["a", "{code}"], "n" = 1, \
"data" = '{"is": "{code}"}' }"""
    table = made(folder, text.replace('body = "user={username}&code={code}"', fields))
    form = table.ingest(value, Identity(value))
    found = parse_qs(form.body.decode("ascii"), keep_blank_values=True)
    assert json.loads(found.pop("data")[0]) == {"is": value}
    assert found == {"user": [value], "code": ["a", value], "n": ["1"]}
    multipart = made(
        folder,
        text.replace("application/x-www-form-urlencoded", "multipart/form-data").replace(
            'body = "user={username}&code={code}"', fields
        ),
    )
    read = parts(multipart.ingest(value, Identity(value)))
    assert json.loads(read.pop()[1]) == {"is": value}
    assert read == [("user", value), ("code", "a"), ("code", value), ("n", "1")]
    plain = made(folder, text.replace("application/x-www-form-urlencoded", "text/csv"))
    assert plain.ingest(value, Identity("u")).body.decode() == f"user=u&code={value}"


def test_a_body_that_is_json_text_has_its_content_type(tmp_path: Path) -> None:
    found = mine(tmp_path)
    text = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    text = text.replace('{ "code" = "{code}" }', """'{"list": ["{code}", null]}'""")
    assert made(tmp_path, text).ingest('"', ALICE).body == b'{"list":["\\"",null]}'
    assert found.ingest("C", ALICE).headers == (("Content-Type", "application/json"),)


def test_a_complete_url_replaces_the_host(tmp_path: Path) -> None:
    text = (tmp_path / "mine.toml", mine(tmp_path))[0].read_text(encoding="utf-8")
    text = text.replace('path = "/in"', 'path = "http://api:1/in?a=b"\nquery = { "c" = "{code}" }')
    assert made(tmp_path, text).ingest("x&y", ALICE).url == "http://api:1/in?a=b&c=x%26y"


def test_a_users_column_overrides_the_profiles_value(tmp_path: Path) -> None:
    found = mine(
        tmp_path,
        connect='send = [{ "join" = "{room}" }]',
        more='[values]\nroom = "lobby"\n[[reply]]\ntext = "again"\nsend = "join {room}"\n',
    )
    assert found.endpoint(ALICE).hello == ('{"join":"lobby"}',)
    endpoint = found.endpoint(Identity("bob", {"room": "7"}))
    assert endpoint.hello == ('{"join":"7"}',)
    assert replies(endpoint, b"again") == ["join 7"]
    assert replies(endpoint, b"once") == []


def test_nonces_are_long_and_differ() -> None:
    found = Target(target.load("code-server-sse"), HOST)
    nonces = {
        parse_qs(urlsplit(found.before(ALICE)[0].request({}).url).query)["nonce"][0]
        for _ in range(10)
    }
    assert len(nonces) == 10
    assert all(len(nonce) >= 8 for nonce in nonces)


def test_a_missing_value_is_reported_before_connecting(tmp_path: Path) -> None:
    found = mine(tmp_path, connect='query = { "t" = "{token}" }')
    said = (
        f"target {tmp_path / 'mine.toml'}: connect.query needs {{token}}; set it with "
        "--value token=TEXT, in a column token of a users file, or in the profile's [values]."
    )
    with pytest.raises(ConfigError) as raised:
        found.check([ALICE])
    assert str(raised.value) == said
    with pytest.raises(ConfigError, match=r": connect needs \{token\}; set it with"):
        found.endpoint(ALICE)
    found.check([Identity("bob", {"token": "t"})])
    with pytest.raises(ConfigError, match=r"connect.query needs \{token\}"):
        found.check([Identity("bob", {"token": "t"}), ALICE])


def test_headers_are_checked_for_names_too() -> None:
    found = Target(target.load("nchan"), HOST, headers=[("Authorization", "Bearer {jwt}")])
    with pytest.raises(ConfigError, match=r"--header needs \{jwt\}"):
        found.check([ALICE])


@pytest.mark.parametrize("name", target.names())
def test_built_in_profiles_need_no_users_file(name: str) -> None:
    Target(target.load(name), HOST, values=VALUES.get(name, {})).check([ALICE])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ('{"code":"C-1"}', "C-1"),
        ('{"code":12}', "12"),
        ('{"code":null}', None),
        ('{"code":true}', None),
        ('{"code":{"code":"C-1"}}', None),
        ("[]", None),
        ("ping", None),
        ("", None),
        ("12", None),
    ],
)
def test_a_code_is_found_or_not(tmp_path: Path, data: str, code: str | None) -> None:
    expected = [] if code is None else [code]
    assert mine(tmp_path).reader.codes_in(ParsedMessage("", data)) == expected


@pytest.mark.parametrize("data", ['{"type":"new_code","code":', "[1", ' {"a"}', "[" * 100_000])
def test_broken_json_is_malformed(tmp_path: Path, data: str) -> None:
    causes: list[str] = []
    assert mine(tmp_path).reader.codes_in(ParsedMessage("", data), causes.append) == []
    assert causes == ["bad JSON"]


def test_bytes_are_malformed_only_if_json_is_expected(tmp_path: Path) -> None:
    causes: list[str] = []
    data = ParsedMessage("", b"\xff")
    assert mine(tmp_path).reader.codes_in(data, causes.append) == []
    assert causes == ["not UTF-8"]
    assert mine(tmp_path, code="whole = true").reader.codes_in(data, causes.append) == []
    assert causes == ["not UTF-8"]


def test_conditions_select_the_messages_with_codes(tmp_path: Path) -> None:
    found = mine(tmp_path, code='field = "v"\nfields = { "kind" = "code", "n[0]" = 1 }')
    assert found.reader.codes_in(ParsedMessage("", '{"kind":"code","n":[1],"v":"C"}')) == ["C"]
    assert found.reader.codes_in(ParsedMessage("", '{"kind":"code","n":[true],"v":"C"}')) == []
    assert found.reader.codes_in(ParsedMessage("", '{"kind":"echo","n":[1],"v":"C"}')) == []


def test_any_true_is_confirmed_by_any_message(tmp_path: Path) -> None:
    found = mine(tmp_path, more="[confirm]\nany = true\n")
    assert confirms(found.endpoint(ALICE), b"hello")
    assert confirms(found.endpoint(ALICE), b"{}")


def test_all_conditions_of_a_message_must_hold(tmp_path: Path) -> None:
    endpoint = mine(
        tmp_path,
        more='[confirm]\nregex = \'^."ok\'\nfields = { "ok" = true }\nhas = ["id"]\n',
    ).endpoint(ALICE)
    assert not confirms(endpoint, b'{"ok":true}')
    assert not confirms(endpoint, b'{"ok":1,"id":1}')
    assert not confirms(endpoint, b'{"id":1,"ok":true}')
    assert not confirms(endpoint, b'{"ok":true,"id"')
    assert not confirms(endpoint, b"\xff")
    assert confirms(endpoint, b'{"ok":true,"id":null}')


def test_a_refusals_cause_is_countable(tmp_path: Path) -> None:
    refuse = (
        mine(
            tmp_path,
            more='[confirm]\ntext = "ok"\n[[refuse]]\nhas = ["error"]\nreason = "error"\n'
            "[[refuse]]\nregex = '^NO (.*)'\ncause = \"turned away\"\n",
        )
        .endpoint(ALICE)
        .refuse
    )
    assert refuse is not None
    assert refuse(b"ok") is None
    assert refuse(b'{"error":"Unknown user"}') == "refused: Unknown user"
    assert refuse(b'{"error":"request 4f3a-99b0c1d2 of user 10234 failed"}') == (
        "refused: request … of user … failed"
    )
    assert refuse(b'{"error":{"code":1}}') == "refused"
    assert refuse(b'{"error":" "}') == "refused"
    assert refuse(b"NO room") == "turned away: room"
    assert refuse(b'{"error":"a\\u001b[31mb\\nc"}') == "refused: a\ufffd[31mb c"
    long = refuse(json.dumps({"error": "word " * 100}).encode())
    assert long is not None
    assert len(long) < 100


def test_secrets_are_redacted_whole_and_in_parts() -> None:
    found = Target(
        target.load("pusher"),
        HOST,
        headers=[
            ("Authorization", "Bearer abc.def=="),
            ("Cookie", "sid=s3cret; lang=en"),
            ("User-Agent", "sseload"),
            ("X-Thing", "custom"),
        ],
        ingest_headers=[("X-Key", "k/e/y")],
    )
    alice = Identity("alice", {"token": 'to "ken', "pin": "12"})

    def shown(text: str) -> str:
        return found.redact(text, alice, ["captured"])

    for secret in ("Bearer abc.def==", "abc.def==", "s3cret", "custom", "k/e/y", "k%2Fe%2Fy",
                   'to "ken', "to%20%22ken", 'to \\"ken', "app-key", "captured"):  # fmt: skip
        assert shown(f"no: {secret}!") == "no: ***!"
        assert shown(f"no: {secret.upper()}!") == "no: ***!"
        assert shown(f"no: {secret[:-1]}…") == "no: ***…"
    for open_to_all in ("alice", "sseload", "en", "12", "codes", ""):
        assert shown(f"no: {open_to_all}!") == f"no: {open_to_all}!"


def test_a_secret_that_ends_as_it_begins_is_redacted_whole() -> None:
    found = Target(target.load("code-server"), HOST)
    for text in ("no such key: hunter2-hunter2", "no such key: hunter2-hunt…"):
        shown = found.redact(text, ALICE, ["hunter2-hunter2"])
        assert shown.rstrip("…") == "no such key: ***"


@pytest.mark.parametrize("name", target.names())
def test_public_information_contains_no_secret(name: str) -> None:
    found = Target(target.load(name), HOST, headers=[("Authorization", "Bearer hunter2")])
    shown = json.dumps(found.public())
    assert found.redact(shown, ALICE) == shown
    identity = Identity("alice", {"token": "hunter3"})
    publishing = target.Publishing.of(found)
    goes_in = found.ingest("C", identity) if publishing is None else publishing
    captured = {"token": "hunter4", "connection": "hunter5"}
    shown = repr((found.endpoint(identity, captured), goes_in))
    assert "hunter" not in shown


def test_an_answer_is_accepted_by_status_and_content() -> None:
    found = Target(target.load("code-server"), HOST)
    assert ingest_failure(found, 200, b'{"status":"success"}') is None
    assert ingest_failure(found, 201, b'{"status":"success"}') is None
    assert ingest_failure(found, 410, b"") == "HTTP 410"
    assert ingest_failure(found, 302, b'{"status":"success"}') == "HTTP 302"
    assert (
        ingest_failure(found, 200, b'{"status":"queued"}')
        == 'HTTP 200, but status is not "success"'
    )
    assert ingest_failure(found, 200, b"<html>") == "HTTP 200 without JSON"
    assert ingest_failure(found, 200, b"\xff") == "HTTP 200 without JSON"


def test_expected_statuses_can_be_listed(tmp_path: Path) -> None:
    found = mine(tmp_path, more="expect = { status = [202, 409] }\n")
    assert ingest_failure(found, 409, b"") is None
    assert ingest_failure(found, 200, b"") == "HTTP 200"


def test_a_failed_before_request_reveals_no_secret() -> None:
    step = Target(target.load("code-server-sse"), HOST).before(ALICE)[0]
    with pytest.raises(ConnectFailed) as raised:
        step.read(HttpResponse(403, b'{"error":"Unknown username"}'))
    assert (raised.value.operation, raised.value.cause) == ("before", "HTTP 403")
    assert raised.value.detail == '{"error":"Unknown username"}'
    with pytest.raises(ConnectFailed) as raised:
        step.read(HttpResponse(200, b"<html>hunter2</html>"))
    assert str(raised.value) == "before: no token in the answer"


def test_before_requests_use_previously_captured_values(tmp_path: Path) -> None:
    found = mine(
        tmp_path,
        connect='query = { "t" = "{ticket}" }',
        more="""\
[[before]]
method = "POST"
path = "/login"
body = { "user" = "{username}" }
capture = { "session" = { field = "data.session" } }
[[before]]
path = "/ticket"
headers = { "X-Session" = "{session}" }
capture = { "ticket" = { regex = "ticket (.*) for" } }
""",
    )
    found.check([ALICE])
    login, ticket = found.before(ALICE)
    got = login.read(HttpResponse(200, b'{"data":{"session":77}}'))
    assert got == {"session": "77"}
    request = ticket.request(got)
    assert dict(request.headers) == {"X-Session": "77"}
    got |= ticket.read(HttpResponse(200, b"your ticket a b for today"))
    assert found.endpoint(ALICE, got).url.endswith("/ws?t=a%20b")


def test_upkeep_without_a_captured_value_fails_the_connection() -> None:
    found = Target(target.load("code-server-sse"), HOST)
    with pytest.raises(ConnectFailed) as raised:
        found.upkeep(ALICE, {"token": "t"})
    assert str(raised.value) == "subscribe: the server gave no connection_id"


def test_a_target_without_health_has_no_request_for_it() -> None:
    found = Target(target.load("nchan"), HOST)
    assert found.health(ALICE) is None
    assert found.answers.is_healthy(500, b"")


def test_verify_refuse_recognizes_a_no(tmp_path: Path) -> None:
    def knows(refuse: str, status: int, body: bytes) -> bool | None:
        verify = '[verify]\npath = "/knows"\nexpect = { fields = { "known" = true } }\n'
        return mine(tmp_path, more=verify + refuse).answers.knows_user(status, body)

    assert knows("", 200, b'{"known":true}') is True
    assert knows("", 404, b'{"known":false}') is None
    assert mine(tmp_path).answers.knows_user(404, b"") is None
    field = 'refuse = { fields = { "known" = false } }'
    assert knows(field, 404, b'{"known":false}') is False
    assert knows(field, 200, b'{"known":false}') is False
    assert knows(field, 404, b"<h1>Not Found</h1>") is None
    assert knows(field, 404, b"{}") is None
    both = 'refuse = { status = [404], regex = "no such (user|name)", has = ["error"] }'
    assert knows(both, 404, b'{"error":"no such user"}') is False
    assert knows(both, 400, b'{"error":"no such user"}') is None
    assert knows(both, 404, b'{"error":"no such page"}') is None
    assert knows(both, 404, b"no such user") is None


def test_advice_is_selected_by_status_or_server_text(tmp_path: Path) -> None:
    found = mine(
        tmp_path,
        more="""
[[advice]]
step = "ingest"
status = [410, 404]
hint = "gone"
[[advice]]
step = "ingest"
regex = "(?i)too many"
hint = "slower"
[[advice]]
step = "handshake"
status = [400]
regex = "version"
hint = "older"
""",
    )
    assert found.profile.advice("ingest", "HTTP 410") == "gone"
    assert found.profile.advice("ingest", "HTTP 404", "too many") == "gone"
    assert found.profile.advice("ingest", "HTTP 400", "Too many codes") == "slower"
    assert found.profile.advice("handshake", "HTTP 410") == ""
    assert found.profile.advice("handshake", "HTTP 400", "bad version") == "older"
    assert found.profile.advice("handshake", "HTTP 400", "bad origin") == ""
    assert found.profile.advice("handshake", "HTTP 4000", "bad version") == ""
    assert found.profile.advice("ingest", "no answer in time") == ""


def test_an_event_stream_can_be_requested_by_post_with_a_body(tmp_path: Path) -> None:
    profile = """\
transport = "sse"
[connect]
method = "POST"
path = "/subscribe"
headers = { "X-User" = "{username}" }
body = { "topics" = ["codes"], "user" = "{username}" }
[code]
field = "code"
[ingest]
method = "POST"
path = "/in"
body = "{code}"
"""
    endpoint = made(tmp_path, profile).endpoint(Identity('a"b'))
    assert (endpoint.method, endpoint.url) == ("POST", f"{HOST}/subscribe")
    assert json.loads(endpoint.body) == {"topics": ["codes"], "user": 'a"b'}
    assert dict(endpoint.headers)["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("connect", "alike"),
    [
        ('headers = { "Origin" = "{origin}" }', True),
        ('send = ["hello"]', True),
        ('query = { "user" = "{username}" }', False),
        ('headers = { "X-Nonce" = "{nonce}" }', False),
        ('send = [{ "join" = "{room}" }]', False),
    ],
)
def test_connections_share_an_endpoint_only_if_nothing_in_it_differs(
    tmp_path: Path, connect: str, *, alike: bool
) -> None:
    found = mine(tmp_path, connect=connect)
    rooms = [Identity(name, fields={"room": name}) for name in ("alice", "bob")]
    one, two = (found.endpoint(each) for each in rooms)
    assert (one == two) is alike
    assert found.endpoint(rooms[0], last_event_id="7").last_event_id == "7"
    assert found.endpoint(rooms[0]).last_event_id == ""


def test_connections_of_a_user_share_an_endpoint_unless_a_value_was_captured(
    tmp_path: Path,
) -> None:
    found = mine(tmp_path, connect='query = { "user" = "{username}" }')
    assert found.endpoint(ALICE) is found.endpoint(ALICE)
    captured = mine(tmp_path, connect='query = { "room" = "{room}" }')
    urls = [captured.endpoint(ALICE, {"room": each}).url for each in ("a", "b")]
    assert [urlsplit(each).query for each in urls] == ["room=a", "room=b"]
    nonces = mine(tmp_path, connect='query = { "nonce" = "{nonce}" }')
    assert nonces.endpoint(ALICE).url != nonces.endpoint(ALICE).url


def test_what_ends_a_session_can_depend_on_its_user(tmp_path: Path) -> None:
    more = '[[end]]\nfields = { "kicked" = "{username}" }\n'
    found = mine(tmp_path, more=more)
    ends = found.endpoint(ALICE).end
    assert ends is not None
    assert ends(b'{"kicked":"alice"}') is not None
    assert ends(b'{"kicked":"bob"}') is None
