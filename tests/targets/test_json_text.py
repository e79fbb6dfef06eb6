"""JSON texts that are filled many times."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sseload_users.targets.json_text import prepared
from sseload_users.targets.template import UnknownNameError, fill_text

#: Templates are made of these: names, quotes, escapes, and what looks like names but is none.
_pieces = ("{a}", "{b}", "{c}", "{", "}", '"', "\\", "\\u007ba}", "ä", "\U0001f600", " ", "[", "1")
_texts = st.lists(st.sampled_from(_pieces), max_size=4).map("".join)
_scalars = st.one_of(_texts, st.integers(), st.floats(), st.booleans(), st.none())
_nested = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(_texts, inner, max_size=3),
        inner.map(json.dumps),  # JSON in a text
        st.tuples(inner, inner),
    ),
    max_leaves=8,
)
_values = st.fixed_dictionaries(
    {name: st.text(st.characters(), max_size=5) for name in ("a", "b", "c")}
)


@given(_nested, _values)
@example('{"x": "{a}"}', {"a": '"\\', "b": "", "c": ""})
@example({"x": json.dumps({"y": json.dumps(["{a}", 1.0])})}, {"a": '"\ud83d', "b": "", "c": ""})
@example(' [1,  "\\u007ba}"]', {"a": "", "b": "", "c": ""})
@example({"{a}": 1, "{b}": 2}, {"a": "same", "b": "same", "c": ""})
def test_it_is_filled_as_any_template_is(template: Any, values: dict[str, str]) -> None:
    text = prepared(template)
    if text is not None:
        assert text.fill(values) == fill_text(template, values)


@pytest.mark.parametrize(
    "template",
    [{"code": "{code}"}, ["{code}", 1], '{"code": "{code}"}', {"x": '{"code": "{code}"}'}],
)
def test_usual_bodies_are_prepared(template: Any) -> None:
    text = prepared(template)
    assert text is not None
    with pytest.raises(UnknownNameError, match=r"^code$"):
        text.fill({"username": "x"})


@pytest.mark.parametrize("template", [None, "{code}", '"{code}"', '{"a": 1}', {"{code}": 1}])
def test_what_is_no_such_text_is_not(template: Any) -> None:
    assert prepared(template) is None
