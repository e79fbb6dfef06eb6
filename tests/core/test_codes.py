from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sseload_users.core.codes import DEFAULT_TEMPLATE, CodeShape, ParsedCode, new_run_id, to_base36

RUN = "k3x9p0"
SENT_NS = 1_764_000_000_123_456_789

run_ids = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=6, max_size=6)
plain = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=6)
sequences = st.integers(1, 10**18 - 1)
moments = st.integers(0, 36**12 - 1)


@st.composite
def templates(draw: st.DrawFn) -> str:
    """Any order of any fields, with any text about them."""
    width = draw(st.integers(0, 18))
    names = [f"{{seq:0{width}}}" if width else "{seq}"]
    names += draw(st.lists(st.sampled_from(["{run}", "{sent}"]), unique=True))
    ordered = draw(st.permutations(names))
    return draw(plain) + "".join(name + draw(plain) for name in ordered)


@st.composite
def shapes(draw: st.DrawFn) -> CodeShape:
    """Those of them that are no mistake."""
    try:
        return CodeShape(draw(run_ids), draw(templates()))
    except ValueError:
        assume(False)
        raise


@settings(deadline=None)
@given(shapes(), sequences, moments)
def test_a_minted_code_is_parsed_back(shape: CodeShape, sequence: int, sent_ns: int) -> None:
    knows_when = "{sent}" in shape.template
    minted = shape.mint(sequence, sent_ns)
    assert shape.parse(minted) == ParsedCode(sequence, sent_ns if knows_when else None)


@settings(deadline=None)
@given(templates(), run_ids, st.tuples(sequences, moments), st.tuples(sequences, moments))
def test_a_valid_template_gives_each_code_a_unique_text(
    template: str, run_id: str, one: tuple[int, int], other: tuple[int, int]
) -> None:
    assume(one[0] != other[0])
    try:
        shape = CodeShape(run_id, template)
    except ValueError:
        return
    assert shape.mint(*one) != shape.mint(*other)


@settings(deadline=None)
@given(shapes(), sequences, moments, st.data())
def test_only_texts_that_mint_can_produce_are_parsed(
    shape: CodeShape, sequence: int, sent_ns: int, data: st.DataObject
) -> None:
    """A text with one character changed, put in or left out is itself a code, or none."""
    text = shape.mint(sequence, sent_ns)
    at = data.draw(st.integers(0, len(text)))
    char = data.draw(st.sampled_from("0123456789abzABZ-_ \n\u0661\uff11") | st.characters())
    for near in (text[:at] + char + text[at:], text[:at] + char + text[at + 1 :],
                 text[:at] + text[at + 1 :]):  # fmt: skip
        reading = shape.parse(near)
        if reading is not None:
            assert shape.mint(reading.sequence, reading.sent_ns or 0) == near


@settings(deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"LT-[0-9a-z]{6}-[0-9]+-[0-9a-z]+"))
def test_a_parsed_text_is_the_one_that_would_be_minted(text: str) -> None:
    shape = CodeShape(RUN)
    reading = shape.parse(text)
    if reading is not None:
        assert reading.sent_ns is not None
        assert shape.mint(reading.sequence, reading.sent_ns) == text
        assert 1 <= reading.sequence < 10**18
        assert reading.sent_ns < 2**63


@settings(deadline=None)
@given(run_ids, run_ids, sequences, moments)
def test_codes_of_another_run_are_foreign(own: str, other: str, sequence: int, at: int) -> None:
    assume(own != other)
    assert CodeShape(own).parse(CodeShape(other).mint(sequence, at)) is None


def test_the_default_shape() -> None:
    minted = CodeShape(RUN).mint(7, SENT_NS)
    assert minted == f"LT-k3x9p0-7-{to_base36(SENT_NS)}"
    assert CodeShape(RUN).parse(minted) == ParsedCode(7, SENT_NS)
    assert CodeShape(RUN).template == DEFAULT_TEMPLATE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "LT",
        f"LT-{RUN}-7-",
        f"LT-{RUN}--abc",
        f"LT-{RUN}-0-abc",
        f"LT-{RUN}-07-abc",
        f"LT-{RUN}-+7-abc",
        f"LT-{RUN}-1_0-abc",
        f"LT-{RUN}-7-0abc",
        f"LT-{RUN}-7-ABC",
        f"LT-{RUN}-7--1",
        f"LT-{RUN}-\u0667-abc",
        f"LT-{RUN}-7-abc ",
        f" LT-{RUN}-7-abc",
        f"LT-{RUN}-7-abc\n",
        f"LT-{RUN}-7-abc\0",
        f"lt-{RUN}-7-abc",
        f"LT-{RUN.upper()}-7-abc",
        f"LT-{RUN[:-1]}-7-abc",
        f"LT-{RUN}0-7-abc",
        f"LT-{RUN}-{10**18}-abc",
        f"LT-{RUN}-7-{to_base36(36**12)}",
        f"LT-{RUN}-7-abcLT-{RUN}-7-abc",
    ],
)
def test_near_misses_are_foreign(text: str) -> None:
    assert CodeShape(RUN).parse(text) is None


