"""The server's figures on the run's time axis, and in sentences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core import vitals
from sseload_users.core.run_figures import VitalsSeries
from sseload_users.core.vitals import Series, ServerVitals

S = 10**9
RSS = Series("process", "rss", "MiB")


@settings(max_examples=200)
@given(
    started_ns=st.integers(0, 3 * S - 1),
    step=st.integers(1, 4),
    points=st.integers(1, 8),
    notes=st.lists(st.tuples(st.integers(0, 40 * S), st.floats(-1e6, 1e6)), max_size=20),
)
def test_each_figure_is_in_the_interval_in_which_it_was_read(
    started_ns: int, step: int, points: int, notes: list[tuple[int, float]]
) -> None:
    found = ServerVitals(started_ns)
    found.add(RSS, started_ns, 0.0)
    for at_ns, value in notes:
        found.add(RSS, started_ns + at_ns, value)
    first = started_ns // S
    ends = [first + step * (index + 1) for index in range(points)]
    ends_s = [round(end - started_ns / S, 3) for end in ends]
    (column,) = found.columns(started_ns, ends_s)
    assert (column.source, column.name, column.unit) == ("process", "rss", "MiB")
    expected: list[float | None] = []
    for end in ends:
        inside = [
            value
            for at_ns, value in [(0, 0.0), *notes]
            if end - step <= (started_ns + at_ns) // S < end
        ]
        expected.append(round(max(inside), 3) if inside else None)
    assert column.values == expected


def watched(rss: list[float | None], **others: list[float | None]) -> list[VitalsSeries]:
    """The resident memory, and other figures, second by second."""
    return [
        VitalsSeries(source="process", name=name.replace("_", " "), unit=unit, values=values)
        for name, unit, values in (
            ("rss", "MiB", rss),
            *((name, "", values) for name, values in others.items()),
        )
    ]


def test_memory_per_connection_is_computed() -> None:
    opens, rss = [0, 50, 100, 100, 0], watched([60.0, 155.0, 250.0, 300.0, 280.0])
    # What came after all were there may have been anything.
    assert vitals.memory_per_connection(rss, opens) == (60.0, 1.9)
    assert list(vitals.sentences(rss, opens)) == [
        "rss 60 to 300 MiB",
        "rss grew 1.9 MiB per connection; 2 GiB holds about 1,000",
    ]


@pytest.mark.parametrize(
    ("opens", "rss"),
    [
        ([0, 19], [10.0, 900.0]),
        ([0, 500], [10.0, 13.9]),
        ([0, 500], [90.0, 10.0]),
        ([0, 500], [None, None]),
        ([0, 500], [None, 300.0]),
        ([500, 0], [300.0, 10.0]),
        ([], []),
    ],
)
def test_there_is_no_memory_per_connection_without_growth(
    opens: list[int], rss: list[float | None]
) -> None:
    assert vitals.memory_per_connection(watched(rss), opens) is None


def test_other_figures_are_shown_as_ranges() -> None:
    series = watched(
        [20.0, 20.0], cpu=[None, 85.25], threads=[1.0, 1.0], open_files=[5.0, 12.0],
        a_total=[None, None],
    )  # fmt: skip
    assert list(vitals.sentences(series, [0, 5])) == [
        "rss 20 MiB", "cpu up to 85.2", "1 thread", "open files 5 to 12",
    ]  # fmt: skip
