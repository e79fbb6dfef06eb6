"""Names in a profile: filled everywhere, or refused before anything connects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.targets.template import fill_json, names_in
from sseload_users.transports import ParsedMessage
from sseload_users.transports.http_request import HttpResponse
from tests.support.replies import confirms, replies

HOST = "http://127.0.0.1:8000"
ALICE = Identity("alice")

PROFILE = """\
transport = "{transport}"
[connect]
path = "/ws"
{connect}
[code]
field = "code"
{code}
[ingest]
method = "POST"
path = "/in"
body = {{ "code" = "{{code}}" }}
{more}
"""

BEFORE = '[[before]]\npath = "/page"\ncapture = { "token" = { field = "token" } }\n'

Make = Callable[..., Target]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(
        connect: str = "",
        more: str = "",
        *,
        code: str = "",
        transport: str = "websocket",
        headers: tuple[tuple[str, str], ...] = (),
        ingest_headers: tuple[tuple[str, str], ...] = (),
        values: Mapping[str, str] | None = None,
        **further: str,
    ) -> Target:
        path = tmp_path / "mine.toml"
        text = PROFILE.format(transport=transport, connect=connect, code=code, more=more)
        path.write_text(text, "utf-8")
        return Target(
            target.load(str(path)),
            HOST,
            headers=headers,
            ingest_headers=ingest_headers,
            values={**(values or {}), **further},
        )

    return make


def refused(found: Callable[[], Target], *people: Identity) -> str:
    """Return the error of a refused profile, without its path."""
    with pytest.raises(ConfigError) as raised:
        found().check(people or [ALICE])
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence.partition("mine.toml: ")[2] or sentence


def test_a_name_is_filled_in_every_table(make: Make) -> None:
    found = make(
        'query = { "{topic}" = "{key}" }\nheaders = { "X-Key" = "{key}" }\n'
        'send = [["{key}", { "{topic}" = 1 }], "{key}"]\nsubprotocols = ["bearer.{key}"]',
        '[[reply]]\ntext = "{topic}?"\nsend = "{key}"\n'
        '[[upkeep]]\nevery = 1\nsend = "{key}"\n'
        '[health]\npath = "/{key}"\n[verify]\npath = "/{topic}?{key}"\n',
        headers=(("X-Other", "{key}"),),
        key="a b",
        topic="t",
    )
    found.check([ALICE])
    endpoint = found.endpoint(ALICE)
    assert endpoint.url == "ws://127.0.0.1:8000/ws?t=a%20b"
    assert endpoint.headers == (("X-Key", "a b"), ("X-Other", "a b"))
    assert endpoint.hello == ('["a b",{"t":1}]', "a b")
    assert endpoint.subprotocols == ("bearer.a%20b",)
    assert (replies(endpoint, b"t?"), replies(endpoint, b"{topic}?")) == (["a b"], [])
    assert found.upkeep(ALICE, {})[0].message == "a b"
    health, verify = found.health(ALICE), found.verify(ALICE)
    assert health is not None
    assert verify is not None
    assert (health.url, verify.url) == (f"{HOST}/a%20b", f"{HOST}/t?a%20b")
    assert dict(found.ingest("C", ALICE).headers)["X-Other"] == "a b"


def test_namespaces_and_socketio_messages_are_filled_per_user(make: Make) -> None:
    found = make(
        'namespace = "/room-{room}"\nauth = { "{room}" = ["{room}"] }\nsend = [["join", "{room}"]]',
        transport="socketio",
    )
    found.check([Identity("bob", {"room": "7"})])
    endpoint = found.endpoint(Identity("bob", {"room": "7"}))
    assert endpoint.namespace == "/room-7"
    assert endpoint.auth == {"7": ["7"]}
    assert endpoint.hello == ('42/room-7,["join","7"]',)
    # A value does not end its namespace.
    endpoint = found.endpoint(Identity("bob", {"room": "a,b?c d/é"}))
    assert endpoint.namespace == "/room-a%2Cb%3Fc d/é"
    assert str(endpoint.hello[0]).startswith('42/room-a%2Cb%3Fc d/é,["join",')


def test_conditions_are_filled_per_connection(make: Make) -> None:
    found = make(
        'send = [{ "id" = "{nonce}", "room" = "{room}" }]',
        '[confirm]\nfields = { "id" = "{nonce}", "room" = "{room}" }\n'
        'capture = { "sid" = { field = "sid" } }\n'
        '[[refuse]]\ntext = \'{"no": "{room}"}\'\n',
    )
    rooms = [Identity("a", {"room": "7"}), Identity("b", {"room": 'x"y'})]
    found.check(rooms)
    for each in rooms:
        captured: dict[str, str] = {}
        endpoint = found.endpoint(each, on_captured=captured.update)
        sent = json.loads(endpoint.hello[0])
        assert sent["room"] == each.fields["room"]
        for other in ({**sent, "room": "8"}, {**sent, "id": "{nonce}"}, {"room": "{room}"}):
            assert not confirms(endpoint, json.dumps({**other, "sid": "no"}).encode())
        assert captured == {}
        assert confirms(endpoint, json.dumps({**sent, "sid": "yes"}).encode())
        assert captured == {"sid": "yes"}
    refuse = found.endpoint(rooms[0]).refuse
    assert refuse is not None
    assert refuse(b'{"no": "7"}') == "refused"
    assert refuse(b'{"no": "8"}') is None


def test_code_conditions_use_only_shared_values(make: Make) -> None:
    code = 'fields = { "room" = "{room}" }'
    for found in (make(code=code, room="7"), make(code=code, more='[values]\nroom = "7"\n')):
        found.check([ALICE])
        assert found.reader.codes_in(ParsedMessage("", '{"code":"C","room":"7"}')) == ["C"]
        assert found.reader.codes_in(ParsedMessage("", '{"code":"C","room":"8"}')) == []
    said = (
        "code.fields needs {room}, but [code] is the same for all connections: "
        "set it with --value room=TEXT or in the profile's [values], not per user."
    )
    in_room = Identity("bob", {"room": "7"})
    assert refused(lambda: make(code=code)) == said
    assert refused(lambda: make(code=code), in_room) == said
    assert refused(lambda: make(code=code, room="8"), ALICE, in_room) == said
    said = said.replace("room", "username")
    assert refused(lambda: make(code='fields = { "to" = "{username}" }')) == said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "[confirm]\nregex = '^joined {room}$'\n",
            (
                "confirm.regex has {room}, but names are not replaced there; use text or fields, "
                r"or write \{room\} for literal braces."
            ),
        ),
        (
            '[verify]\npath = "/"\nexpect = { fields = { "name" = "{username}" } }\n',
            (
                "verify.expect.fields has {username}, but names are not replaced there; write the "
                "text itself."
            ),
        ),
        (
            '[confirm]\nany = true\n[[refuse]]\ntext = "no"\ncause = "no {room}"\n',
            "refuse[0].cause has {room}, but names are not replaced there; write the text itself.",
        ),
        (
            '[confirm]\nfields = { "rooms.{room}" = 1 }\n',
            "confirm.fields has {room}, but names are not replaced there; write the text itself.",
        ),
        (
            '[confirm]\nhas = ["{room}"]\n',
            "confirm.has[0] has {room}, but names are not replaced there; write the text itself.",
        ),
        (
            '[[before]]\npath = "/"\ncapture = { "a" = { regex = "{room}=(.)" } }\n',
            (
                "before[0].capture.a.regex has {room}, but names are not replaced there; use text "
                r"or fields, or write \{room\} for literal braces."
            ),
        ),
    ],
)
def test_names_in_literal_texts_are_refused(make: Make, more: str, said: str) -> None:
    assert refused(lambda: make(more=more, room="7")) == said


def test_regular_expressions_can_contain_literal_braces(make: Make) -> None:
    found = make(more="[confirm]\nregex = '^\\{room\\}x{2}$'\n")
    assert confirms(found.endpoint(ALICE), b"{room}xx")


@pytest.mark.parametrize(
    ("key", "more", "headers"),
    [
        ("health.query", '[health]\npath = "/"\nquery = { "t" = "{token}" }\n', ()),
        ("verify.headers", '[verify]\npath = "/"\nheaders = { "t" = "{token}" }\n', ()),
        ("--header", "", (("Cookie", "{token}"),)),
        ("before[0].path", '[[before]]\npath = "/{token}"\n', ()),
    ],
)
def test_a_value_captured_later_is_refused(
    make: Make, key: str, more: str, headers: tuple[tuple[str, str], ...]
) -> None:
    text = more + BEFORE
    said = refused(lambda: make(more=text, headers=headers))
    assert said == (
        f"{key} needs {{token}}, which the server has not given yet at that point: remove "
        "it, or set it with --value token=TEXT."
    )
    make(more=text, headers=headers, token="t").check([ALICE])


def test_the_publisher_logs_in_where_codes_need_what_a_login_gives(make: Make) -> None:
    body = 'headers = { "Authorization" = "Bearer {token}" }\n' + BEFORE
    for found in (make(more=body), make(more=BEFORE, ingest_headers=(("X-Token", "{token}"),))):
        found.check([ALICE])
        assert found.ingest_needs_login()
        assert "abc" in str(found.ingest("C", ALICE, {"token": "abc"}).headers)
    assert not make(more=BEFORE).ingest_needs_login()
    confirmed = '[confirm]\nany = true\ncapture = { "id" = { field = "id" } }\n'
    assert refused(lambda: make(more='headers = { "X" = "{id}" }\n' + confirmed)).startswith(
        "ingest.headers needs {id}, which the server"
    )


def test_values_that_requests_for_a_code_give_are_for_the_following_ones(make: Make) -> None:
    draft = (
        '[[ingest.before]]\nmethod = "POST"\npath = "/drafts{0}"\nbody = "{{code}}"\n'
        'capture = {{ "id" = {{ field = "id" }} }}\n'
    )
    upkeep = '[[upkeep]]\nevery = 1\nsend = "{id}"\n'
    sign = (
        '[ingest.sign]\nscheme = "hmac"\nsecret = "s"\nover = "{id}"\n'
        'headers = { "X" = "{signature}" }\n'
    )
    for more, key in (
        (draft.format("/{id}"), "ingest.before[0].path"),
        (draft.format("") + sign, "ingest.sign.over"),
        (draft.format("") + upkeep, "upkeep[0].send"),
    ):
        assert refused(lambda more=more: make(more=more)).startswith(  # type: ignore[misc]
            f"{key} needs {{id}}, which the server has not given yet at that point"
        )
    found = make(more='headers = { "X-Id" = "{id}" }\n' + draft.format("") + draft.format("/{id}"))
    found.check([ALICE])
    answer = HttpResponse(200, b'{"id":"d-17"}')
    assert found.answers.ingest_answer(0, answer) == (None, {"id": "d-17"})
    assert found.answers.ingest_answer(1, HttpResponse(200, b"{}")) == ("no id in the answer", {})
    assert found.answers.ingest_answer(2, HttpResponse(409, b"{}")) == ("HTTP 409", {})
    urls = [found.ingest("C", ALICE, {"id": "d 17"}, step=step).url for step in (0, 1, 2)]
    assert urls == [f"{HOST}/drafts", f"{HOST}/drafts/d%2017", f"{HOST}/in"]
    assert dict(found.ingest("C", ALICE, {"id": "d-17"}).headers)["X-Id"] == "d-17"
    assert [found.ingest_has_code(step) for step in (0, 1, 2)] == [True, True, True]
    assert refused(lambda: make(more=draft.format(""), id="7")).endswith(
        "captures id from the server's answers; remove it."
    )


def test_values_of_the_confirmation_are_only_for_upkeep(make: Make) -> None:
    confirm = '[confirm]\nany = true\ncapture = { "id" = { field = "id" } }\n'
    make(more=confirm + '[[upkeep]]\nevery = 1\nsend = "{id}"\n').check([ALICE])
    reply = confirm + '[[reply]]\ntext = "ping"\nsend = "pong {id}"\n'
    assert refused(lambda: make(more=reply)).startswith(
        "reply[0].send needs {id}, which the server"
    )
    assert refused(lambda: make('send = ["{id}"]', confirm)).startswith(
        "connect.send[0] needs {id}"
    )


def test_code_is_available_only_where_it_is_sent(make: Make) -> None:
    make(ingest_headers=(("X-Code", "{code}"),)).check([ALICE])
    said = refused(lambda: make(headers=(("X-Code", "{code}"),)))
    assert said == "--header needs {code}, which is only available where a code is sent; remove it."


def test_a_missing_value_is_reported_with_all_ways_to_set_it(make: Make) -> None:
    body = 'query = { "t" = "{ingest_token}" }\n'
    assert refused(lambda: make(more=body)) == (
        "ingest.query needs {ingest_token}; set it with --value ingest_token=TEXT, in a column "
        "ingest_token of a users file, or in the profile's [values]."
    )
    with_token = Identity("bob", {"ingest_token": "t"})
    make(more=body).check([with_token])
    assert refused(lambda: make(more=body), ALICE, with_token).startswith("ingest.query needs")
    make(more=body, ingest_token="").check([ALICE])


def test_values_override_the_profile_but_not_the_users_file(make: Make) -> None:
    found = make('send = ["{room}"]', '[values]\nroom = "lobby"\n', room="7")
    found.check([ALICE])
    assert found.endpoint(ALICE).hello == ("7",)
    assert found.endpoint(Identity("bob", {"room": "8"})).hello == ("8",)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rom": "7"}, "mine.toml has no {rom}; it has: other, room."),
        ({"username": "7"}, "--value username: this name is built in; remove it."),
        ({"code": "7"}, "--value code: this name is built in; remove it."),
        ({"token": "7"}, "mine.toml captures token from the server's answers; remove it."),
    ],
)
def test_an_unused_value_is_refused(make: Make, values: dict[str, str], said: str) -> None:
    more = '[values]\nroom = "lobby"\n' + BEFORE
    connect = 'send = ["{room} {other} {token} {username}"]'
    assert refused(lambda: make(connect, more, values=values, other="o")).endswith(said)


def test_a_profile_without_names_accepts_no_values(make: Make) -> None:
    assert refused(lambda: make(token="7")).endswith("has no {token}; it has no values.")


def test_values_are_secret_whatever_their_names(make: Make) -> None:
    found = make('send = ["{room}"]', room="hunter2")
    assert found.redact("no hunter2 here", ALICE) == "no *** here"
    assert "hunter2" not in json.dumps(found.public())


def test_secret_texts_of_a_profile_are_redacted_everywhere(make: Make) -> None:
    found = make('send = [["auth", { "api_token" = "hunter2", "room" = "lobby" }]]')
    assert found.redact("hunter2 in lobby", ALICE) == "*** in lobby"


_TEXTS = st.text(max_size=8) | st.sampled_from(["{a}", "x{b}y", '{"{a}": "{b}"}'])
_KEYS = st.sampled_from(["k", "{a}"])


@given(st.recursive(_TEXTS, lambda of: st.lists(of, max_size=3) | st.dictionaries(_KEYS, of)))
def test_no_name_is_left_unfilled(value: object) -> None:
    values = dict.fromkeys(names_in(value), "v")
    assert [*names_in(fill_json(value, values))] == []
