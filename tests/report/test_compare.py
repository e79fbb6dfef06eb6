from __future__ import annotations

import io
import random
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from sseload_users.cli import compare as front
from sseload_users.core.errors import ConfigError
from sseload_users.core.histogram import Histogram
from sseload_users.report import comparison_views as views
from sseload_users.report import hdr
from sseload_users.report.comparison import Comparison, Row, compare
from sseload_users.report.intervals import percentile_interval, ratio
from sseload_users.report.model import Report
from sseload_users.report.serialization import parse, read, to_json
from tests.support.hostile import HOSTILE, hostile_report
from tests.support.pages import cells, inert, section, words
from tests.support.reports import as_data, sample, samples
from tests.support.terminal import Terminal


def report(**changes: Any) -> Report:
    return sample(**{"connections": 200, "codes": 20} | changes)


def moody(seed: int, median_ms: float = 10.0, mood: float = 0.3) -> Report:
    """A run whose codes differ: each has a median of its own, around that of all."""
    random_ = random.Random(seed)
    made = sample(1, 1)
    delivery, per_code = Histogram(), []
    for seq in range(1, 31):
        own, centre = Histogram(), median_ms * random_.lognormvariate(0, mood)
        own.add_all(int(1000 * centre * random_.lognormvariate(0, 0.3)) for _ in range(200))
        delivery.merge(own)
        latency = own.summary()
        per_code.append(
            replace(
                made.per_code[0],
                seq=seq,
                owed=200,
                delivered=200,
                first_ms=latency.min,
                p50_ms=latency.p50,
                p95_ms=latency.p95,
                p99_ms=latency.p99,
                last_ms=latency.max,
            )
        )
    made.per_code, made.delivery_ms = per_code, delivery.summary()
    made.deliveries.owed = made.deliveries.delivered = 6000
    return made


def rows(result: Comparison) -> dict[str, Row]:
    return {row.name: row for row in (*result.shares, *result.latencies, *result.connects)}


def outcomes(result: Comparison) -> dict[str, str]:
    return {name: row.outcome for name, row in rows(result).items() if row.outcome != "not judged"}


def test_a_run_equals_itself() -> None:
    result = compare(report(missing=7, refused=3), report(missing=7, refused=3))
    assert set(outcomes(result).values()) == {"same"}
    assert not result.worse
    assert list(result.notes) == ["Both reports are of the same run."]


def test_other_latencies_of_the_same_server_are_noise() -> None:
    result = compare(report(), report(seed=2))
    assert set(outcomes(result).values()) == {"same", "unclear"}
    assert rows(result)["p50"].change != "0 %"
    assert rows(result)["max"].outcome == "not judged"


def test_a_slower_run_is_reported_with_its_figures() -> None:
    result = compare(report(), report(seed=2, median_ms=8.0))
    assert {name for name, outcome in outcomes(result).items() if outcome == "worse"} == {
        "p50", "p90", "p95", "p99",
    }  # fmt: skip
    assert result.worse
    (sentence,) = result.sentences("worse")
    assert re.fullmatch(
        r"B is slower: p50 3\.99 → 7\.9\d ms \(\+\d+ %\), p90 .*, p99 [\d.]+ → .* ms \(\+\d+ %\)\.",
        sentence,
    )
    interval = rows(result)["p50"].interval
    assert interval is not None
    assert interval.low < interval.value < interval.high
    back = compare(report(seed=2, median_ms=8.0), report())
    assert not back.worse
    assert back.sentences("better")[0].startswith("B is faster: p50 ")


def test_a_change_within_the_tolerance_does_not_count() -> None:
    before, after = report(connections=500), report(connections=500, seed=2, median_ms=4.3)
    assert "p50" in outcomes(compare(before, after, tolerance=3))
    assert outcomes(compare(before, after, tolerance=3))["p50"] == "worse"
    assert outcomes(compare(before, after))["p50"] == "unclear"


def told_apart_as_if_independent(a: Report, b: Report) -> bool:
    measured = [
        percentile_interval(histogram, 50, histogram.total, histogram.total)
        for each in (a, b)
        if (histogram := hdr.histogram(each.delivery_ms))
    ]
    change = ratio(*measured)
    return change.low > 0 or change.high < 0


def test_chance_variation_between_codes_is_not_a_difference() -> None:
    runs = [moody(seed) for seed in range(8)]
    pairs = list(combinations(runs, 2))
    clear = [
        result for a, b in pairs if (result := compare(a, b)).worse or result.sentences("better")
    ]
    # By chance, one of a hundred percentiles is clear; pooled as if all latencies were
    # independent, most of them would be.
    assert len(clear) <= 2
    assert sum(told_apart_as_if_independent(a, b) for a, b in pairs) > len(pairs) / 2
    assert compare(moody(1), moody(2, median_ms=16.0)).worse


