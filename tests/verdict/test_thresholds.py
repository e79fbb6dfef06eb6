from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core import formatting as words
from sseload_users.core.errors import ConfigError
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.verdict.thresholds import Bound, JudgedShare, Rule

comparisons = st.sampled_from([">", ">=", "<", "<="])
shares = st.fractions(0, 2, max_denominator=1000)


def changed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def sizes(*targets: tuple[int, str]) -> str:
    return "".join(
        f'[[size_targets]]\nup_to = {up_to}\nsuccess = "{success}"\n' for up_to, success in targets
    )


def test_the_defaults_are_those_of_the_guide() -> None:
    default = load_thresholds()
    assert {
        name: (str(rule.good), str(rule.warning))
        for name, rule in default
        if isinstance(rule, Rule)
    } == {
        "connection_success": ("> 95 %", ">= 80 %"),
        "connect_timeouts": ("none", "<= 1 %"),
        "connections_dropped": ("none", "<= 5 %"),
        "codes_accepted": ("all", ">= 95 %"),
        "codes_owed": ("all", "None"),
        "codes_received": ("all", ">= 95 %"),
        "health": ("all", "None"),
        "error_rate": ("< 1 %", "<= 5 %"),
        "duplicates": ("none", "None"),
        "replayed": ("<= 1 %", "None"),
        "out_of_order": ("none", "None"),
        "unexpected": ("none", "None"),
        "malformed": ("none", "None"),
    }


@pytest.mark.parametrize(
    ("connections", "target"),
    [(1, "all"), (50, "all"), (51, "> 95 %"), (100, "> 95 %"), (200, "> 90 %"), (499, "> 90 %")],
)
def test_a_size_has_the_target_of_the_next_one_up(connections: int, target: str) -> None:
    found = load_thresholds().size_target(connections)
    assert found is not None
    assert str(found.success) == target


def test_a_large_test_has_no_target() -> None:
    assert load_thresholds().size_target(500) is None


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    mine = load_thresholds(changed(tmp_path, '[error_rate]\ngood = "< 0.1 %"\n'))
    assert str(mine.error_rate.good) == "< 0.1 %"
    assert str(mine.error_rate.warning) == "<= 5 %"
    assert mine.codes_received == load_thresholds().codes_received


def test_a_bound_of_a_latency_is_added_to_those_of_the_defaults(tmp_path: Path) -> None:
    text = '[latency.delivery.p99]\ngood = "< 250 ms"\nwarning = "<= 1.5 s"\n'
    latency = load_thresholds(changed(tmp_path, text)).latency
    bounds = {name: (str(rule.good), str(rule.warning)) for name, rule in latency.delivery.rules()}
    assert bounds == {"p95": ("<= 1,000 ms", "None"), "p99": ("< 250 ms", "<= 1,500 ms")}
    assert not list(latency.connect.rules())


