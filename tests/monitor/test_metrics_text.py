"""The metrics page of a server: parsing, and the series that are selected."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from sseload_users.core.errors import ConfigError
from sseload_users.core.metric_selectors import MetricSelector, parse_selectors
from sseload_users.monitor.metrics_text import parse_samples
from sseload_users.report import prometheus
from tests.support.reports import sample


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True),
            st.dictionaries(
                # Names that begin with two underscores are reserved.
                st.from_regex(r"[a-z]_?[a-z0-9_]{0,4}", fullmatch=True),
                st.text(
                    st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=8
                ),
                max_size=3,
            ),
            st.floats(),
        ),
        max_size=6,
    )
)
def test_samples_are_parsed_as_written(
    samples: list[tuple[str, dict[str, str], float]],
) -> None:
    lines = ["# HELP x of no interest", "# TYPE x gauge", ""]
    for name, labels, value in samples:
        text = str(MetricSelector(name, tuple(labels.items())))
        lines.append(
            f"{text} {value if not math.isinf(value) else ('+Inf' if value > 0 else '-Inf')}"
        )
    found = parse_samples("\n".join(lines) + "\n")
    assert [(each.name, each.labels) for each in found] == [each[:2] for each in samples]
    for each, (_, _, value) in zip(found, samples, strict=True):
        assert each.value == value or (math.isnan(value) and math.isnan(each.value))


def test_names_are_those_of_the_page() -> None:
    metrics = prometheus.metrics_of(sample(20, 5, refused=2, missing=3))
    text = prometheus.exposition(metrics).body.decode()
    families = text_string_to_metric_families(text)
    expected = {each.name for family in families for each in family.samples}
    assert {each.name for each in parse_samples(text)} == expected
    # The library would append "_total" to the name of a counter without it.
    (found,) = parse_samples("# TYPE jobs counter\njobs 3\n")
    assert (found.name, found.value) == ("jobs", 3)


@given(st.text(st.sampled_from('a{}=",\\ \t\r_1.e+#\x1c'), max_size=20))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_samples(text)


@pytest.mark.parametrize(
    "text",
    [
        "<html>",
        "a",
        "a b",
        "a{x=1} 2",
        'a{x="1} 2',
        "a 1 # x",
        "1a 2",
        "a 1\n{} 3",
        f"a {'9' * 400}",
    ],
)
def test_a_line_that_is_not_a_sample_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a sample"):
        parse_samples("fine 1\n" + text)


def test_timestamps_and_exemplars_are_ignored() -> None:
    found = parse_samples('a_total{x="y",} 1e3 1700000000.5 # {id="z"} 1\n b\t2\n')
    assert [(each.name, each.value) for each in found] == [("a_total", 1000), ("b", 2)]


def test_a_selector_sums_all_samples_with_its_labels() -> None:
    samples = parse_samples('n{code="200",m="a,b"} 2\nn{code="500",m="c"} 3\nn{code="500"} 4\nm 9')
    wanted = parse_selectors('n, n{code="500"} ,n{m="a,b",code="200"},n{code="404"},o')
    assert [each.sum(samples) for each in wanted] == [9, 7, 2, None, None]
    assert [str(each) for each in wanted][1:3] == ['n{code="500"}', 'n{m="a,b",code="200"}']


@pytest.mark.parametrize("text", ["1x", "a b", "a{x}", 'a{x="}', "a,,b", "a;b", "a{}b"])
def test_invalid_selectors_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^Invalid --watch-series .*: use .*\.$"):
        parse_selectors(text)
