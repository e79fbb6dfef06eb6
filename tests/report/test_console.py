from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.core.figures import PollingFigures
from sseload_users.report import console, html
from sseload_users.report.distribution import distribution
from sseload_users.report.model import Report
from sseload_users.report.progress import Progress
from sseload_users.report.snapshot import Snapshot
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.verdict.thresholds import Bound, Rule
from tests.support.reports import WORST, judged, sample, samples
from tests.support.terminal import Terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Terminal]]:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    made: list[Terminal] = []

    def make(columns: int = 80) -> Terminal:
        made.append(Terminal(columns))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_the_summary_of_a_good_run_matches_the_readme() -> None:
    text = console.summary(sample(50, 10))
    for line in (
        " sseload · run k3x9q2 · http://127.0.0.1:8000 · websocket · 63 s",
        " Connections   50 of 50 connect attempts succeeded (100 %)",
        "               0 failed · 0 dropped · 0 reconnected · 50 open at most",
        " Codes         10 of 10 accepted (100 %)",
        " Deliveries    500 of 500 owed delivered (100 %)",
        " Latency, ms             p50      p90      p95      p99    p99.9      max",
        " Codes received per connection  of 10 that went out",
        " Verdict  ✓ GOOD",
    ):
        assert line in text.splitlines()
    assert "Errors by cause" not in text
    assert " ".join(text.split()).endswith("decoding, generator.")


def test_the_verdict_comes_last_and_starts_with_the_worst_reason() -> None:
    text = console.summary(sample(**WORST))
    parts = (
        "Connections", "Latency", "per connection", "by cause", "Generator", "Notes",
        "Verdict  ✗ ISSUES", "   ✗ 360 of 500", "   ! The run is incomplete",
    )  # fmt: skip
    at = [text.index(words) for words in parts]
    assert at == sorted(at)
    assert "120  HTTP 503  handshake" in text
    assert "→ The server or its proxy reports that it is overloaded" in text


@given(samples(), st.integers(60, 140))
@settings(max_examples=40, deadline=None)
def test_the_summary_fits_every_width(report: Report, columns: int) -> None:
    text = console.summary(report, columns)
    assert max(map(len, text.splitlines())) <= columns
    assert "\x1b" not in text
    assert "\ue000" not in text
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_no_line_breaks_between_a_figure_and_its_unit() -> None:
    report = sample(**WORST)
    for columns in range(60, 101):
        for line in console.summary(report, columns).splitlines():
            assert not re.match(r" *(%|ms|MiB)\b", line) or "Latency" in line
            assert not line.strip().startswith("%")


def test_no_terminal_escape_of_a_server_is_printed() -> None:
    report = sample(50, 10, unavailable=20, notes=("see \x1b]8;;http://x\x07here",))
    for group in (report.connections, report.errors):
        group.causes[0].cause = "\x1b[2J[red]gone[/red]\r\nVerdict ✓ GOOD"
        group.causes[0].hint = "\x9b31m"
        group.causes[0].said = "\x1b]0;no\x07 [b]origin[/b]"
    report.run.target = "http://\x1b[8m"
    text = console.summary(report)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert "[red]gone[/red]  Verdict" in text
    assert "the server said: \ufffd]0;no\ufffd [b]origin[/b]" in text


