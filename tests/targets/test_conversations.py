"""Conversations: what a connection says in response to messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import Closed, ConnectFailed, ParsedMessage
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.http_request import HttpRequest, HttpResponse

ALICE = Identity("alice", {"room": "7"})

SIGNED = """
[[after]]
fields = { "event" = "established" }
capture = { "socket" = { field = "data.id" } }
send = { "subscribe" = "{room}", "auth" = "{auth}" }
[after.request]
method = "POST"
path = "/auth"
body = { "socket" = "{socket}" }
capture = { "auth" = { field = "auth" } }
"""
ESTABLISHED = b'{"event":"established","data":"{\\"id\\":\\"s-1\\"}"}'


LATE = '[[after]]\nany = true\ncapture = { "late" = { regex = "x" } }'


class Errands:
    """Answers requests at once, and does in the background what it is told to, later."""

    def __init__(self, status: int = 200, body: str = '{"auth":"key:\\"1"}') -> None:
        self.answer = HttpResponse(status, body.encode())
        self.room = 2
        self.requests: list[HttpRequest] = []
        self.waiting: list[Callable[[], None]] = []
        self.counted: list[tuple[str | None, ...]] = []

    def fetch(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return self.answer

    def in_background(self, errand: Callable[[], None]) -> bool:
        self.waiting.append(errand)
        return len(self.waiting) <= self.room

    def on_reply(self, cause: str | None, server_text: str, captured: Collection[str]) -> None:
        self.counted.append((cause, server_text, *captured))


class Talk:
    """A connection's endpoint, with what it sends and captures."""

    def __init__(self, found: Target, errands: Errands | None = None) -> None:
        found.check([ALICE])
        self.captured: dict[str, str] = {}
        self.sent: list[str | bytes] = []
        self.endpoint: Endpoint = found.endpoint(
            ALICE, self.captured, on_captured=self.captured.update, errands=errands
        )

    def subscribe(self, *payloads: bytes) -> list[bool]:
        """Take payloads while it subscribes; return whether each completed that."""
        assert self.endpoint.confirm is not None
        return [self.endpoint.confirm(each, 1, self.sent.append) is not None for each in payloads]

    def hear(self, *payloads: bytes) -> None:
        """Take payloads that may require a reply."""
        assert self.endpoint.reply is not None
        for each in payloads:
            self.endpoint.reply(each, self.sent.append)


def made(folder: Path, more: str, transport: str = "websocket", connect: str = "") -> Target:
    path = folder / "mine.toml"
    path.write_text(
        f'transport = "{transport}"\n[connect]\npath = "/"\n{connect}\n'
        "[code]\nregex = 'LT-[0-9]'\n"
        f'[ingest]\nmethod = "POST"\npath = "/in"\nbody = "{{code}}"\n{more}\n',
        encoding="utf-8",
    )
    return Target(target.load(str(path)), "http://127.0.0.1:8000")


def test_a_step_makes_a_request_with_what_a_message_gave_and_sends_what_that_gave(
    tmp_path: Path,
) -> None:
    errands = Errands()
    talk = Talk(made(tmp_path, SIGNED), errands)
    assert talk.subscribe(b'{"event":"hello"}', ESTABLISHED) == [False, True]
    (request,) = errands.requests
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:8000/auth")
    assert json.loads(request.body) == {"socket": "s-1"}
    assert [*map(json.loads, talk.sent)] == [{"subscribe": "7", "auth": 'key:"1'}]
    assert talk.captured == {"socket": "s-1", "auth": 'key:"1'}


@pytest.mark.parametrize(
    ("message", "status", "body", "cause"),
    [
        (ESTABLISHED, 403, "no such channel", "HTTP 403"),
        (ESTABLISHED, 200, "{}", "no auth in the answer"),
        (b'{"event":"established"}', 200, "{}", "no socket in the message"),
    ],
)
def test_a_step_that_fails_fails_the_connection(
    tmp_path: Path, message: bytes, status: int, body: str, cause: str
) -> None:
    talk = Talk(made(tmp_path, SIGNED), Errands(status, body))
    with pytest.raises(ConnectFailed) as failed:
        talk.subscribe(message)
    assert (failed.value.operation, failed.value.cause) == ("subscribe", cause)
    assert failed.value.server_text == (body if status == 403 else "")
    assert talk.sent == []