@pytest.mark.parametrize(
    ("before", "after", "name", "outcome"),
    [
        ({}, {"refused": 20}, "connected", "worse"),
        ({"refused": 20}, {}, "connected", "better"),
        ({}, {"refused": 1}, "connected", "unclear"),
        ({}, {"dropped": 30}, "dropped", "worse"),
        ({}, {"rejected": 12}, "codes accepted", "worse"),
        ({}, {"rejected": 1}, "codes accepted", "unclear"),
        ({}, {"timed_out": 30}, "errors", "worse"),
        ({}, {"missing": 3}, "delivered", "unclear"),
        # All of one code's: as it happened once, it may happen again, or never.
        ({}, {"missing": 200}, "delivered", "unclear"),
        ({}, {"missing": 3000}, "delivered", "worse"),
        ({"missing": 3000}, {}, "delivered", "better"),
    ],
)
def test_shares_are_judged_by_their_counts(
    before: dict[str, int], after: dict[str, int], name: str, outcome: str
) -> None:
    assert outcomes(compare(report(**before), report(**after)))[name] == outcome


def test_losses_spread_over_all_codes_are_a_clear_difference() -> None:
    made = sample(200, 20)
    for code in made.per_code:
        code.delivered, code.missing = 199, 1
    made.deliveries.delivered, made.deliveries.missing = 199 * 20, 20
    result = compare(report(), made)
    assert outcomes(result)["delivered"] == "worse"
    assert result.sentences("worse") == [
        "B delivers less of what is owed: 4,000 of 4,000 (100 %) → 3,980 of 4,000 (99.5 %)."
    ]


def test_a_verdict_from_good_to_issues_is_a_clear_difference() -> None:
    result = compare(report(), report(missing=600))
    assert outcomes(result)["delivered"] == "unclear"
    assert result.sentences("worse") == ["The verdict of A is good, that of B is issues."]
    assert compare(report(), report(missing=3)).verdicts.outcome == "unclear"
    assert compare(report(missing=600), report()).verdicts.outcome == "better"


def test_nothing_to_measure_is_worse_than_something() -> None:
    result = compare(report(), report(refused=200))
    assert outcomes(result)["delivered"] == "worse"
    assert rows(result)["p50"].after == "-"
    assert result.worse
    assert not compare(report(refused=200), report(refused=200)).worse
    assert compare(report(codes=0), report(connections=0, codes=0)).worse


@given(samples(), samples())
@settings(max_examples=40, deadline=None)
def test_any_two_reports_can_be_compared(before: Report, after: Report) -> None:
    result = compare(before, after)
    there, back = outcomes(result), outcomes(compare(after, before))
    opposite = {"worse": "better", "better": "worse"}
    assert {name: opposite.get(each, each) for name, each in there.items()} == back
    for width in (60, 80, 100):
        text = views.summary(before, after, result, width)
        assert max(map(len, text.splitlines())) <= width
        assert views.answer(result) in text
    inert(views.document(before, after, result))


def test_other_differences_are_noted() -> None:
    made = sample(complete=False, saturated=True, timestamps="userspace", connections=60)
    made.run.target, made.run.workers, made.run.id = "http://127.0.0.2", 3, "other"
    made.schema = 2
    notes = "\n".join(compare(report(connections=50), made).notes)
    for words_ in (
        "B has schema 2, not 1",
        "The run of B is incomplete",
        "The generator of B was saturated",
        "The targets differ: http://127.0.0.1:8000 and http://127.0.0.2.",
        "The numbers of workers differ: 1 and 3.",
        "different means (kernel and userspace)",
        "Options differ: codes 20 → 10, connections 50 → 60, duration 120.0 → 60.0.",
    ):
        assert words_ in notes


def test_many_options_are_bounded() -> None:
    made = sample()
    made.run.options = {f"option{index}": "x" * 500 for index in range(100)}
    (options,) = (n for n in compare(report(), made).notes if n.startswith("Options"))
    assert len(options) < 700
    assert options.endswith("more.")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data.pop("deliveries"), "deliveries: field required"),
        (lambda data: data["deliveries"].update(owed="many"), "deliveries.owed: input should be"),
        (lambda data: data["deliveries"].update(owed=-1), "deliveries.owed: input should be"),
        (lambda data: data["delivery_ms"].update(hdr="x"), "delivery_ms: not an HdrHistogram"),
        (lambda data: data["delivery_ms"].update(p50=None), "delivery_ms: it counts values"),
        (lambda data: data["delivery_ms"].update(count=5), "delivery_ms: its count is not"),
        (lambda data: data["verdict"].update(grade="fine"), "verdict.grade: input should be"),
    ],
)
def test_an_invalid_report_is_explained_in_one_sentence(
    spoil: Callable[[Any], Any], said: str
) -> None:
    data = as_data(sample())
    spoil(data)
    with pytest.raises(ConfigError) as raised:
        parse(data, "B.json")
    assert str(raised.value).startswith(f"B.json: is not a report of sseload ({said}")
    assert "\n" not in str(raised.value)


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., str]:
    def make(name: str, **changes: Any) -> str:
        path = tmp_path / name
        path.mkdir()
        (path / "report.json").write_text(to_json(report(**changes)))
        return str(path)

    return make


