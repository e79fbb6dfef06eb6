"""Profiles whose codes are handed in over a connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.targets import Publishing, Sender, Target
from sseload_users.targets.identities import Identity
from sseload_users.targets.messages import ReceivedMessage, matches
from sseload_users.targets.publishing import Refused
from tests.support.replies import confirms

ALICE = Identity("alice")
CODE = "LT-abc123-1-zzz"
TOKEN = "hunter2-hunter2"
SENDER = Sender(ALICE, {})

WHOLE = """\
transport = "{listeners}"
[values]
room = "lobby"
[[before]]
path = "/login"
capture = {{ "ticket" = {{ field = "ticket" }} }}
[connect]
path = "/ws?of=listeners"
[confirm]
fields = {{ "type" = "connected" }}
capture = {{ "id" = {{ field = "id" }} }}
[[upkeep]]
every = 30
send = "ping"
[code]
field = "code"
[ingest]
over = "connection"
"""
EVENT = 'send = ["code", { "code" = "{code}", "room" = "{room}" }]\nexpect = "ack"\n'
TEXT = 'send = { "code" = "{code}" }\nexpect = "none"\n'


def load(tmp_path: Path, more: str, listeners: str = "websocket") -> target.Profile:
    path = tmp_path / "mine.toml"
    text = WHOLE.format(listeners=listeners)
    if listeners == "sse":
        text = text.replace('send = "ping"', 'request = { "path" = "/pong" }')
    path.write_text(text + more, encoding="utf-8")
    return target.load(str(path))


def made(tmp_path: Path, more: str, listeners: str = "websocket", **options: object) -> Publishing:
    found = Target(load(tmp_path, more, listeners), "http://h", **options)  # type: ignore[arg-type]
    found.check([ALICE])
    publishing = Publishing.of(found)
    assert publishing is not None
    return publishing


def mistake(tmp_path: Path, more: str, listeners: str = "websocket") -> str:
    with pytest.raises(ConfigError) as raised:
        made(tmp_path, more, listeners)
    assert "\n" not in str(raised.value)
    return str(raised.value).partition("mine.toml: ")[2]


@pytest.mark.parametrize(
    ("more", "listeners", "said"),
    [
        ("", "websocket", "ingest.expect is missing."),
        ('expect = "none"', "websocket", (
            "ingest: missing message: give send, or send_hex or send_base64."
        )),
        (TEXT + 'send_hex = "00"', "websocket", (
            "ingest: give one of send, send_hex and send_base64."
        )),
        ('expect = "none"\nsend_hex = "0a 00"', "websocket", (
            "ingest: the message lacks {code}: use it where the server reads the code."
        )),
        ('expect = "none"\nsend_base64 = "ChY{code}"', "websocket", (
            "ingest.send_base64: 'ChY{code}' is not base64."
        )),
        ('expect = "none"\nsend_hex = "{code}"', "socketio", (
            "ingest.send_hex is only for websocket, not for socketio."
        )),
        (TEXT + 'method = "POST"', "websocket", (
            "ingest.method: unknown key; use one of: send, send_hex, send_base64, payload, lines, "
            "separator, concatenated, array, prefix, over, expect, connect, after, confirm, "
            "refuse, reply, upkeep."
        )),
        (TEXT.replace('"none"', '"maybe"'), "websocket", (
            "ingest.expect: must be 'ack', 'none' or a table that describes a message: "
            "{ 'fields' = { … } }."
        )),
        (TEXT.replace('"none"', '{ "feld" = 1 }'), "websocket", (
            "ingest.expect.feld: unknown key; use one of: any, event, fields, has, text, contains, "
            "regex."
        )),
        (TEXT, "sse", (
            "ingest.connect.transport is missing: listeners use sse, which cannot send; use "
            "'websocket' or 'socketio'."
        )),
        (TEXT + '[ingest.connect]\ntransport = "sse"\npath = "/"', "sse", (
            "ingest.connect.transport: Input should be 'websocket' or 'socketio', not 'sse'."
        )),
        (EVENT, "websocket", (
            "ingest.expect: only a Socket.IO event is acknowledged; send a list such as "
            "['code', { 'code' = '{code}' }], or expect a message or 'none'."
        )),
        (TEXT.replace("{code}", "code"), "websocket", (
            "ingest: the message lacks {code}: use it where the server reads the code."
        )),
        (TEXT + "payload = '{code}'", "websocket", (
            "ingest: the message lacks {payload}: use it where the payload stands."
        )),
        (TEXT.replace("{code}", "{payload}") + 'payload = "x"', "websocket", (
            "ingest: the payload lacks {code}: use it where the server reads the code."
        )),
        (TEXT.replace("{code}", "{payload}") + 'payload = "{code} {payload_bytes}"', "websocket", (
            "ingest: payload has {payload_bytes}, which is only available in the message."
        )),
        (TEXT + '[ingest.connect]\npath = "/{code}"', "websocket", (
            "ingest.connect.path has {code}, which is only available in ingest.send, ingest.expect "
            "and ingest.refuse."
        )),
        (TEXT + '[ingest.connect]\npath = "/"\nnamespace = "/x"', "websocket", (
            "ingest.connect.namespace is only for socketio, not for websocket."
        )),
        (TEXT + '[[ingest.refuse]]\nevent = "error"', "websocket", (
            "ingest.refuse.event is only for socketio and sse, not for websocket."
        )),
        (TEXT.replace("{code}", "{code} {nobody}"), "websocket", (
            "ingest.send needs {nobody}; set it with --value nobody=TEXT, in a column nobody of "
            "a users file, or in the profile's [values]."
        )),
        # of the listeners' confirmation, which is not the publisher's own
        (TEXT.replace("{code}", "{code} {id}") + '[ingest.connect]\npath = "/"', "websocket", (
            "ingest.send needs {id}, which the server has not given yet at that point: remove "
            "it, or set it with --value id=TEXT."
        )),
    ],
)  # fmt: skip
def test_an_error_is_one_sentence(tmp_path: Path, more: str, listeners: str, said: str) -> None:
    assert mistake(tmp_path, more, listeners) == said


OWN = '[ingest.connect]\npath = "/in"\n'
#: What the publisher's connection needs where listeners are in channels.
IN_CHANNELS = {
    "like a listener": (
        TEXT,
        (
            "connect.query needs {channel}, but the publisher, which connects in the same way, is "
            "in no channel: describe its connection in [ingest.connect], or set channel in the "
            "profile's [values]."
        ),
    ),
    "of its own": (TEXT + OWN, None),
    "of its own, with the channel": (
        TEXT + OWN + 'query = { "c" = "{channel}" }\n',
        (
            "ingest.connect.query needs {channel}, but the publisher's connection is in no "
            "channel; remove it."
        ),
    ),
    "where the channel is the code's": (TEXT.replace("{code}", "{code} {channel}") + OWN, None),
}


@pytest.mark.parametrize("case", IN_CHANNELS)
def test_a_publisher_is_in_no_channel(tmp_path: Path, case: str) -> None:
    more, said = IN_CHANNELS[case]
    path = tmp_path / "mine.toml"
    text = WHOLE.format(listeners="websocket") + more
    path.write_text(text.replace('of=listeners"', 'of=listeners"\nquery = { "c" = "{channel}" }'))
    found = Target(target.load(str(path)), "http://h")
    if said is None:
        found.check([ALICE], has_channels=True)
        return
    with pytest.raises(ConfigError) as raised:
        found.check([ALICE], has_channels=True)
    assert str(raised.value).partition("mine.toml: ")[2] == said
    path.write_text(path.read_text().replace("[values]\n", '[values]\nchannel = "all"\n'))
    Target(target.load(str(path)), "http://h").check([ALICE], has_channels=True)


@pytest.mark.parametrize("over", ['"udp"', "1"])
def test_an_unknown_value_of_over_is_reported(tmp_path: Path, over: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(WHOLE.format(listeners="websocket").replace('"connection"', over))
    said = r"ingest\.over must be 'http', 'connection' or 'listener'\.$"
    with pytest.raises(ConfigError, match=said):
        target.load(str(path))


def test_over_http_can_be_explicit(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = WHOLE.format(listeners="websocket").replace('"connection"', '"http"')
    path.write_text(text + 'path = "/in/{code}"\n')
    found = Target(target.load(str(path)), "http://h")
    assert Publishing.of(found) is None
    assert found.ingest("a/b", ALICE).url == "http://h/in/a%2Fb"


def test_without_its_own_connect_the_publisher_connects_like_a_listener(tmp_path: Path) -> None:
    line = made(tmp_path, TEXT).target
    assert line.profile.transport == "websocket"
    endpoint = line.endpoint(ALICE)
    assert endpoint.url == "ws://h/ws?of=listeners"
    assert confirms(endpoint, b'{"type":"connected"}')
    assert len(line.before(ALICE)) == 1
    assert [each.message for each in line.upkeep(ALICE, {})] == ["ping"]


def test_its_own_connect_inherits_nothing_from_listeners(tmp_path: Path) -> None:
    own = '[ingest.connect]\ntransport = "socketio"\npath = "/io"\nnamespace = "/in"\n'
    line = made(tmp_path, EVENT + own, "sse").target
    assert line.profile.transport == "socketio"
    endpoint = line.endpoint(ALICE)
    assert (endpoint.url, endpoint.namespace) == ("ws://h/io", "/in")
    assert endpoint.confirm is None
    assert line.before(ALICE) == ()
    assert line.upkeep(ALICE, {}) == ()


@pytest.mark.parametrize(
    ("more", "headers"),
    [
        ('[ingest.connect]\npath = "/"\nquery = { "ticket" = "{ticket}" }\n', ()),
        ('[ingest.connect]\npath = "/"\n', (("Authorization", "Bearer {ticket}"),)),
    ],
)
def test_before_requests_are_made_only_if_needed(
    tmp_path: Path, more: str, headers: tuple[tuple[str, str], ...]
) -> None:
    found = Target(load(tmp_path, TEXT + more), "http://h", ingest_headers=headers)
    publishing = Publishing.of(found)
    assert publishing is not None
    assert len(publishing.target.before(ALICE)) == 1


def test_ingest_headers_apply_to_the_connection(tmp_path: Path) -> None:
    line = made(
        tmp_path, TEXT, headers=(("X-A", "1"), ("X-B", "2")), ingest_headers=(("x-a", "3"),)
    ).target
    assert line.endpoint(ALICE).headers == (("X-B", "2"), ("x-a", "3"))


def test_an_event_requests_an_acknowledgement(tmp_path: Path) -> None:
    own = '[ingest.connect]\ntransport = "socketio"\npath = "/io"\n'
    asking = made(tmp_path, EVENT + own + 'namespace = "/in"\n')
    assert asking.frame(CODE, SENDER, 7) == f'42/in,7["code",{{"code":"{CODE}","room":"lobby"}}]'
    silent = made(tmp_path, EVENT.replace('"ack"', '"none"') + own)
    assert silent.frame('"', SENDER, 7) == '42["code",{"code":"\\"","room":"lobby"}]'


def test_an_answer_is_recognized_by_its_code(tmp_path: Path) -> None:
    more = TEXT.replace('"none"', '{ "fields" = { "of.id" = "{code}", "ok" = true } }')
    publishing = made(tmp_path, more + '[[ingest.refuse]]\nfields = { "no" = "{code}" }\n')
    assert publishing.expects == "message"
    assert json.loads(publishing.frame(CODE, SENDER, 1)) == {"code": CODE}
    about = publishing.answers_to(CODE, SENDER)
    assert about.expected is not None
    assert matches(about.expected, ReceivedMessage("", f'{{"of":{{"id":"{CODE}"}},"ok":true}}'))
    assert not matches(about.expected, ReceivedMessage("", '{"of":{"id":"another"},"ok":true}'))
    refused = ReceivedMessage("", f'{{"no":"{CODE}"}}')
    assert publishing.refused(about.refuses, refused, SENDER, [CODE]) == Refused("refused")
    assert publishing.refusal(refused, SENDER) is None


def test_refusals_contain_no_codes_and_no_secrets(tmp_path: Path) -> None:
    refuse = '[[ingest.refuse]]\nfields = { "type" = "error" }\nreason = "why"\n'
    publishing = made(tmp_path, TEXT + refuse)
    sender = Sender(ALICE, {"ticket": TOKEN})

    def refused(why: str) -> Refused | None:
        said = ReceivedMessage("", json.dumps({"type": "error", "why": why}))
        return publishing.refusal(said, sender, [CODE, "LT-abc123-2-zzz"])

    assert refused("Invalid token") == ("Invalid token", "Invalid token")
    assert refused(f"no ticket: {TOKEN}") == ("no ticket: ***", "no ticket: ***")
    assert refused(f"{CODE} is too long") == ("… is too long", f"{CODE} is too long")
    assert refused("") == ("refused", "")
    named = made(tmp_path, TEXT + refuse + 'cause = "spam"\n')
    said = ReceivedMessage("", '{"type":"error","why":"too many"}')
    assert named.refusal(said, SENDER) == ("spam: too many", "too many")
    assert named.refusal(ReceivedMessage("", '{"type":"notice","why":"x"}'), SENDER) is None


def test_the_description_of_publishing_contains_no_secret(tmp_path: Path) -> None:
    found = Target(load(tmp_path, TEXT), "http://h")
    assert found.public()["ingest"] == "WebSocket message at /ws"
    socket = Target(target.load("code-server-socket"), "http://h")
    assert socket.public()["ingest"] == "Socket.IO message at /socket.io/, namespace /ws/ingest"
    plain = Target(target.load("code-server"), "http://h")
    assert plain.public()["ingest"] == "POST /api/ingest"


def test_code_server_socket_matches_its_server() -> None:
    found = Target(target.load("code-server-socket"), "http://h", values={"ingest_token": TOKEN})
    found.check([ALICE])
    publishing = Publishing.of(found)
    assert publishing is not None
    endpoint = publishing.target.endpoint(ALICE)
    assert endpoint.url == "ws://h/socket.io/?username=alice"
    assert endpoint.namespace == "/ws/ingest"
    assert publishing.frame(CODE, SENDER, 7) == (
        f'42/ws/ingest,7["code",{{"code":"{CODE}","source":"load-test","type":"default",'
        f'"token":"{TOKEN}"}}]'
    )
    error = b'42/ws/ingest,["error",{"message":"Ingest token is required"}]'
    (said,) = publishing.target.reader.messages(error)
    words = "Ingest token is required"
    assert publishing.refusal(said, SENDER) == (words, words)
    assert endpoint.refuse is not None
    assert endpoint.refuse(error) == "refused: Ingest token is required"
    assert TOKEN not in publishing.target.redact(f"x {TOKEN}", ALICE)


def test_code_server_socket_requires_its_token() -> None:
    with pytest.raises(ConfigError, match=r"ingest\.send needs \{ingest_token\}; set it with"):
        Target(target.load("code-server-socket"), "http://h").check([ALICE])