def test_equal_bounds_leave_no_room_for_a_warning(tmp_path: Path) -> None:
    mine = load_thresholds(changed(tmp_path, '[codes_received]\nwarning = "all"\n'))
    assert JudgedShare(999, 1000, mine.codes_received).grade == "issues"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[eror_rate]\ngood = 1", "eror_rate: unknown key; valid keys: connection_success, "),
        (
            '[error_rate]\nbad = "none"',
            "error_rate.bad: unknown key; valid keys: good, warning.",
        ),
        ("[error_rate]\ngood = 1", "error_rate.good: 1 is not a bound; write a comparison"),
        ('[error_rate]\ngood = "1 %"', "error_rate.good: '1 %' is not a bound;"),
        ('[error_rate]\ngood = "< -1 %"', "error_rate.good: '< -1 %' is not a bound;"),
        (
            '[error_rate]\ngood = "> 1 %"',
            "error_rate: good (> 1 %) and warning (<= 5 %) must have the same direction.",
        ),
        (
            '[error_rate]\ngood = "> 1 %"\nwarning = "> 0.5 %"',
            "error_rate.good must begin with <, not '> 1 %'.",
        ),
        (
            '[error_rate]\ngood = "< 6 %"',
            "error_rate: warning (<= 5 %) must not be stricter than good (< 6 %).",
        ),
        (
            '[codes_received]\ngood = ">= 95 %"\nwarning = "> 95 %"',
            "codes_received: warning (> 95 %) must not be stricter than good (>= 95 %).",
        ),
        (
            '[latency.delivery.p42]\ngood = "<= 1 s"',
            "latency.delivery.p42: unknown key; valid keys: p50, p95, p99, max.",
        ),
        (
            '[latency.delivery.p95]\ngood = "<= 1 %"',
            "latency.delivery.p95.good: '<= 1 %' is not a bound; write a comparison and a time",
        ),
        (
            '[latency.connect.max]\ngood = "<= 1 s"\nwarning = "< 1 s"',
            "latency.connect.max: warning (< 1,000 ms) must not be stricter than good (<= 1,000",
        ),
        ("[latency]\ndelivery = 3", "latency.delivery must be a table of p50, p95, p99 and max."),
        ('objective = "p99<=1s"', "objective: unknown key; valid keys: connection_success, "),
        ('error_rate = "none"', "error_rate must be a table of good and warning."),
        ("size_targets = 5", "size_targets must be a list of tables: [[size_targets]]."),
        (
            '[[size_targets]]\nup_to = 50.5\nsuccess = "all"',
            "size_targets[0].up_to: Input should be a valid integer, not 50.5.",
        ),
        ("[[size_targets]]\nup_to = 50", "size_targets[0].success is missing."),
        (
            sizes((50, "none")),
            "size_targets[0].success must begin with >, not 'none'.",
        ),
        (
            sizes((50, "> 90 %"), (50, "> 80 %")),
            "size_targets[1].up_to (50) must be above the one before it (50).",
        ),
        (
            sizes((50, "> 90 %"), (60, "> 95 %")),
            "size_targets[1].success (> 95 %) must not be stricter than the one before it (> 90 %)",
        ),
        ("good = ", "invalid TOML: "),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = changed(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_thresholds(path)
    assert str(raised.value).startswith(f"{path}: {said}")
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(".")


def test_the_example_in_the_documentation_works(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "verdict.md"
    text = page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    mine = load_thresholds(changed(tmp_path, text))
    assert [str(each.success) for each in mine.size_targets] == ["> 99 %"]
    assert JudgedShare(1, 1000, mine.duplicates).grade == "good"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot read the thresholds: No such"):
        load_thresholds(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_thresholds(tmp_path / "latin.toml")


@given(comparisons, shares)
def test_a_bound_is_formatted_as_it_is_written(comparison: str, share: Fraction) -> None:
    bound = Bound.parse(f"{comparison} {float(share * 100):.3f} %")
    assert Bound.parse(str(bound)) == bound


@given(comparisons, shares, shares)
def test_a_stricter_bound_accepts_less(comparison: str, left: Fraction, right: Fraction) -> None:
    looser_side = comparison[0] + ("" if comparison.endswith("=") else "=")
    one = Bound(comparison, left)  # type: ignore[arg-type]
    other = Bound(looser_side, right)  # type: ignore[arg-type]
    tried = [left, right, (left + right) / 2, left / 2, right / 2, left + 1, right + 1]
    more = any(
        other.holds(each.numerator, each.denominator)
        and not one.holds(each.numerator, each.denominator)
        for each in tried
    )
    assert one.stricter_than(other) == more


@given(st.integers(0, 10**7), st.integers(1, 10**7), st.lists(shares, max_size=2))
def test_a_share_is_never_rounded_misleadingly(
    part: int, whole: int, marks: list[Fraction]
) -> None:
    part = min(part, whole)
    shown = Fraction(words.share(part, whole, marks).removesuffix(" %")) / 100
    exact = Fraction(part, whole)
    assert abs(shown - exact) <= Fraction(1, 2000)
    for mark in (Fraction(0), Fraction(1), *marks):
        assert (shown > mark, shown == mark) == (exact > mark, exact == mark)


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 5000, "0 of 5,000 (0 %)"),
        (5000, 5000, "5,000 of 5,000 (100 %)"),
        (4999, 5000, "4,999 of 5,000 (99.98 %)"),
        (1, 1_000_000, "1 of 1,000,000 (0.0001 %)"),
        (9996, 10000, "9,996 of 10,000 (99.96 %)"),
        (2, 3, "2 of 3 (66.7 %)"),
        (0, 0, "0 of 0"),
    ],
)
def test_counts_with_their_share(part: int, whole: int, shown: str) -> None:
    assert words.of(part, whole) == shown


def test_a_share_stays_on_its_side_of_a_threshold() -> None:
    assert words.share(9496, 10000) == "95 %"
    assert words.share(9496, 10000, [Fraction(95, 100)]) == "94.96 %"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("überlast €", "überlast €"),
        ("\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"),
        ("\x9b2J", "\ufffd2J"),
        ("two\r\nlines\tand", "two  lines and"),
        ("ab\u202ecd\u200b", "ab\ufffdcd\ufffd"),
        ("\ud800", "\ufffd"),
    ],
)
def test_foreign_text_contains_no_escape(text: str, shown: str) -> None:
    assert words.clean(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.0, "0.000"), (0.4456, "0.446"), (4.456, "4.46"), (9.996, "10.0"),
     (99.96, "100"), (1234.5, "1,234"), (12345678.0, "12,345,678")],
)  # fmt: skip
def test_milliseconds_have_three_digits(value: float | None, shown: str) -> None:
    assert words.ms(value) == shown