def test_the_exit_status_tells_whether_b_is_worse(
    files: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, same, bad = files("good"), files("same", seed=2), files("bad", median_ms=9.0)
    assert front.main([good, same]) == 0
    assert capsys.readouterr().out.rstrip().endswith("✓ No clear difference.")
    assert front.main([f"{good}/report.json", bad]) == 1
    assert "✗ B is clearly worse.\n   ✗ B is slower: p50 " in capsys.readouterr().out
    assert front.main([bad, good]) == 0
    assert "✓ B is clearly better." in capsys.readouterr().out
    assert front.main([good, bad, "--tolerance", "900%"]) == 0
    assert "within 900 %" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"cannot be read \(no such file or directory\); name a report\.json or"),
        (b"{", r"is not JSON \(.*\); name a report\.json"),
        (b"\xff\xfe\xff", r"is not JSON \(.*\); name a report\.json"),
        (b"[" * 100_000, r"is not JSON \(.*\); name a report\.json"),
        (b"[]", r"is not a report of sseload \(the whole: input should be .*\); name a"),
        (b"{}", r"is not a report of sseload \(schema: field required\); name a report\.json that"),
    ],
)
def test_an_unreadable_file_exits_with_two(
    files: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    content: bytes | None, said: str,
) -> None:  # fmt: skip
    other = tmp_path / "other.json"
    if content is not None:
        other.write_bytes(content)
    assert front.main([files("good"), str(other)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert re.fullmatch(rf"{re.escape(str(other))}: {said}[^\n]*\n", output.err)


@pytest.mark.parametrize("tolerance", ["-1", "nan", "x", "1e9"])
def test_a_tolerance_is_a_percentage(tolerance: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        front.main(["A", "B", f"--tolerance={tolerance}"])
    assert "is not a percentage from 0 to 1000" in capsys.readouterr().err


def test_the_page_shows_both_runs(files: Callable[..., str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    status = front.main([files("a"), files("b", median_ms=9.0, refused=20), "--html", str(page)])
    assert status == 1
    root = inert(page.read_text(encoding="utf-8"))
    assert words(root.find("head/title")) == "sseload: B is clearly worse."
    assert words(root.find(".//h1")) == "✗ B is clearly worse."
    table = {row[0]: row[1:] for row in cells(section(root, "figures")) if len(row) == 5}
    assert table["connected"] == ["100 %", "90 %", "-10 pp", "✗ worse"]
    assert table["p50"][3] == "✗ worse"
    assert table["max"][3] == ""
    changes, distribution = root.iter("figure")
    assert [row[0] for row in cells(changes)[1:]] == ["p50", "p90", "p95", "p99", "p99.9"]
    assert cells(distribution)[0] == ["share", "A, ms", "B, ms"]


def test_an_unwritable_page_exits_with_two(
    files: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = files("a")
    assert front.main([place, place, "--html", str(tmp_path / "no" / "page.html")]) == 2
    assert "the page cannot be written (no such file or directory)" in capsys.readouterr().err


def test_texts_of_reports_are_escaped() -> None:
    after = hostile_report()
    after.run.options = {**after.run.options, "\x1b[2J": HOSTILE[0]}
    before = report(connections=50, codes=10)
    result = compare(before, after)
    text = views.summary(before, after, result)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    root = inert(views.document(before, after, result))
    assert "<script>window.stolen=1</script>" in words(root)


def test_only_terminals_get_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after = report(), report(median_ms=9.0)
    result = compare(before, after)
    plain = io.StringIO()
    views.print_comparison(before, after, result, file=plain)
    assert "\x1b" not in plain.getvalue()
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    screen = Terminal(60)
    views.print_comparison(before, after, result, file=screen.file)
    assert "\x1b[1;31m✗ B is clearly worse." in screen.read()
    assert max(map(len, screen.lines())) <= 60
    screen.close()
    ascii_ = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    views.print_comparison(before, after, result, file=ascii_)


def test_a_directory_names_its_report(files: Callable[..., str]) -> None:
    place = files("a")
    assert read(place) == read(Path(place) / "report.json")


def test_leaks_and_replays_are_compared_where_there_are_any() -> None:
    clean = sample(30, 30, channels=3)
    leaking = sample(30, 30, channels=3, leaked=40, resume=True, replayed=2)
    compared = compare(clean, leaking)
    assert {"leaked", "replayed"} <= {row.name for row in compared.shares}
    assert any("leaks more codes" in each for each in compared.sentences("worse"))
    assert not {"leaked", "replayed"} & {row.name for row in compare(clean, clean).shares}


def test_what_was_recovered_is_delivered() -> None:
    all_in_time = sample(10, 10)
    some_recovered = sample(10, 10, recovered=50, resume=True)
    shares = compare(all_in_time, some_recovered).shares
    (row,) = (each for each in shares if each.name == "delivered")
    assert (row.before, row.after, row.outcome) == ("100 %", "100 %", "same")
    (row,) = (each for each in shares if each.name == "recovered")
    assert (row.before, row.after, row.outcome) == ("0 %", "50 %", "not judged")
    names = [row.name for row in compare(some_recovered, some_recovered).connects]
    assert names[-2:] == ["catching up p50", "catching up p99"]