def test_padded_numbers_are_parsed() -> None:
    shape = CodeShape(RUN, "{seq:04}")
    assert (shape.mint(7, 0), shape.mint(12345, 0)) == ("0007", "12345")
    assert shape.parse("0007") == ParsedCode(7, None)
    assert shape.parse("12345") == ParsedCode(12345, None)
    assert [shape.parse(text) for text in ("7", "007", "00007", "012345", "0000")] == [None] * 5


@pytest.mark.parametrize("part", ["7" * 10_000_000, "0" * 10_000_000, "z" * 10_000_000])
@pytest.mark.parametrize("text", ["LT-{run}-{part}-abc", "LT-{run}-7-{part}", "{part}"])
def test_a_huge_text_is_rejected_quickly(text: str, part: str) -> None:
    huge = text.format(run=RUN, part=part)
    begin = time.perf_counter()
    assert CodeShape(RUN).parse(huge) is None
    assert time.perf_counter() - begin < 0.5


ALIKE = " has no {seq}, so all codes would be the same"
NO_FIELD = ": %s is not one of {run}, {seq}, {sent}, each at most once"
WIDTH = ": only {seq} takes a width, from {seq:01} to {seq:018}"
ADJACENT = ": adjacent fields cannot be parsed; put a character between them"
DIGITS = (
    ": only digits separate {seq} and {sent}, which cannot be parsed; put another character "
    "between them"
)
BRACE = ": a brace does not belong to {run}, {seq} or {sent}; remove it"


@pytest.mark.parametrize(
    ("template", "mistake"),
    [
        ("LT-{run}", ALIKE),
        ("", ALIKE),
        ("{seq}-{id}", NO_FIELD % "{id}"),
        ("{seq}-{}", NO_FIELD % "{}"),
        ("{seq}-{seq}", NO_FIELD % "{seq}"),
        ("{seq!r}", NO_FIELD % "{seq!r}"),
        ("{seq:6}", WIDTH),
        ("{seq:}", WIDTH),
        ("{seq:00}", WIDTH),
        ("{seq:019}", WIDTH),
        ("{seq:0\u0667}", WIDTH),
        ("{seq}-{sent:06}", WIDTH),
        ("{run}{seq}", ADJACENT),
        ("{seq}{sent}-{run}", ADJACENT),
        ("{seq}0{sent}", DIGITS),
        ("{sent}1{run}2{seq}", DIGITS),
        ("{seq}-}", BRACE),
        ("{{seq}}", BRACE),
        ("{-{seq}", BRACE),
        ("{seq}-{sent", BRACE),
    ],
)
def test_a_mistake_in_a_template_gives_one_sentence(template: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"code template {template!r}{mistake}") + "$"):
        CodeShape(RUN, template)


def test_one_letter_between_numbers_suffices() -> None:
    for template in ("{seq}x{sent}", "{sent}x{seq}", "{seq}1x{run}2{sent}", "{sent}9x{seq}"):
        shape = CodeShape("123456", template)
        for sequence, sent_ns in ((1, 1), (91, 36**3), (9, int("9x9x9", 36)), (99, SENT_NS)):
            assert shape.parse(shape.mint(sequence, sent_ns)) == ParsedCode(sequence, sent_ns)


@settings(deadline=None)
@given(st.integers(0, 2**70))
def test_base_36_matches_python(number: int) -> None:
    text = to_base36(number)
    assert int(text, 36) == number
    assert text == text.lower()
    assert text == "0" or not text.startswith("0")


def test_run_ids_are_six_characters_and_differ() -> None:
    ids = {new_run_id() for _ in range(1000)}
    assert len(ids) > 990
    assert all(re.fullmatch("[0-9a-z]{6}", each) for each in ids)


def test_the_widest_sequence_number_is_parsed_back() -> None:
    shape = CodeShape("abc123", "{seq:018}")
    assert shape.parse(shape.mint(7, 0)) == ParsedCode(7, None)


@pytest.mark.parametrize(
    ("template", "text", "found"),
    [
        (DEFAULT_TEMPLATE, f'["LT-{RUN}-1-a","LT-{RUN}-12-bc"]', [(1, 10), (12, 408)]),
        (DEFAULT_TEMPLATE, f"LT-{RUN}-1-a\\nLT-{RUN}-2-b", [(1, 10), (2, 11)]),
        (DEFAULT_TEMPLATE, "LT-another-1-a LT-another-2-b", []),
        ("{run}-{seq}", f"{RUN}-1,{RUN}-12,x{RUN}-3,{RUN}-4x", [(1, None), (12, None)]),
        ("{seq}", "1 2 3", []),
    ],
)
def test_codes_are_found_anywhere_in_bytes(
    template: str, text: str, found: list[tuple[int, int | None]]
) -> None:
    shape, data = CodeShape(RUN, template), f"\udcff{text}".encode(errors="surrogateescape")
    assert [(each.sequence, each.sent_ns) for each in shape.find_all(data)] == found
    assert shape.count_in(data) >= len(found)
