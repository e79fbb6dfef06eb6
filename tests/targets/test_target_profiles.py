"""The built-in profiles against what their servers send and expect."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sseload_users import targets as target
from sseload_users.core.config_path import config_path
from sseload_users.targets import Target, UpkeepAction
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed, ParsedMessage
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.registry import transport_for
from sseload_users.transports.server_text import message_text
from tests.support.ingest_answers import ingest_failure
from tests.support.replies import confirms

ALICE = Identity("alice")
CODE = "LT-abc123-1-zzz"


def at(name: str, host: str = "http://127.0.0.1:8000") -> Target:
    return Target(target.load(name), host)


class Told:
    """A listener's connection that is fed a server's messages."""

    def __init__(self, name: str, identity: Identity = ALICE) -> None:
        self.target = at(name)
        self.endpoint: Endpoint = self.target.endpoint(identity)
        self.sent = [*self.endpoint.hello]
        self.confirmed = self.endpoint.confirm is None
        self.refused: str | None = None
        self.codes: list[str] = []
        self.malformed: list[str] = []

    def hear(self, *messages: str) -> Told:
        """What a transport and a listener make of messages, in this order."""
        for message in messages:
            payload = message.encode()
            if not self.confirmed:
                if self.endpoint.refuse is not None and self.refused is None:
                    self.refused = self.endpoint.refuse(payload)
                self._answer(payload)
                self.confirmed = self._confirms(payload)
                continue
            event = transport_for(self.target.profile.transport).parse(payload)
            if event is not None:
                self.codes += self.target.reader.codes_in(event, self.malformed.append)
            self._answer(payload)
        return self

    def _confirms(self, payload: bytes) -> bool:
        confirm = self.endpoint.confirm
        assert confirm is not None
        return confirm(payload, 1, self.sent.append) is not None

    def _answer(self, payload: bytes) -> None:
        if self.endpoint.reply is not None:
            self.endpoint.reply(payload, self.sent.append)


def upkeep(found: Target, captured: dict[str, str] | None = None) -> UpkeepAction:
    (only,) = found.upkeep(ALICE, captured or {})
    return only


# The code server


def test_code_server_reads_codes_from_one_event() -> None:
    found = at("code-server")
    data = {
        "code": CODE,
        "source": "load-test",
        "type": "default",
        "username": "loadtest",
        "user_id": 1,
        "metadata": {},
        "timestamp": "2026-11-24T00:08:12.592656",
    }
    assert found.reader.codes_in(ParsedMessage("new_code", [data])) == [CODE]
    assert found.reader.codes_in(ParsedMessage("notice", [data])) == []
    assert (
        found.reader.codes_in(
            ParsedMessage("connected", [{"message": "Connected to events endpoint"}])
        )
        == []
    )
    assert found.reader.codes_in(ParsedMessage("new_code", [])) == []
    assert found.reader.codes_in(ParsedMessage("new_code", ["C-1"])) == []


def test_code_server_sends_the_user_in_the_query_and_joins_its_namespace() -> None:
    endpoint = at("code-server").endpoint(Identity("a&b"))
    assert endpoint.url == "ws://127.0.0.1:8000/socket.io/?username=a%26b"
    assert endpoint.namespace == "/events"
    assert endpoint.confirm is None
    assert (at("code-server").profile.max_code_length) == 1000


def test_code_server_answers() -> None:
    found = at("code-server")
    accepted = (
        b'{"message":"Code received and broadcasted","status":"success","username":"loadtest"}'
    )
    assert ingest_failure(found, 200, accepted) is None
    assert ingest_failure(found, 400, b'{"error":"username is required"}') == "HTTP 400"
    assert ingest_failure(found, 403, b'{"error":"Unknown username"}') == "HTTP 403"
    assert found.answers.is_healthy(200, b'{"service":"code-server","status":"healthy"}')
    assert not found.answers.is_healthy(502, b"<html>")
    assert not found.answers.is_healthy(200, b'{"status":"starting"}')
    health = found.health(ALICE)
    assert health is not None
    assert (health.method, health.url) == ("GET", "http://127.0.0.1:8000/health")


def test_code_server_refuses_by_an_event() -> None:
    packet = b'42/events,["error",{"message":"Unauthorized or unknown username"}]'
    refuse = at("code-server").endpoint(ALICE).refuse
    assert refuse is not None
    assert refuse(packet) == "refused: Unauthorized or unknown username"
    assert refuse(b'42/events,["connected",{"message":"Connected to events endpoint"}]') is None
    assert refuse(b'44/events,{"message":"Connection rejected by server"}') is None


def test_code_server_sse_finds_the_token_in_every_page_version() -> None:
    found = at("code-server-sse")
    (step,) = found.before(Identity("a b"))
    request = step.request({})
    assert request.url.startswith("http://127.0.0.1:8000/embed-stream?user=a%20b&nonce=")
    assert dict(request.headers) == {"Origin": "http://127.0.0.1:8000"}
    signature = "0123456789abcdef" * 4
    for page in (
        # Today's page: a template literal followed by a semicolon.
        (
            f"const sseUrl = `/events?user=a%20b&token=a%20b:1764000000:{signature}`;\n"
            "fetch(`/sse-pong?connection_id=${data.connection_id}"
            f"&token=a%20b:1764000000:{signature}`, {{"
        ),
        f"fetch(`/events?user=a b&token=a b:1764000000:{signature}`);",
        # Older pages, and those of other frameworks.
        f'new EventSource("/events?user=a&token=a%20b:1764000000:{signature}")',
        f"<iframe src='/events?user=a&amp;token=a%20b:1764000000:{signature}'>",
        f'<a href="/events?token=a%20b%3A1764000000%3A{signature}&user=a">',
        f'{{"url": "/events?user=a\\u0026token=a%20b:1764000000:{signature}"}}',
        f"/events?user=a&token=a%20b:1764000000:{signature}",
    ):
        assert step.read(HttpResponse(200, page.encode())) == {
            "token": f"a b:1764000000:{signature}"
        }
    for page in (
        "new EventSource(`/events?token=${token}`)",
        f"/events?token=a:1764000000:{signature}0",
        f"/events?token=a:1764000000:{signature[1:]}",
        f"/events?token=a:soon:{signature}",
    ):
        with pytest.raises(ConnectFailed, match="no token in the answer"):
            step.read(HttpResponse(200, page.encode()))


def test_code_server_sse_pongs_with_captured_values() -> None:
    found = at("code-server-sse")
    captured = {"token": "a:1:f"}
    endpoint = found.endpoint(Identity("a"), captured, on_captured=captured.update)
    assert not confirms(endpoint, b'data: {"type":"ping","connection_id":"c/0"}')
    assert confirms(endpoint, b'data: {"type":"connected","connection_id":"c/1"}')
    assert captured == {"token": "a:1:f", "connection_id": "c/1"}
    pong = upkeep(found, captured)
    assert (pong.every, pong.message) == (30, None)
    assert pong.request == HttpRequest(
        "POST", "http://127.0.0.1:8000/sse-pong?connection_id=c%2F1&token=a%3A1%3Af", (), b""
    )
    assert pong.failure(200, b'{"status":"ok"}') is None
    assert pong.failure(404, b"") == "HTTP 404"
    assert found.reader.codes_in(ParsedMessage("", f'{{"type":"new_code","code":"{CODE}"}}')) == [
        CODE
    ]
    assert found.reader.codes_in(ParsedMessage("", '{"type":"ping"}')) == []
    assert found.reader.codes_in(ParsedMessage("", "ping")) == []


# Plain protocols


def test_websocket_is_confirmed_and_reads_codes() -> None:
    told = Told("websocket").hear('{"type":"notice"}', '{"type":"connected","connection":1}')
    assert told.confirmed
    told.hear(f'{{"type":"new_code","code":"{CODE}"}}', '{"type":"notice"}', "ping")
    assert told.codes == [CODE]
    told.hear('{"type":"new_code","code":')
    assert told.malformed == ["bad JSON"]


@pytest.mark.parametrize("name", ["nchan", "nchan-sse"])
def test_nchan_codes_are_whole_bodies(name: str) -> None:
    found = at(name)
    assert found.ingest(CODE, ALICE) == HttpRequest(
        "POST",
        "http://127.0.0.1:8000/pub?id=sseload",
        (("Content-Type", "text/plain; charset=utf-8"),),
        CODE.encode(),
    )
    assert ingest_failure(found, 201, b"queued messages: 1\r\n") is None
    assert ingest_failure(found, 202, b"queued messages: 1\r\n") is None
    assert ingest_failure(found, 403, b"") == "HTTP 403"
    assert found.reader.codes_in(ParsedMessage("", CODE)) == [CODE]
    scheme = "ws" if name == "nchan" else "http"
    assert found.endpoint(ALICE).url == f"{scheme}://127.0.0.1:8000/sub?id=sseload"


def test_socketio_reads_codes_from_the_event_code() -> None:
    found = at("socketio")
    assert found.reader.codes_in(ParsedMessage("code", [{"code": CODE}])) == [CODE]
    assert found.reader.codes_in(ParsedMessage("chat", [{"code": CODE}])) == []
    assert found.endpoint(ALICE).namespace == "/"


# Channel protocols


def test_signalr_reads_every_record_of_a_frame() -> None:
    found = at("signalr")
    (step,) = found.before(ALICE)
    request = step.request({})
    assert (request.method, request.url) == (
        "POST",
        "http://127.0.0.1:8000/hub/negotiate?negotiateVersion=1&useStatefulReconnect=false",
    )
    captured = step.read(HttpResponse(200, b'{"connectionId":"c","connectionToken":"t/1"}'))
    endpoint = found.endpoint(ALICE, captured)
    assert endpoint.url == "ws://127.0.0.1:8000/hub?id=t%2F1&access_token="
    assert endpoint.hello == ('{"protocol":"json","version":1}\x1e',)
    assert endpoint.refuse is not None
    assert endpoint.refuse(b'{"error":"no such protocol"}\x1e') == "refused: no such protocol"
    call = '{{"type":1,"target":"newCode","arguments":[{{"code":"{}"}}]}}\x1e'
    first = '{"type":6}\x1e' + call.format("C-1") + call.format("C-2")
    assert not confirms(endpoint, first.encode())
    assert confirms(endpoint, f"{{}}\x1e{first}".encode())
    assert found.reader.codes_in(ParsedMessage("", first)) == ["C-1", "C-2"]
    assert upkeep(found, captured).message == '{"type":6}\x1e'


def test_pusher_subscribes_once_connected() -> None:
    told = Told("pusher")
    assert told.endpoint.url == (
        "ws://127.0.0.1:8000/app/app-key?protocol=7&client=sseload&version=1.0"
    )
    assert told.sent == []
    told.hear(
        '{"event":"pusher:connection_established",'
        '"data":"{\\"socket_id\\":\\"1.2\\",\\"activity_timeout\\":30}"}'
    )
    assert [json.loads(each) for each in told.sent] == [
        {"event": "pusher:subscribe", "data": {"channel": "codes"}}
    ]
    assert not told.confirmed
    told.hear('{"event":"pusher_internal:subscription_succeeded","channel":"codes"}')
    assert told.confirmed
    told.hear(
        json.dumps({"event": "new_code", "channel": "codes", "data": json.dumps({"code": CODE})}),
        '{"event":"pusher:pong","data":{}}',
        '{"event":"pusher:ping","data":{}}',
    )
    assert told.codes == [CODE]
    assert json.loads(told.sent[-1]) == {"event": "pusher:pong", "data": {}}
    assert upkeep(told.target).message == '{"event":"pusher:ping","data":{}}'


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (
            '{"event":"pusher:error","data":{"code":4001,"message":"App key x does not exist."}}',
            "refused: App key x does not exist.",
        ),
        (
            '{"event":"pusher:error","data":"{\\"code\\":4001,\\"message\\":\\"No app\\"}"}',
            "refused: No app",
        ),
        (
            (
                '{"event":"pusher:subscription_error","channel":"private-x",'
                '"data":{"type":"AuthError","error":"Connection is unauthorized","status":401}}'
            ),
            "refused: Connection is unauthorized",
        ),
        ('{"event":"pusher:error","data":null}', "refused"),
    ],
)
def test_pusher_refuses(message: str, cause: str) -> None:
    told = Told("pusher").hear(message)
    assert (told.refused, told.confirmed) == (cause, False)


def test_phoenix_joins_and_sends_heartbeats() -> None:
    told = Told("phoenix")
    assert told.endpoint.url == "ws://127.0.0.1:8000/socket/websocket?vsn=2.0.0"
    assert json.loads(told.sent[0]) == ["lobby", "lobby", "room:lobby", "phx_join", {}]
    told.hear('["lobby","lobby","room:lobby","phx_reply",{"response":{},"status":"ok"}]')
    assert told.confirmed
    told.hear(
        f'[null,null,"room:lobby","new_code",{{"code":"{CODE}"}}]',
        '[null,null,"room:lobby","presence_state",{"code":"no"}]',
        '[null,"heartbeat","phoenix","phx_reply",{"response":{},"status":"ok"}]',
    )
    assert told.codes == [CODE]
    beat = upkeep(told.target)
    assert beat.every < 60
    assert json.loads(beat.message or "") == [None, "heartbeat", "phoenix", "heartbeat", {}]


def test_phoenix_refuses_with_a_reason() -> None:
    told = Told("phoenix").hear(
        '["lobby","lobby","room:lobby","phx_reply",'
        '{"response":{"reason":"unauthorized"},"status":"error"}]'
    )
    assert (told.refused, told.confirmed) == ("refused: unauthorized", False)


def test_action_cable_subscribes_after_the_welcome() -> None:
    told = Told("action-cable", Identity("a", {"channel": 'the "room"'}))
    assert told.endpoint.subprotocols == ("actioncable-v1-json",)
    assert told.endpoint.headers == (("Origin", "http://127.0.0.1:8000"),)
    told.hear('{"type":"welcome"}')
    (subscribe,) = [json.loads(each) for each in told.sent]
    assert subscribe["command"] == "subscribe"
    assert json.loads(subscribe["identifier"]) == {
        "channel": "CodesChannel",
        "room": 'the "room"',
    }
    told.hear('{"type":"ping","message":1764000000}')
    assert not told.confirmed
    told.hear('{"identifier":"{\\"channel\\":\\"CodesChannel\\"}","type":"confirm_subscription"}')
    assert told.confirmed
    told.hear(
        f'{{"identifier":"{{\\"channel\\":\\"CodesChannel\\"}}","message":{{"code":"{CODE}"}}}}',
        '{"type":"ping","message":1764000003}',
    )
    assert told.codes == [CODE]
    assert len(told.sent) == 1


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (
            '{"type":"disconnect","reason":"unauthorized","reconnect":false}',
            "disconnected: unauthorized",
        ),
        ('{"identifier":"{}","type":"reject_subscription"}', "subscription rejected"),
    ],
)
def test_action_cable_refuses(message: str, cause: str) -> None:
    assert Told("action-cable").hear(message).refused == cause


def test_centrifugo_reads_each_line_of_a_frame() -> None:
    told = Told("centrifugo")
    assert [json.loads(each) for each in told.sent] == [
        {"id": 1, "connect": {"token": ""}},
        {"id": 2, "subscribe": {"channel": "codes"}},
    ]
    told.hear('{"id":1,"connect":{"client":"c1","version":"6.0.0","ping":25,"pong":true}}')
    assert not told.confirmed
    told.hear('{"id":1,"connect":{"client":"c1"}}\n{"id":2,"subscribe":{}}\n')
    assert told.confirmed
    pushed = '{{"push":{{"channel":"codes","pub":{{"data":{{"code":"{}"}}}}}}}}'
    told.hear(
        pushed.format("C-1") + "\n{}\n" + pushed.format("C-2"),
        pushed.format("C-3"),
        "{}",
        '{"push":{"channel":"codes","join":{"info":{"user":"","client":"c2"}}}}',
    )
    assert told.codes == ["C-1", "C-2", "C-3"]
    assert told.sent[2:] == ["{}", "{}"]


def test_centrifugo_refuses_and_rejects() -> None:
    told = Told("centrifugo").hear('{"id":2,"error":{"code":103,"message":"permission denied"}}')
    assert (told.refused, told.confirmed) == ("refused: permission denied", False)
    request = told.target.ingest(CODE, ALICE)
    assert request.url == "http://127.0.0.1:8000/api/publish"
    assert dict(request.headers)["X-API-Key"] == "api-key"
    assert json.loads(request.body) == {"channel": "codes", "data": {"code": CODE}}
    assert ingest_failure(told.target, 200, b'{"result":{}}') is None
    assert ingest_failure(told.target, 200, b'{"error":{"code":102}}') == "HTTP 200 without result"
    assert ingest_failure(told.target, 401, b"") == "HTTP 401"


def test_graphql_subscribes_after_the_acknowledgement() -> None:
    told = Told("graphql-transport-ws")
    assert told.endpoint.subprotocols == ("graphql-transport-ws",)
    assert told.sent == ['{"type":"connection_init"}']
    told.hear('{"type":"ping"}')
    assert told.sent[1:] == ['{"type":"pong"}']
    told.hear('{"type":"connection_ack"}')
    assert told.confirmed
    assert json.loads(told.sent[2]) == {
        "id": "1",
        "type": "subscribe",
        "payload": {
            "query": "subscription ($channel: String) { newCode(channel: $channel) { code } }",
            "variables": {"channel": "codes"},
        },
    }
    told.hear(
        f'{{"id":"1","type":"next","payload":{{"data":{{"newCode":{{"code":"{CODE}"}}}}}}}}',
        '{"id":"1","type":"error","payload":[{"message":"Cannot query field"}]}',
        '{"id":"1","type":"next","payload":{"data":null,"errors":[{"message":"no"}]}}',
    )
    assert told.codes == [CODE]
    assert ingest_failure(told.target, 200, b'{"data":{"broadcastCode":true}}') is None
    assert ingest_failure(told.target, 200, b'{"data":null,"errors":[]}') == (
        "HTTP 200 without data.broadcastCode"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_stomp_subscribes_with_a_receipt(end: str) -> None:
    told = Told("stomp", Identity("a", {"channel": "x"}))
    assert told.endpoint.subprotocols == ("v12.stomp",)
    command, *headers = str(told.sent[0]).split("\n\n")[0].split("\n")
    assert command == "CONNECT"
    assert {"accept-version:1.2", "host:/", "heart-beat:10000,10000"} <= set(headers)
    told.hear(f"CONNECTED{end}version:1.2{end}server:RabbitMQ/4.0{end}{end}\0")
    assert told.sent[1] == (
        "SUBSCRIBE\nid:x\ndestination:/topic/x\nack:auto\nreceipt:subscribed\n\n\0"
    )
    assert not told.confirmed
    told.hear(f"RECEIPT{end}x:y{end}receipt-id:subscribed{end}{end}\0")
    assert told.confirmed
    message = (
        f"MESSAGE{end}subscription:0{end}message-id:007{end}destination:/topic/x{end}"
        f'receipt:{CODE}{end}content-length:15{end}{end}{{"a":1,"code" : "{CODE}"}}\0{end}'
    )
    told.hear(message, end, f"MESSAGE{end}subscription:0{end}{end}\0")
    assert told.codes == [CODE]
    assert len(told.sent) == 2
    assert told.endpoint.end is not None
    assert told.endpoint.end(message.encode()) is None
    assert upkeep(told.target).message == "\n"


@pytest.mark.parametrize(
    ("frame", "cause"),
    [
        (
            "ERROR\nversion:1.2\nmessage:Bad CONNECT\n\nAccess refused\0",
            "ended by server: Access refused",
        ),
        ("ERROR\nversion:1.2\nmessage:Bad CONNECT\n\n\0\n", "ended by server: Bad CONNECT"),
        ("ERROR\r\ncontent-type:text/plain\r\n\r\nno\0", "ended by server: no"),
        ("ERROR\r\ncontent-type:text/plain\r\n\r\n\0", "ended by server"),
    ],
)
def test_stomp_refuses(frame: str, cause: str) -> None:
    assert Told("stomp").hear(frame).refused == cause


def test_stomp_refuses_in_the_brokers_words() -> None:
    frame = (
        "ERROR\nmessage:Bad CONNECT\ncontent-type:text/plain\nversion:1.0,1.1,1.2\n"
        "content-length:32\n\nAccess refused for user 'nobody'\0"
    )
    assert Told("stomp").hear(frame).refused == (
        "ended by server: Access refused for user 'nobody'"
    )
    event = transport_for("websocket").parse(frame.encode())
    assert event is not None
    assert message_text(event).endswith("\n\nAccess refused for user 'nobody'")


# The documentation


PAGES = "".join(
    (Path(__file__).parents[2] / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("targets", "target-details", "target-protocols")
)
BLOCKS = PAGES.split("```toml\n")[1:]


def test_the_worked_example_in_the_documentation_works(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(BLOCKS[0].split("```")[0], encoding="utf-8")
    alice = Identity("alice", {"token": "t1"})
    told = Told(str(path), alice)
    assert told.endpoint.headers == (("Authorization", "Bearer t1"),)
    assert told.sent == ['{"op":"subscribe","topic":"codes"}']
    told.hear('{"op":"ping"}', '{"op":"subscribed","topic":"codes"}')
    assert (told.confirmed, told.sent[1:]) == (True, ['{"op":"pong"}'])
    told.hear(json.dumps({"op": "message", "payload": json.dumps({"text": CODE})}))
    assert told.codes == [CODE]
    assert told.endpoint.refuse is not None
    assert told.endpoint.refuse(b'{"op":"error","reason":"unknown topic"}') == (
        "refused: unknown topic"
    )
    request = told.target.ingest(CODE, alice)
    assert request.url == "http://127.0.0.1:8000/v1/topics/codes/messages"
    assert ingest_failure(told.target, 202, b'{"queued":true}') is None
    assert ingest_failure(told.target, 200, b'{"queued":true}') == "HTTP 200"


@pytest.mark.parametrize("block", BLOCKS[1:])
def test_other_examples_in_the_documentation_are_valid(tmp_path: Path, block: str) -> None:
    given = block.split("```")[0]
    text = config_path("targets/action-cable.toml").read_text(encoding="utf-8")
    # An [ingest] or a confirmation replaces the existing one; other tables are appended.
    if "\n[ingest]\n" in f"\n{given}":
        text = text.split("[ingest]\n")[0]
    if "[[confirm]]" in given:
        text = re.sub(r"\[confirm\]\n(\w.*\n)*", "", text)
    if "[resume]" in given:
        text = 'guarantee = "resume"\n' + text
    path = tmp_path / "mine.toml"
    path.write_text(text + given, encoding="utf-8")
    names = (
        "rabbitmq",
        "mutation",
        "ingest_token",
        "password",
        "token",
        "webhook_secret",
        "room",
        "channel",
        "client",
    )
    somebody = Identity("a", dict.fromkeys(names, "t"))
    found = Told(str(path)).target
    found.check([somebody])
    if (publishing := target.Publishing.of(found)) is not None:
        assert CODE in publishing.frame(CODE, target.Sender(somebody, {}), 1)
        return
    if (emitting := target.Emitting.of(found)) is not None:
        assert CODE in emitting.frame(CODE, somebody, {})
        return
    steps = range(len(found.profile.spec.ingest_request.requests))
    values = dict.fromkeys(found.profile.spec.captured_per_code(), "t")
    requests = [found.ingest(CODE, somebody, values, step=each) for each in steps]
    assert requests[-1].url.startswith("http://127.0.0.1:")
    assert any(CODE in each.body.decode() for each in requests)


def test_the_advice_in_the_documentation_is_given(tmp_path: Path) -> None:
    (block,) = (each.split("```")[0] for each in BLOCKS if each.startswith("[[advice]]"))
    path = tmp_path / "mine.toml"
    path.write_text(f"{BLOCKS[0].split('```')[0]}\n{block}", encoding="utf-8")
    assert "--target mine-3.toml" in at(str(path)).profile.advice("ingest", "HTTP 410")


@pytest.mark.parametrize("name", target.names())
def test_every_built_in_profile_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGES.split("## Built-in profiles")[1]


def test_bare_stomp_bodies_are_read_as_documented(tmp_path: Path) -> None:
    regex = next(line for line in PAGES.splitlines() if "If a body is only the code" in line)
    built_in = config_path("targets/stomp.toml").read_text(encoding="utf-8")
    before, after = built_in.split("[code]\n")
    path = tmp_path / "mine.toml"
    path.write_text(
        f"{before}[code]\n{regex.split('`')[1]}\n\n[ingest]{after.split('[ingest]')[1]}",
        encoding="utf-8",
    )
    found = Told(str(path)).target
    message = f"MESSAGE\nsubscription:0\n\n{CODE}\0"
    assert found.reader.codes_in(ParsedMessage("", message)) == [CODE]