def test_only_terminals_get_colours(
    terminal: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = sample(50, 10, missing=1)
    plain = io.StringIO()
    console.print_summary(report, plain)
    assert "\x1b" not in plain.getvalue()
    colourful = terminal()
    console.print_summary(report, colourful.file)
    assert "\x1b[1;33m" in colourful.read()
    monkeypatch.setenv("NO_COLOR", "1")
    colourless = terminal()
    console.print_summary(report, colourless.file)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", colourless.read())


def test_an_encoding_that_lacks_the_signs_gets_plainer_ones() -> None:
    raw = io.BytesIO()
    report = sample(50, 10, missing=1)
    report.run.target = "http://überlast"
    with io.TextIOWrapper(raw, encoding="ascii") as file:
        console.print_summary(report, file)
        file.flush()
        text = raw.getvalue().decode("ascii")
    assert "Verdict  ! WARNING" in text
    assert "####" in text
    assert "?berlast" in text


def test_a_closed_pipe_is_ignored() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = os.fdopen(writer, "w")
    console.print_summary(sample(), file)
    with pytest.raises(BrokenPipeError):
        file.close()


@pytest.mark.parametrize(
    ("received", "rows"),
    [
        ({}, []),
        ({"10": 498, "9": 2}, [("10", 498), ("9", 2)]),
        ({"10": 498, "9": 0}, [("10", 498)]),
        ({"2000": 5, "0": 1}, [("2,000", 5), ("0", 1)]),
        (
            {str(codes): 1 for codes in range(21)},
            [("20", 1), ("16-19", 4), ("12-15", 4), ("8-11", 4), ("4-7", 4), ("1-3", 3), ("0", 1)],
        ),
    ],
)
def test_a_distribution_keeps_its_extremes(
    received: dict[str, int], rows: list[tuple[str, int]]
) -> None:
    assert distribution(received) == rows


@given(st.dictionaries(st.integers(0, 5000).map(str), st.integers(0, 99)), st.integers(4, 12))
def test_a_distribution_counts_every_connection(received: dict[str, int], rows: int) -> None:
    shown = distribution(received, rows)
    assert len(shown) <= rows
    assert sum(many for _, many in shown) == sum(received.values())


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


CONNECTING = Snapshot("connect", 1.0, expected=50, attempted=30, open=20, connecting=10)
SENDING = Snapshot(
    "broadcast", 9.0, expected=50, attempted=50, open=50, codes_scheduled=10, codes_sent=4,
    accepted=4, delivered=199, owed=200, missing=1, errors=2, p50_ms=4.1, p99_ms=12.5,
    lag_p99_ms=0.4, cpu_percent=31.0,
)  # fmt: skip


def test_progress_shows_a_generator_that_waits_for_a_core() -> None:
    for waited, said in ((9.0, "50 open · p50"), (60.0, "50 open · waits for a core 60 %")):
        stream = io.StringIO()
        progress = Progress(stream, Clock())
        progress.phase("broadcast", "Sending 10 codes.")
        progress.update(replace(SENDING, waited_percent=waited))
        progress.close()
        assert f" · {said}" in stream.getvalue()


def test_without_a_terminal_a_line_is_printed_every_five_seconds_and_after_each_phase() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, clock)
    progress.phase("connect", "Connecting 50 clients.")
    for _ in range(4 * 12):
        clock.now += 0.25
        progress.update(replace(CONNECTING, elapsed_s=clock.now - 100))
    progress.update(replace(CONNECTING, attempted=50, open=50, connecting=0, elapsed_s=12.0))
    progress.phase("broadcast", "Sending 10 codes.")
    progress.update(SENDING)
    progress.note("Worker b was lost.")
    progress.close()
    progress.close()
    progress.update(SENDING)
    rest = " · 50 open · p50 4.10 p99 12.5 ms · 9.0 s · CPU 31 %"
    assert stream.getvalue().splitlines() == [
        "connect     Connecting 50 clients.",
        "connect     20/50 connected · 10 connecting · 0 errors · 5.0 s",
        "connect     20/50 connected · 10 connecting · 0 errors · 10 s",
        "connect     50/50 connected · 0 errors · 12 s",
        "broadcast   Sending 10 codes.",
        "            Worker b was lost.",
        f"broadcast   4/10 codes · 199/200 delivered · 1 missing · 2 errors{rest}",
    ]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_on_a_terminal_one_line_stays_in_place(
    terminal: Callable[..., Terminal], columns: int
) -> None:
    screen = terminal(columns)
    progress = Progress(screen.file)
    progress.phase("connect", "Connecting 50 clients.")
    for opened in range(0, 40, 5):
        progress.update(replace(CONNECTING, attempted=opened + 10, open=opened))
        assert len(screen.lines()) == 2
        assert f"{opened}/50 connected" in screen.lines()[-1]
        assert re.search("━*─+ ", screen.lines()[-1])
        assert len(screen.lines()[-1]) < columns
    progress.phase("broadcast", "Sending 10 codes.")
    progress.update(SENDING)
    progress.close()
    lines = screen.lines()
    assert [line[:12].strip() for line in lines] == ["connect", "", "broadcast", "", ""]
    assert lines[1].strip().startswith("35/50 connected")
    assert lines[2] == "broadcast   Sending 10 codes."
    assert lines[3].strip().startswith("4/10 codes · 199/200 delivered")
    assert not re.search("[━─]", "".join(lines))


