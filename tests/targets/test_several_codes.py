"""Several messages in one payload, several codes in one message, and replies to all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.targets import Target
from sseload_users.targets.batches import BatchTable
from sseload_users.targets.identities import Identity
from sseload_users.targets.paths import MISSING, JsonPath, has_values
from sseload_users.transports import ParsedMessage
from tests.support.replies import replies

ALICE = Identity("alice")

#: What `str.splitlines` takes for the end of a line, and JSON may contain in a text.
INNOCENT = "\u2028\u2029\u0085"


def profile(
    folder: Path, code: str, head: str = "", more: str = "", transport: str = "websocket"
) -> Target:
    path = folder / "mine.toml"
    path.write_text(
        f'transport = "{transport}"\n{head}\n[connect]\npath = "/"\n[code]\n{code}\n'
        f'[ingest]\nmethod = "POST"\npath = "/in"\nbody = "{{code}}"\n{more}\n',
        encoding="utf-8",
    )
    return Target(target.load(str(path)), "http://127.0.0.1:8000")


def codes(found: Target, data: object) -> list[str]:
    causes: list[str] = []
    texts = found.reader.codes_in(ParsedMessage("", data), causes.append)
    return texts + causes


@pytest.mark.parametrize(
    ("code", "data", "expected"),
    [
        ('field = "[*].code"', '[{"code":"A"},{"x":1},{"code":"B"}]', ["A", "B"]),
        ('field = "[*].code"', '{"k1":{"code":"A"},"k2":{"code":"B"}}', ["A", "B"]),
        ('field = "batch[*].code"', '{"batch":[{"code":"A"},{"code":"A"}]}', ["A", "A"]),
        ('field = "batch[*].code"', '{"batch":[]}', []),
        ('field = "batch[*].code"', '{"batch":"[{\\"code\\":\\"A\\"}]"}', ["A"]),
        ('field = "[*][*].c[*]"', '[[{"c":["A","B"]},{"c":["C"]}],[{"c":["D"]}]]', [*"ABCD"]),
        ('field = "codes[*]"', '{"codes":["A",7,null,[],"B"]}', ["A", "7", "B"]),
        ('field = "code"', '[{"code":"A"}]', []),
        ("regex = 'c=(\\w)'", "c=A;d=X;c=B", ["A", "B"]),
        ("regex = 'LT-\\d'", 'a["LT-1","LT-2"]', ["LT-1", "LT-2"]),
        ("regex = 'x|c=(\\w)'", "x c=A", ["A"]),
    ],
)
def test_all_codes_of_a_message_are_found_in_their_order(
    tmp_path: Path, code: str, data: str, expected: list[str]
) -> None:
    assert codes(profile(tmp_path, code), data) == expected


@pytest.mark.parametrize(
    ("head", "data", "expected"),
    [
        ("lines = true", '{"code":"A"}\n{"code":"B"}\r\n\n{"code":"C"}', [*"ABC"]),
        ("lines = true", f'{{"code":"A{INNOCENT}"}}\n{{"code":"B"}}', [f"A{INNOCENT}", "B"]),
        ("lines = true", '{"code":"A"}\n{"code"\n{"code":"B"}', ["A", "B", "bad JSON"]),
        ('separator = "\\u001e"', '{"code":"A"}\x1e{"code":"B"}\x1e', ["A", "B"]),
        ('separator = "\\u0000"', '{"code":"A"}\0{"code":"B"}\0', ["A", "B"]),
        ('separator = "\\r\\n--"', '{"code":"A"}\r\n--{"code":"B"}', ["A", "B"]),
        ("concatenated = true", '{"code":"A"}{"code":"B"} \n{"code":"C"}', [*"ABC"]),
        ("concatenated = true", '{"code":"A"}{"code":"B"', ["A", "bad JSON"]),
        ("concatenated = true", "hello", []),
        ("array = true", ' [{"code":"A"} , "{\\"code\\":\\"B\\"}",{"code":"C"}]', [*"ABC"]),
        ("array = true", '{"code":"A"}', ["A"]),
        ("array = true", '[{"code":"A"}', ["bad JSON"]),
        ("array = true", "[]", []),
        ('array = true\nprefix = "a"', 'a["{\\"code\\":\\"A\\"}"]', ["A"]),
        ('array = true\nprefix = "a"', '["{\\"code\\":\\"A\\"}"]', []),
        # Several JSON values are no broken JSON, but are not looked into unasked.
        ("", '{"code":"A"}\n{"code":"B"}', []),
        ("", '{"code":"A"}{"code"', ["bad JSON"]),
    ],
)
def test_a_payload_is_taken_apart_only_as_the_profile_says(
    tmp_path: Path, head: str, data: str, expected: list[str]
) -> None:
    assert codes(profile(tmp_path, 'field = "code"', head), data) == expected


def test_only_lf_ends_a_line(tmp_path: Path) -> None:
    found = profile(tmp_path, "whole = true", "lines = true")
    inside = f"A{INNOCENT}\x0b\x0c\x1c\x1d\x1e\rB"
    assert codes(found, f"{inside}\r\n{inside}\n") == [inside, inside]


def test_every_transport_has_several_codes_in_a_message(tmp_path: Path) -> None:
    sio = profile(tmp_path, 'event = "codes"\nfield = "[0][*].code"', transport="socketio")
    batch = [{"code": "A"}, {"code": "B"}]
    assert sio.reader.codes_in(ParsedMessage("codes", [batch])) == ["A", "B"]
    assert sio.reader.codes_in(ParsedMessage("other", [batch])) == []
    sio = profile(tmp_path, 'field = "[*].code"', transport="socketio")
    assert sio.reader.codes_in(ParsedMessage("codes", batch)) == ["A", "B"]
    sio = profile(tmp_path, 'field = "[0].code"', "lines = true", transport="socketio")
    assert sio.reader.codes_in(ParsedMessage("c", ['{"code":"A"}\n{"code":"B"}', 1])) == ["A", "B"]
    sse = profile(tmp_path, 'field = "code"', "lines = true", transport="sse")
    assert sse.reader.codes_in(ParsedMessage("message", '{"code":"A"}\n{"code":"B"}')) == ["A", "B"]


def test_only_one_way_to_take_a_payload_apart_can_be_given(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"give one of lines, separator, concatenated and array\."
    ):
        profile(tmp_path, "whole = true", 'lines = true\nseparator = ";"')
    with pytest.raises(ConfigError, match=r"prefix is only for array = true\.$"):
        profile(tmp_path, "whole = true", 'prefix = "a"')
    with pytest.raises(ConfigError, match="separator"):
        profile(tmp_path, "whole = true", 'separator = ""')


@given(st.lists(st.text(), max_size=5))
def test_json_lines_and_concatenated_json_are_read_back(texts: list[str]) -> None:
    """Whatever JSON contains, raw or escaped, each value is one message."""
    values = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    for table, joined in (
        (BatchTable(lines=True), "\n".join(values)),
        (BatchTable(lines=True), "\r\n".join(values)),
        (BatchTable(separator="\x1e"), "".join(f"{value}\x1e" for value in values)),
        (BatchTable(concatenated=True), "".join(values)),
    ):
        assert list(table.parts(joined)) == (values or [""])


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda each: st.lists(each) | st.dictionaries(st.text(), each),
            max_leaves=5,
        ),
        max_size=5,
    ),
    st.sampled_from(["", "a"]),
    st.booleans(),
)
def test_the_elements_of_an_array_are_read_back(
    values: list[object], prefix: str, compact: bool
) -> None:
    separators = (",", ":") if compact else (" , ", " : ")
    text = prefix + json.dumps(values, ensure_ascii=False, separators=separators)
    table = BatchTable(array=True, prefix=prefix or None)
    expected = [
        each
        if isinstance(each, str)
        else json.dumps(each, ensure_ascii=False, separators=separators)
        for each in values
    ]
    assert table.parts(text) == expected
    # Anything that is no array stays whole.
    for broken in (text[:-1], f"{text}]", text.replace("[", "(", 1)):
        assert table.parts(broken) == [broken]


@given(st.recursive(st.integers(0, 3), lambda each: st.lists(each, max_size=3)))
def test_wildcards_select_what_nested_loops_do(value: object) -> None:
    def children(each: object) -> list[object]:
        return each if isinstance(each, list) else []

    nested = [inner for outer in children(value) for inner in children(outer)]
    assert list(JsonPath("[*][*]").find_all(value)) == nested
    assert JsonPath("[*][*]").find(value) == (nested[0] if nested else MISSING)
    assert list(JsonPath("[1]").find_all(value)) == children(value)[1:2]


def test_a_condition_with_a_wildcard_holds_if_one_value_is_as_wanted() -> None:
    batch = [{"type": "code"}, {"type": "ping"}]
    assert has_values({JsonPath("[*].type"): "ping"}, batch)
    assert not has_values({JsonPath("[*].type"): "pong"}, batch)
    assert not has_values({JsonPath("[*].type"): "ping"}, [])


PONG = '[[reply]]\nfields = { "type" = "ping" }\nsend = { "type" = "pong" }\n'


@pytest.mark.parametrize("times", [1, 2])
def test_each_message_of_a_payload_is_answered(tmp_path: Path, times: int) -> None:
    """Also beside codes, and also where the same payload came before."""
    found = profile(tmp_path, 'field = "code"', "lines = true", PONG)
    endpoint = found.endpoint(ALICE)
    payload = b'{"type":"ping"}\n{"code":"A"}\n{"type":"ping"}'
    assert replies(endpoint, *[payload] * times) == ['{"type":"pong"}'] * 2 * times
    assert replies(endpoint, b'{"code":"A"}') == []


def test_an_empty_message_is_answered_even_if_it_is_the_first(tmp_path: Path) -> None:
    more = '[[reply]]\ntext = ""\nsend = "here"\n'
    for head in ("", "lines = true"):
        found = profile(tmp_path, "whole = true", head, more)
        assert replies(found.endpoint(ALICE), b"", b"x", b"") == ["here", "here"]


def test_replies_differ_by_connection_where_their_conditions_or_texts_do(tmp_path: Path) -> None:
    more = '[[reply]]\ntext = "hello {username}"\nsend = "{username}"\n'
    more += '[[reply]]\ntext = "all"\nsend = "I, {username}"\n'
    found = profile(tmp_path, "whole = true", more=more)
    both = [found.endpoint(Identity(name)) for name in ("ann", "bob")]
    for _ in range(2):
        assert [replies(each, b"hello bob", b"all") for each in both] == [
            ["I, ann"],
            ["bob", "I, bob"],
        ]