def test_steps_are_taken_in_order_and_then_all_confirmations_are_awaited(tmp_path: Path) -> None:
    talk = Talk(
        made(
            tmp_path,
            '[[after]]\ntext = "one"\nsend = "1"\n'
            '[[after]]\ntext = "two"\ncapture = { "n" = { regex = "two" } }\n'
            '[[after]]\ntext = "{n}!"\nsend = "{n} 3"\n'
            '[[confirm]]\ntext = "room {room}"\ncapture = { "r" = { regex = "[0-9]" } }\n'
            '[[confirm]]\ntext = "ok"\n[[confirm]]\ntext = "ok"\n',
        )
    )
    early = [b"two", b"ok", b"one", b"one", b"two", b"two!", b"ok", b"ok"]
    assert talk.subscribe(*early, b"room 7") == [False] * len(early) + [True]
    assert talk.sent == ["1", "two 3"]
    assert talk.captured == {"n": "two", "r": "7"}


def test_steps_and_confirmations_may_come_in_one_payload(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    made(tmp_path, '[[after]]\ntext = "a"\nsend = "b"\n[[confirm]]\ntext = "c"\n')
    path.write_text(f"lines = true\n{path.read_text()}")
    talk = Talk(Target(target.load(str(path)), "http://127.0.0.1:8000"))
    assert talk.subscribe(b"a\nc\nx") == [True]
    assert talk.sent == ["b"]


def test_a_reply_repeats_what_its_message_gave(tmp_path: Path) -> None:
    more = (
        '[[reply]]\nfields = { "msg" = "ping" }\ncapture = { "id" = { field = "id" } }\n'
        'send = { "msg" = "pong", "id" = "{id}", "room" = "{room}" }\n'
    )
    errands = Errands()
    talk = Talk(made(tmp_path, more), errands)
    talk.hear(*[b'{"msg":"ping","id":"%d"}' % each for each in (1, 2, 1)], b'{"msg":"ping"}')
    assert [json.loads(each)["id"] for each in talk.sent] == ["1", "2", "1"]
    assert errands.counted == [("no id in the message", "")]
    assert talk.captured == {}


def test_a_reply_with_a_request_is_made_in_the_background_and_counted(tmp_path: Path) -> None:
    more = (
        '[[reply]]\ntext = "sign"\nsend = "signed {auth} {token}"\n[reply.request]\n'
        'path = "/sign"\ncapture = { "auth" = { regex = "[a-z]+" } }\n'
        '[[after]]\ntext = "in"\ncapture = { "token" = { regex = "in" } }\n'
    )
    errands = Errands(body='"abc"')
    talk = Talk(made(tmp_path, more), errands)
    assert talk.subscribe(b"in") == [True]
    talk.hear(b"sign", b"sign", b"sign")
    assert (talk.sent, errands.requests) == ([], [])
    assert errands.counted == [("too many requests at once", "")]
    errands.counted.clear()
    errands.waiting[0]()
    errands.answer = HttpResponse(500, b"down")
    errands.waiting[1]()
    assert talk.sent == ["signed abc in"]
    assert errands.counted == [(None, "", "abc"), ("HTTP 500", "down")]


def test_an_event_stream_subscribes_by_a_request(tmp_path: Path) -> None:
    more = SIGNED.replace('send = { "subscribe" = "{room}", "auth" = "{auth}" }\n', "")
    talk = Talk(made(tmp_path, more, "sse"), Errands())
    assert talk.subscribe(b"data: " + ESTABLISHED) == [True]
    assert talk.sent == []


def test_binary_messages_go_out_with_names_filled_in(tmp_path: Path) -> None:
    more = (
        '[[reply]]\nregex = "^\\\\xff"\ncapture = { "n" = { regex = "[0-9]$" } }\n'
        'send_hex = "00 {n} ff"\n[[reply]]\ntext = "b"\nsend_base64 = "AP8="\n'
        '[[upkeep]]\nevery = 1\nsend_hex = "c000"\n[[upkeep]]\nevery = 1\nping = true\n'
    )
    found = made(tmp_path, more, connect='send_hex = ["10{room}", ""]')
    talk = Talk(found)
    assert talk.endpoint.hello == (b"\x107", b"")
    talk.hear(b"\xff\x005", b"b")
    assert talk.sent == [b"\x005\xff", b"\x00\xff"]
    beat, ping = found.upkeep(ALICE, {})
    assert (beat.message, ping.message, ping.request) == (b"\xc0\x00", None, None)


def test_codes_are_found_in_binary_messages(tmp_path: Path) -> None:
    found = made(tmp_path, "")
    assert found.reader.codes_in(ParsedMessage("", b"\0\xffLT-1\x80\0LT-2\xff")) == ["LT-1", "LT-2"]
    found = made(tmp_path, "", "socketio")
    assert found.reader.codes_in(ParsedMessage("e", [b"\0\xffLT-1"])) == ["LT-1"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[[reply]]\nany = true\nsend = "a"\nsend_hex = "00"', "give one of send, send_hex and"),
        ("[[reply]]\nany = true", r"reply\[0\]: missing reply: give send or request\."),
        ("[[after]]\nany = true", r"after\[0\]: missing action: give some of capture, request"),
        ('[[reply]]\nany = true\nsend_hex = "0g"', "'0g' must be hexadecimal digits"),
        ('[[reply]]\nany = true\nsend_base64 = "?"', r"'\?' is not base64\."),
        ("[[upkeep]]\nevery = 1\nping = false", r"give one of request, send and ping\."),
        ('[[confirm]]\ntext = "a"\n[[confirm]]\n', r"confirm\[1\]: missing condition"),
        ('[confirm]\nregxe = "a"\n', "confirm.regxe: unknown key; use one of: any, event"),
        (f'[[after]]\nany = true\nsend = "{{late}}"\n{LATE}', "the server has not given yet"),
        (
            '[[reply]]\ntext = "{id}"\ncapture = { "id" = { regex = "x" } }\nsend = "{id}"',
            "needs {id}",
        ),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        made(tmp_path, more).check([ALICE])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key", ["after", "reply"])
def test_only_websocket_sends_binary_messages(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}.send_hex is only for websocket"):
        made(tmp_path, f'[[{key}]]\nany = true\nsend_hex = "00"', "socketio")


ENDS = """
[confirm]
text = "in"
[[refuse]]
text = "no"
[[end]]
fields = { "type" = "error", "user" = "{username}" }
reason = "message"
[[end]]
regex = '^bye (.*)'
cause = "disconnected"
planned = true
[[end]]
text = "never again"
reconnect = false
"""


@pytest.mark.parametrize(
    ("payload", "closed"),
    [
        (b"nothing of the kind", None),
        (b'{"type":"error","user":"bob","message":"x"}', None),
        (
            b'{"type":"error","user":"alice","message":"room 7 is closed"}',
            Closed("server", "ended by server: *** is closed", reason="*** is closed"),
        ),
        (b"bye now", Closed("server", "disconnected: now", reason="now", planned=True)),
        (b"never again", Closed("server", "ended by server", final=True)),
    ],
)
def test_a_message_ends_the_session_or_refuses_it_before(
    tmp_path: Path, payload: bytes, closed: Closed | None
) -> None:
    found = made(tmp_path, ENDS)
    endpoint = found.endpoint(Identity("alice", {"room": "room 7"}))
    assert endpoint.end is not None
    assert endpoint.refuse is not None
    assert endpoint.end(payload) == closed
    assert endpoint.refuse(payload) == (None if closed is None else closed.cause)


def test_a_planned_end_is_orderly() -> None:
    assert Closed("server", "disconnected", planned=True).is_orderly
    assert not Closed("server", "ended by server").is_orderly