def test_log_lines_appear_above_the_progress_line(terminal: Callable[..., Terminal]) -> None:
    screen = terminal()
    handler = logging.StreamHandler(screen.file)
    logger = logging.getLogger("sseload.tests.console")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        progress = Progress(screen.file)
        progress.phase("broadcast", "Sending 10 codes.")
        progress.update(SENDING)
        logger.warning("CPU is high")
        progress.note("Worker b was lost.")
        assert [line[:30].rstrip() for line in screen.lines()[1:3]] == [
            "CPU is high",
            "            Worker b was lost.",
        ]
        assert screen.lines()[-1].startswith("broadcast   ━")
        progress.close()
        logger.warning("after")
        assert handler.stream is screen.file
        assert screen.lines()[-2] == "after"
    finally:
        logger.removeHandler(handler)


def test_a_long_sentence_wraps_beside_its_phase(terminal: Callable[..., Terminal]) -> None:
    screen = terminal(60)
    progress = Progress(screen.file)
    progress.phase("health", "Waiting up to 60 s for http://127.0.0.1:8000/health to answer.")
    progress.close()
    assert screen.lines()[:2] == [
        "health      Waiting up to 60 s for",
        "            http://127.0.0.1:8000/health to answer.",
    ]


def test_a_dumb_terminal_gets_plain_lines(
    terminal: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = terminal()
    progress = Progress(screen.file)
    progress.phase("broadcast", "Sending \x1b[2J codes.")
    progress.update(SENDING)
    progress.close()
    assert "\x1b" not in screen.read()


@pytest.mark.parametrize("phase", ["connect", "broadcast", "drain", "other"])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_snapshot_can_be_shown(phase: str, data: st.DataObject) -> None:
    counts = {
        name: data.draw(st.integers(0, 10**6), name)
        for name, kind in Snapshot.__annotations__.items()
        if kind == "int"
    }
    times = {
        name: data.draw(st.none() | st.floats(0, 1e6), name)
        for name, kind in Snapshot.__annotations__.items()
        if kind == "float | None"
    }
    snapshot = Snapshot(phase, data.draw(st.floats(0, 1e6)), **counts, **times)  # type: ignore[arg-type]
    stream = io.StringIO()
    progress = Progress(stream)
    progress.phase(phase, "Now.")
    progress.update(snapshot)
    progress.close()
    assert max(map(len, stream.getvalue().splitlines())) <= 120


def test_a_stream_that_fails_does_not_end_the_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = os.fdopen(writer, "w")
    progress = Progress(file)
    progress.phase("connect", "Connecting.")
    progress.update(CONNECTING)
    progress.close()
    with pytest.raises(BrokenPipeError):
        file.close()


@pytest.mark.parametrize("width", range(60, 101, 8))
def test_lists_break_only_after_their_dots(width: int) -> None:
    text = console.summary(sample(**WORST), width)
    assert not [line for line in text.splitlines() if line.lstrip().startswith("·")]
    for item in ("360 open at most", "2 min 3 s", "5 malformed", "CPU up to 99 %"):
        assert item in text


def test_what_is_tolerated_is_stated_and_not_called_good() -> None:
    report = sample(500, 100, dropped=1, out_of_order=9650)
    tolerant = Rule(good=Bound.parse("<= 50 %"))
    report.verdict = judged(report, load_thresholds().model_copy(update={"out_of_order": tolerant}))
    text = console.summary(report, 100)
    assert "✓ 9,650 codes arrived after later ones" in text
    good = next(line for line in text.splitlines() if "Good:" in line)
    assert "order" not in good


def test_what_became_of_sessions_that_polled_is_shown() -> None:
    report = sample(50, 10)
    assert "polled first" not in console.summary(report)
    report.connections.polling = PollingFigures(sessions=50, upgraded=47, failed=2, causes=[])
    assert (
        "               50 polled first · 47 went over to WebSocket · 3 kept polling"
        in console.summary(report).splitlines()
    )
    page = html.document(report)
    assert "50 sessions began by long polling, 47 went over to WebSocket" in page


def test_the_worst_channels_are_shown() -> None:
    report = sample(30, 30, channels=6, leaked=4, missing=2, resume=True, recovered=3, replayed=1)
    text = console.summary(report, 100)
    table = text[text.index(" Channel ") :].splitlines()
    assert [line.split()[0] for line in table[1:6]] == [each.name for each in report.channels[:5]]
    assert "1 further channel, no worse: see channels.csv" in table[6]
    assert "148 of 150 owed delivered or recovered" in text
    assert "3 recovered" in text
    assert "4 leaked" in text
    assert "1 replayed" in text
    assert "catching up" in text
    assert "that went out" not in text


def test_a_run_with_one_channel_needs_no_table() -> None:
    assert " Channel " not in console.summary(sample(10, 10, channels=1), 100)
