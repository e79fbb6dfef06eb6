"""What a connection that returns sends, and from which messages it has that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.targets import Identity, Target
from sseload_users.transports.network import Network
from sseload_users.users.login import Login
from sseload_users.users.resumption import Resumption

ALICE = Identity("alice", channels=("a",))
PROFILE = """
transport = "websocket"
guarantee = "resume"

[connect]
path = "/ws"
query = { "v" = "1", "since" = "start" }
headers = { "X-Since" = "start" }
send = [{ "subscribe" = "{channel}" }]

[resume]
capture = { "offset" = { field = "pub.offset" }, "epoch" = { field = "epoch" } }
query = { "since" = "{offset}" }
headers = { "X-Since" = "{epoch}" }
send = ['{"subscribe":"{channel}","offset":{offset}}']

[confirm]
fields = { "type" = "subscribed" }

[code]
field = "code"

[ingest]
method = "POST"
path = "/api/ingest"
body = { "code" = "{code}", "channel" = "{channel}" }
"""


def made(folder: Path, *changes: tuple[str, str]) -> Target:
    text = PROFILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.toml"
    path.write_text(text, "utf-8")
    return Target(target.load(str(path)), "http://target.example")


def test_a_connection_that_returns_sends_what_it_captured(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.check([ALICE], has_channels=True)
    first = found.endpoint(ALICE)
    assert first.url.endswith("/ws?v=1&since=start")
    assert [json.loads(each) for each in first.hello] == [{"subscribe": "a"}]
    again = found.endpoint(ALICE, position={"offset": "7", "epoch": "x"})
    assert again.url.endswith("/ws?v=1&since=7")
    assert ("X-Since", "x") in again.headers
    assert [json.loads(each) for each in again.hello] == [{"subscribe": "a", "offset": 7}]


def test_without_all_values_it_connects_as_at_first(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert found.endpoint(ALICE, position={"offset": "7"}).url == found.endpoint(ALICE).url


def test_the_newest_message_with_a_value_counts(tmp_path: Path) -> None:
    found = made(tmp_path)
    resumption = Resumption(found)
    got: list[tuple[bytes, int]] = []
    take = resumption.taking(lambda payload, arrived_ns: got.append((payload, arrived_ns)))
    endpoint = resumption.confirming(found.endpoint(ALICE))
    assert endpoint.confirm is not None
    assert endpoint.confirm(b'{"type":"hello"}', 1, lambda _: None) is None
    confirming = b'{"type":"subscribed","epoch":"x","pub":{"offset":3}}'
    assert endpoint.confirm(confirming, 2, lambda _: None) == 2
    assert resumption.values == {"offset": "3", "epoch": "x"}
    messages = [b'{"pub":{"offset":4}}', b"no JSON", b"{}", b'{"pub":{"offset":null}}']
    for index, message in enumerate(messages):
        take(message, index)
    assert resumption.values == {"offset": "4", "epoch": "x"}
    assert got == list(zip(messages, range(4), strict=True))
    assert resumption.take() == ((b'{"type":"hello"}', 1), (confirming, 2))
    assert resumption.take() == ()


COUNTING: tuple[tuple[str, str], ...] = (
    (
        'capture = { "offset" = { field = "pub.offset" }, "epoch" = { field = "epoch" } }',
        """capture = { "offset" = { field = "pub.offset", default = "0" } }
count.epoch = { has = ["code"], next = { fields = { "type" = "again" }, number = "first" } }""",
    ),
)


def test_a_default_stands_for_a_value_that_no_message_has_given(tmp_path: Path) -> None:
    resumption = Resumption(made(tmp_path, *COUNTING))
    assert resumption.values == {"offset": "0", "epoch": "0"}
    take = resumption.taking(lambda *_: None)
    take(b'{"pub":{"offset":7}}', 0)
    take(b'{"pub":{}}', 0)
    assert resumption.values == {"offset": "7", "epoch": "0"}


def test_messages_are_counted_and_those_that_come_again_are_not(tmp_path: Path) -> None:
    resumption = Resumption(made(tmp_path, *COUNTING))
    take = resumption.taking(lambda *_: None)

    def count(*messages: str) -> str:
        for each in messages:
            take(each.encode(), 0)
        return resumption.values["epoch"]

    code = '{"code":"x"}'
    assert count(code, code, '{"type":"ping"}', code) == "3"
    # The server begins again with the second one, and says so.
    assert count('{"type":"again","first":2}', '{"first":9}') == "3"
    assert count(code, code) == "3"
    assert count(code) == "4"
    assert count('{"type":"again","first":true}', '{"type":"again"}', code) == "5"


def test_a_login_is_kept_for_the_session_until_an_attempt_fails(tmp_path: Path) -> None:
    login = Login(made(tmp_path), ALICE, BeforeRequests(Network(), 1))
    for before, kept in (("true", None), ("false", login)):
        found = made(tmp_path, *COUNTING, ("[resume]", f"[resume]\nbefore = {before}"))
        resumption = Resumption(found)
        take = resumption.taking(lambda *_: None)
        take(b'{"pub":{"offset":7}}', 0)
        assert resumption.login is None
        assert resumption.position == {}
        resumption.establish(login)
        assert resumption.login is kept
        assert resumption.position == {"offset": "7", "epoch": "0"}
        resumption.fail()
        assert resumption.login is None
        assert resumption.position == ({"offset": "7", "epoch": "0"} if kept is None else {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((('guarantee = "resume"', ""),), 'resume requires guarantee = "resume"'),
        (
            (('capture = { "offset" = { field = "pub.offset" }, "epoch" = { field = "epoch" } }',
              "capture = {}"),),
            "resume: missing capture",
        ),
        (
            (("[resume]", '[resume]\ncount = { "offset" = { any = true } }'),),
            "resume: capture and count have a name in common",
        ),
        (
            (
                ('query = { "since" = "{offset}" }', ""),
                ('headers = { "X-Since" = "{epoch}" }', ""),
                ("send = ['{\"subscribe\":\"{channel}\",\"offset\":{offset}}']", ""),
            ),
            "resume: missing use",
        ),
        ((('"since" = "start"', '"since" = "{offset}"'),), "connect.query needs {offset}"),
        (
            (("[confirm]", '[audience]\nchannels = ["a", "b"]\n\n[confirm]'),),
            "resume.send has {channel}, but audience names several channels",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(
    tmp_path: Path, changes: tuple[tuple[str, str], ...], said: str
) -> None:
    with pytest.raises(ConfigError, match=r"resume|offset") as raised:
        made(tmp_path, *changes).check([ALICE], has_channels=True)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
