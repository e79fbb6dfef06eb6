from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.errors import ConfigError
from sseload_users.core.figures import Account
from sseload_users.core.objective import DEFAULT, Objective, measure
from tests.support.reports import sample


def unmet(text: str, account: Account) -> list[str]:
    return [term.compare(figure) for term, figure in Objective.parse(text).unmet(account)]


def test_a_clean_run_meets_every_condition() -> None:
    assert unmet("delivery>=100%, connect>=100%, accepted>=100%", sample(100, 10)) == []
    assert unmet("errors<=0%, dropped<=0%, p50<=1s, p99.9<=10s, max<=60s", sample(100, 10)) == []


def test_unmet_conditions_are_described_with_their_figures() -> None:
    report = sample(100, 10, refused=6, missing=47, dropped=2, rejected=1, malformed=2)
    assert unmet(DEFAULT, report) == [
        "delivery 94.4 %, objective >= 99.9 %",
        "connect 94 %, objective >= 95 %",
        "errors 10 %, objective <= 1 %",
    ]
    assert unmet("accepted >= 95 %,dropped<=1%", report) == [
        "accepted 90 %, objective >= 95 %",
        "dropped 2.1 %, objective <= 1 %",
    ]


def test_latencies_are_milliseconds_or_seconds() -> None:
    report = sample(100, 10, median_ms=700)
    (words,) = unmet("p50<=0.5s, p50<=500000", report)
    assert words.startswith("p50 ")
    assert words.endswith(" ms, objective <= 500 ms")
    assert [str(term) for term in Objective.parse("p99<=1.5s,errors<=0.5%").terms] == [
        "p99 <= 1,500 ms",
        "errors <= 0.5 %",
    ]


def test_without_deliveries_there_is_no_latency() -> None:
    report = sample(0, 3)
    assert unmet("delivery>=1%, connect>=1%, p99<=1ms", report) == [
        "delivery none, objective >= 1 %",
        "connect none, objective >= 1 %",
        "p99 none, objective <= 1.00 ms",
    ]


def test_a_figure_is_never_rounded_across_its_bound() -> None:
    report = sample(100, 100, missing=11)
    assert unmet("delivery>=99.9%", report) == ["delivery 99.89 %, objective >= 99.9 %"]
    assert unmet("delivery>=99.9%", sample(100, 100, missing=10)) == []
    report.delivery_ms.p99 = 500.2
    assert unmet("p99<=500ms", report) == ["p99 500.200 ms, objective <= 500 ms"]


@given(whole=st.integers(1, 10**6), tenths=st.integers(0, 1000), off=st.integers(-1, 1))
def test_shares_are_compared_exactly(whole: int, tenths: int, off: int) -> None:
    part = min(whole, max(0, whole * tenths // 1000 + off))
    report = sample(1, 1)
    report.deliveries.owed, report.deliveries.delivered = whole, part
    kept = not unmet(f"delivery>={tenths / 10}%", report)
    assert kept == (part * 1000 >= whole * tenths)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "--objective is empty"),
        (" , ", "--objective is empty"),
        ("fast", "Invalid --objective 'fast': use"),
        ("speed>=3", "Invalid --objective 'speed>=3': use"),
        ("delivery>99%", "Invalid --objective 'delivery>99%': use"),
        ("delivery<=99%", "write for example delivery>=95%"),
        ("errors>=1%", "write for example errors<=95%"),
        ("p99>=500ms", "write for example p99<=500ms"),
        ("delivery>=500ms", "write for example delivery>=95%"),
        ("p99<=5%", "write for example p99<=500ms"),
        ("p99<=500ms; x", "Invalid --objective"),
        ("p99<=\x1b[31m", "Invalid --objective"),
    ],
)
def test_an_invalid_objective_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Objective.parse(text)
    sentence = str(caught.value)
    assert said in sentence
    assert sentence.isprintable()
    assert sentence.endswith(".")


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_any_text_is_an_objective_or_refused_in_one_sentence(text: str) -> None:
    with contextlib.suppress(ConfigError):
        for term in Objective.parse(text).terms:
            assert measure(sample(3, 2), term.name) is not None
        return
    with pytest.raises(ConfigError) as caught:
        Objective.parse(text)
    assert str(caught.value).isprintable()
