from __future__ import annotations

import json
import string
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.targets.paths import MISSING, JsonPath, json_equal, scalar_text
from sseload_users.targets.template import (
    UnknownNameError,
    fill,
    fill_header,
    fill_json,
    fill_text,
    fill_url,
    names_in,
    read_json,
)

#: Anything that a user can be called, quotes, braces, line breaks and NULs included.
values = st.text(max_size=30)
#: What stands around a name in a template: no braces, which might make names of their own.
around = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=10)
named = st.text(string.ascii_letters, min_size=1, max_size=8)


@given(values)
def test_a_value_in_a_path_and_query_round_trips(value: str) -> None:
    value = value.encode("utf-8", "replace").decode()
    url = fill_url("/users/{username}/codes?u={username}&v=1", {"username": value})
    assert url.isascii()
    parts = urlsplit(f"http://host{url}")
    first, users, user, codes = parts.path.split("/")
    assert (first, users, unquote(user), codes) == ("", "users", value, "codes")
    assert parse_qs(parts.query, keep_blank_values=True) == {"u": [value], "v": ["1"]}


@given(values, around, around)
def test_a_value_in_a_table_round_trips_through_json(value: str, before: str, after: str) -> None:
    template = {"a": f"{before}{{x}}{after}", "b": [{"c": "{x}"}, 1, True, None]}
    expected: Any = f"{before}{value}{after}"
    # A text that is JSON is filled as JSON, so that it stays JSON.
    found = json.loads(fill_text(template, {"x": value}))
    try:
        inner = json.loads(template["a"])  # type: ignore[arg-type]
    except ValueError:
        inner = None
    if isinstance(inner, str):
        assert json.loads(found["a"]) == inner.replace("{x}", value)
    else:
        assert found["a"] == expected
    assert found["b"] == [{"c": value}, 1, True, None]


@given(values)
def test_a_value_in_nested_json_round_trips(value: str) -> None:
    inner = json.dumps({"channel": "{x}", "room": {"id": 7}})
    middle = json.dumps({"identifier": inner, "n": 1})
    outer = json.loads(fill_text({"data": middle}, {"x": value}))
    identifier = json.loads(json.loads(outer["data"])["identifier"])
    assert identifier == {"channel": value, "room": {"id": 7}}


@given(values)
def test_a_text_that_is_json_is_filled_as_json(value: str) -> None:
    filled = fill_text('[null, "1", "room:{x}", "phx_join", {}]', {"x": value})
    assert json.loads(filled) == [None, "1", f"room:{value}", "phx_join", {}]


@given(values)
def test_a_value_cannot_end_its_header(value: str) -> None:
    filled = fill_header("Bearer {x}", {"x": value})
    assert filled.isascii()
    assert filled.isprintable()
    assert filled.startswith("Bearer ")


def test_a_header_keeps_printable_ascii() -> None:
    assert fill_header("{x}", {"x": 'a=1; b="%2F"'}) == 'a=1; b="%2F"'
    assert fill_header("{x}", {"x": "Zoë\r\nX: y"}) == "Zo%C3%AB%0D%0AX: y"


@given(values)
def test_names_in_values_are_not_replaced(value: str) -> None:
    assert fill("{a}", {"a": value, "b": "no"}) == value
    assert fill("{a}{b}", {"a": "{b}", "b": "x"}) == "{b}x"


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", "{ a }", "{a b}", "{1}", '{"a":1}', "subscription { code }", "{{", "a}b{"],
)
def test_other_braces_are_literal(text: str) -> None:
    assert [*names_in(text)] == []
    assert fill(text, {}) == text
    assert fill_json({"a": text}, {}) == {"a": text}


def test_all_names_are_found() -> None:
    template = {"a": "{x}", "b": ["{y_1}", {"c": "{{z}}"}], "d": 1, "e": None}
    assert [*names_in(template)] == ["x", "y_1", "z"]


def test_a_name_without_a_value_is_reported() -> None:
    with pytest.raises(UnknownNameError, match="token"):
        fill_text({"a": ["{token}"]}, {"username": "x"})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("data.code", "C-1"),
        ("data.list[1].n", 2),
        ("data.list[2]", MISSING),
        ("data.list.n", MISSING),
        ("data[0]", MISSING),
        ("nothing", MISSING),
        ("data.nothing.more", MISSING),
        ("null", None),
        ("null.more", MISSING),
        ('["a.b"].c', 3),
        ('data["list"][0]["n"]', 1),
        ("text.inner.code", "C-2"),
        ("text.inner.list[0]", 5),
        ("word.code", MISSING),
        ("number.code", MISSING),
    ],
)
def test_a_path_finds_its_value(path: str, found: object) -> None:
    value = {
        "data": {"code": "C-1", "list": [{"n": 1}, {"n": 2}]},
        "null": None,
        "a.b": {"c": 3},
        "text": '{"inner":"{\\"code\\":\\"C-2\\",\\"list\\":[5]}"}',
        "word": "code",
        "number": 7,
    }
    assert JsonPath(path).find(value) == found


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "[-1]", "a[0]b", 'a["b', "a]", "[]"]
)
def test_an_invalid_path_is_reported(text: str) -> None:
    with pytest.raises(ValueError, match="invalid path"):
        JsonPath(text)


@given(st.lists(st.one_of(named, st.integers(0, 9)), min_size=1, max_size=5))
def test_a_path_leads_to_the_value_at_its_steps(steps: list[str | int]) -> None:
    value: Any = "here"
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    for step in reversed(steps):
        value = [*[None] * step, value] if isinstance(step, int) else {step: value}
    assert JsonPath(text).find(value) == "here"
    # The path stays the same if a level is JSON in a text.
    assert JsonPath(f"text.{text}" if text[0] != "[" else f"text{text}").find(
        {"text": json.dumps(value)}
    ) == ("here")


def test_a_text_nested_too_deep_is_missing() -> None:
    assert JsonPath("a.b").find({"a": "[" * 100_000}) is MISSING


def test_true_is_not_one() -> None:
    assert not json_equal(True, 1)
    assert not json_equal(0, False)
    assert json_equal(1, 1.0)
    assert not json_equal(MISSING, None)
    assert scalar_text(True) is None
    assert scalar_text(12) == "12"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)
space = st.text(" \t\r\n\ufeff", max_size=2)


@given(
    st.text(max_size=8)
    | st.tuples(space, json_values.map(json.dumps), space | st.text(max_size=3)).map("".join)
)
def test_json_is_read_as_by_the_standard_library(text: str) -> None:
    for given_text in (text, text.encode("utf-8", "surrogatepass")):
        try:
            expected = json.loads(given_text)
        except ValueError:
            with pytest.raises(ValueError):
                read_json(given_text)
        else:
            # NaN does not equal itself.
            assert repr(read_json(given_text)) == repr(expected)


def test_json_that_is_nested_too_deep_is_invalid() -> None:
    for text in ("[" * 100_000, "[" * 100_000 + "]" * 100_000, b"[" * 100_000):
        with pytest.raises(ValueError, match=r"^nested too deep$"):
            read_json(text)
