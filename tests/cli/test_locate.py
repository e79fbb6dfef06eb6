"""Where a code is: each location that is found must make a profile that reads the code."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.cli.init.conclude import conclude
from sseload_users.cli.init.message import Message
from sseload_users.cli.locate import CODE_REGEX, Content, locate
from sseload_users.targets.filling import Filler
from sseload_users.targets.profile import Profile
from sseload_users.targets.reader import MessageReader
from sseload_users.targets.spec import ProfileSpec
from sseload_users.transports import ParsedMessage

CODE, OTHER = "LT-abc123-1-dn5ajqspnf7a", "LT-abc123-2-dn5ajqspnf7b"


def read(content: Content, tables: dict[str, Any]) -> list[str]:
    """Return the codes that a profile with these tables finds in a message."""
    transport = "socketio" if isinstance(content.data, list) else "websocket"
    if content.event and transport == "websocket":
        transport = "sse"
    spec = ProfileSpec.model_validate(
        {
            "transport": transport,
            "connect": {"path": "/"},
            "ingest": {"path": "/", "query": {"c": "{code}"}},
            **tables,
        }
    )
    profile = Profile("drafted", spec)
    reader = MessageReader(profile, Filler(profile, "http://h", {}))
    return reader.codes_in(ParsedMessage(content.event, content.data), lambda _: None)


def tables_of(content: Content, *codes: str) -> dict[str, Any]:
    found = locate(content, codes or (CODE,))
    return {**dict(found.framing), "code": found.keys(with_kind=True)}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (Content("", CODE), {"code": {"whole": True}}),
        (Content("", json.dumps({"code": CODE})), {"code": {"field": "code"}}),
        (Content("", json.dumps({"a": {"b.c": CODE}})), {"code": {"field": 'a["b.c"]'}}),
        # A profile would take it for a name.
        (Content("", json.dumps({"{a}": CODE})), {"code": {"regex": CODE_REGEX}}),
        (
            Content("", json.dumps({"type": "m", "html": f"<p>{CODE}</p>", "text": CODE})),
            {"code": {"field": "text", "fields": {"type": "m"}}},
        ),
        (
            Content("", json.dumps({"data": json.dumps({"x": [{"code": CODE}]})})),
            {"code": {"field": "data.x[*].code"}},
        ),
        (
            Content("", json.dumps([{"code": CODE}, {"code": OTHER}])),
            {"code": {"field": "[*].code"}},
        ),
        (Content("", json.dumps(["m", {"code": CODE}])), {"code": {"field": "[1].code"}}),
        (Content("", json.dumps(["m", CODE])), {"code": {"field": "[1]"}}),
        (
            Content("", json.dumps({"c": CODE}) + "\n" + json.dumps({"c": OTHER})),
            {"lines": True, "code": {"field": "c"}},
        ),
        (
            Content("", json.dumps({"c": CODE}) + "\x1e"),
            {"separator": "\x1e", "code": {"field": "c"}},
        ),
        (
            Content("", json.dumps({"c": CODE}) + json.dumps({"c": OTHER})),
            {"concatenated": True, "code": {"field": "c"}},
        ),
        (Content("", f"{CODE}\n{OTHER}"), {"lines": True, "code": {"whole": True}}),
        (Content("", f"alice: {CODE}!"), {"code": {"regex": CODE_REGEX}}),
        (Content("", msgpack.packb({"t": "\xff", "c": CODE})), {"code": {"regex": CODE_REGEX}}),
        (Content("news", json.dumps({"c": CODE})), {"code": {"event": "news", "field": "c"}}),
        (Content("m", ["x", {"c": CODE}]), {"code": {"event": "m", "field": "[1].c"}}),
        (Content("m", [[{"c": CODE}]]), {"code": {"event": "m", "field": "[0][*].c"}}),
    ],
)
def test_a_code_is_found_and_read(content: Content, expected: dict[str, Any]) -> None:
    codes = [each for each in (CODE, OTHER) if each in str(content.data)]
    codes = codes or [CODE]
    tables = tables_of(content, *codes)
    assert tables == expected
    assert set(read(content, tables)) >= {*codes}


names = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=1)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(names, values, st.integers(0, 2))
def test_a_code_beside_anything_is_read(name: str, beside: Any, depth: int) -> None:
    value: Any = {"around": beside, name: CODE}
    for _ in range(depth):
        value = {"other": beside, "inner": value}
    content = Content("", json.dumps(value))
    assert CODE in read(content, tables_of(content))


def messages(*texts: str, connections: int = 3, codes: tuple[str, ...] = ()) -> list[Message]:
    return [
        Message(number, Content("", text), codes) for number in range(connections) for text in texts
    ]


CARRIERS = messages(json.dumps({"type": "m", "code": CODE}), codes=(CODE,))


def test_a_first_message_of_one_kind_confirms() -> None:
    early = messages('{"type":"hello","id":1}', '{"type":"state"}')
    assert conclude(early, CARRIERS, 3).tables["confirm"] == {"fields": {"type": "hello"}}
    assert conclude(messages("welcome"), CARRIERS, 3).tables["confirm"] == {"text": "welcome"}


@pytest.mark.parametrize(
    "early",
    [
        [],
        messages('{"type":"ping"}'),
        messages("hello", connections=2),
        [Message(each, Content("", f"{each} is you")) for each in range(3)],
    ],
)
def test_what_not_every_client_gets_confirms_nothing(early: list[Message]) -> None:
    assert "confirm" not in conclude(early, CARRIERS, 3).tables


def test_pings_are_answered() -> None:
    made = conclude(messages('{"type":"ping","n":3}'), CARRIERS, 3)
    assert made.tables["reply"] == [{"fields": {"type": "ping"}, "send": {"type": "pong", "n": 3}}]


def test_the_kind_that_reaches_everybody_carries_the_code() -> None:
    answer = [Message(0, Content("", json.dumps({"type": "ack", "code": CODE})), (CODE,))]
    made = conclude([], [*answer, *CARRIERS], 3)
    assert made.tables["code"] == {"field": "code", "fields": {"type": "m"}}
    assert not made.notes


def test_a_code_that_some_do_not_get_is_said() -> None:
    assert "Only 2 of 3 clients" in conclude([], CARRIERS[:2], 3).notes[0]
