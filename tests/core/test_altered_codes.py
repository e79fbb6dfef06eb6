"""Codes that were changed on the way are recognized, and how; nothing else is."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.altered_codes import AlteredCodes
from sseload_users.core.codes import DEFAULT_TEMPLATE, CodeShape

SENT_NS = 1_790_000_000_123_456_789
RUN = "a1b2c3"


def code_and_how(template: str = DEFAULT_TEMPLATE, sequence: int = 12) -> tuple[str, AlteredCodes]:
    shape = CodeShape(RUN, template)
    return shape.mint(sequence, SENT_NS), AlteredCodes(shape)


@given(st.integers(1, 10**6), st.data())
def test_a_code_that_was_cut_off_is_recognized(sequence: int, data: st.DataObject) -> None:
    code, altered = code_and_how(sequence=sequence)
    left = data.draw(st.integers(len("LT-") + len(RUN), len(code) - 1))
    assert altered.how(code[:left]) == "cut off at the end"
    from_here = data.draw(st.integers(1, len("LT-")))
    assert altered.how(code[from_here:]) == "cut off at the beginning"
    assert altered.how(code) == ""


@pytest.mark.parametrize(
    ("template", "change", "how"),
    [
        (DEFAULT_TEMPLATE, str.upper, "in upper case"),
        (DEFAULT_TEMPLATE, str.lower, "in lower case"),
        (DEFAULT_TEMPLATE, str.title, "in another case"),
        (DEFAULT_TEMPLATE, lambda code: f" {code}\n", "with white space around"),
        (DEFAULT_TEMPLATE, json.dumps, "escaped as a JSON string"),
        (DEFAULT_TEMPLATE, lambda code: f"new: {code}!", "with further text around"),
        ("<{run}> & {seq}", html.escape, "escaped for HTML"),
        ("{run}/{seq}", lambda code: quote(code, safe=""), "percent-encoded"),
        ('{run} "{seq}"', lambda code: json.dumps(code)[1:-1], "escaped as a JSON string"),
        ("  {run} {seq} ", str.strip, "without the white space at their ends"),
    ],
)
def test_each_way_of_changing_a_code_is_named(template: str, change, how: str) -> None:  # type: ignore[no-untyped-def]
    code, altered = code_and_how(template)
    assert altered.how(change(code)) == how
    assert altered.how(code) == ""


@given(st.text())
def test_other_texts_are_no_altered_codes(text: str) -> None:
    _, altered = code_and_how()
    assert altered.how(text) == ""
    assert AlteredCodes(CodeShape(RUN, "{seq}")).how(text) == ""
