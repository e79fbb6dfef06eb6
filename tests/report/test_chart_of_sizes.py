"""The chart of a ladder's and a search's sizes: its points are the figures of the steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sseload_users.core.run_figures import Probe, SearchResult
from sseload_users.report import charts, html
from sseload_users.report.charts import scale
from tests.report.test_charts import path, plot, say
from tests.support.pages import cells, classes, parse, words
from tests.support.reports import sample, step_of


def test_latency_and_delivery_are_drawn_against_connections() -> None:
    reports = [sample(50, 4), sample(200, 4, missing=80), sample(100, 4)]
    steps = [step_of(each, f"{each.connections.attempted}") for each in reports]
    figure = parse(charts.sizes(steps, [50, 200, 100], "connections"))
    across = [x for x, _ in path(figure, "s1")]
    assert across == [250.0, 500.0, 1000.0]
    # Delivered: 100, 100 and 90 %, on an axis from 90 %.
    assert [y for _, y in path(figure, "s4")] == [0.0, 0.0, 95.0]
    top = max(each.delivery_ms.max or 0 for each in reports)
    y = scale.latencies(
        value
        for each in reports
        for value in (getattr(each.delivery_ms, name) for name in ("p50", "p95", "p99", "max"))
    )
    for (_, down), report in zip(
        path(figure, "s2"), (reports[0], reports[2], reports[1]), strict=True
    ):
        assert down == pytest.approx(170 * (1 - y.at(report.delivery_ms.p99 or 0)), abs=0.06)
    assert y.high >= top
    assert len(classes(plot(figure), "dot")) == 3 * 5
    assert [row[0] for row in cells(figure)[1:]] == ["50", "100", "200"]
    assert cells(figure)[3][-1] == "90 %"
    assert "from 200 connections on, not everything that was owed arrived." in words(figure)
    assert say(figure)[-1].startswith("200 connections: 90 % delivered, p50 ")


def test_sizes_far_apart_are_on_a_logarithmic_axis() -> None:
    axis = scale.sizes([50, 100, 3200])
    assert axis.logarithmic
    assert (axis.low, axis.high) == (50, 5000)
    assert not scale.sizes([50, 100, 200]).logarithmic
    assert scale.percentages([99.98]).low > 99
    assert scale.percentages([20.0]).low == 0


def test_a_step_without_deliveries_has_no_points() -> None:
    figure = parse(charts.sizes([step_of(sample(0, 0), "0")], [0], "connections"))
    assert not classes(plot(figure), "dot")
    assert "Nothing was delivered." in words(figure)


def test_the_page_of_a_ladder_has_it_and_others_do_not() -> None:
    report = sample(100, 4)
    assert "chart-sizes" not in html.document(report)
    report.steps = [step_of(sample(50, 2), "50"), step_of(report, "100")]
    assert 'id="chart-sizes"' in html.document(report)


def test_a_search_for_a_rate_draws_against_codes_a_second() -> None:
    report = sample(50, 4)
    runs = ((10, sample(50, 4)), (40, sample(50, 4, missing=20)))
    report.steps = [step_of(each, str(rate)) for rate, each in runs]
    judged = replace(report.verdict.reasons[0], rule="search", sentence="10 codes a second.")
    report.verdict.reasons.append(judged)
    report.search = SearchResult(
        over="rate", objective=["delivery >= 99.9 %"], largest=10, held=10, broke_at=40,
        limited_by="server", first_broken=[], cause="",
        probes=[
            Probe(size=size, held=size < 40, broken=[], cause="", saturated=False)
            for size in (10, 40)
        ],
    )  # fmt: skip
    root = parse(html.document(report))
    (figure,) = (each for each in root.iter("figure") if each.get("id") == "chart-sizes")
    assert [row[0] for row in cells(figure)] == ["codes a second", "10", "40"]
    assert [x for x, _ in path(figure, "s4")] == [250.0, 1000.0]
    assert "from 40 codes a second on, not everything that was owed arrived." in words(figure)
