"""The summary on the console: read in ten seconds, the verdict last."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sseload_users.core import vitals
from sseload_users.core.formatting import (
    NOTABLE_WAIT,
    clean,
    count,
    ms,
    number,
    seconds,
    share,
    shorten,
)
from sseload_users.report.glue import GLUE, glued, listed
from sseload_users.report.progress import Progress, Snapshot, columns
from sseload_users.report.steps_table import rungs
from sseload_users.report.workers_table import Places
from sseload_users.verdict.capacity import storm_in_words

__all__ = ["Progress", "Snapshot", "distribution", "print_summary", "summary"]

_NARROWEST, _WIDEST = 60, 100
_MOST_CAUSES, _MOST_CAUSE_HINTS = 8, 3
#: Most characters of what a server said.
_MOST_WORDS = 160
_LABEL = 13  # columns that a section's name takes

_STYLES = {"good": "green", "warning": "yellow", "issues": "red"}
_SIGNS = {"good": "✓", "warning": "!", "issues": "✗"}

# For terminals and files whose encoding lacks them; each as wide as what it stands for.
_PLAIN = str.maketrans("·█▏✓✗→─…", "-#|+x>-~")

#: What each rule is about, in two words, for those that are good.
_ABOUT = {
    "run_complete": "run complete",
    "connection_success": "connecting",
    "size_target": "target for its size",
    "connect_timeouts": "timeouts",
    "connections_dropped": "drops",
    "codes_accepted": "codes accepted",
    "codes_received": "codes received",
    "error_rate": "error rate",
    "duplicates": "duplicates",
    "out_of_order": "order",
    "unexpected": "unexpected codes",
    "malformed": "decoding",
    "generator": "generator",
}
#: What is counted beside the owed deliveries, and how it looks where there is some. A
#: server's greeting is foreign, too: the word alone would alarm.
_BESIDE = {
    "duplicate": "yellow",
    "out_of_order": "yellow",
    "unexpected": "yellow",
    "malformed": "yellow",
    "foreign": "",
    "released": "",
}
_BESIDE_WORDS = {"foreign": "other messages (foreign)"}
#: What a good run says in full.
_FOREMOST = ("connection_success", "codes_accepted", "codes_received", "search", "step ")


def print_summary(report: Mapping[str, Any], file: TextIO | None = None) -> None:
    """Print the summary of a report, in colours where the file is a terminal.

    Args:
        report: of schema 1, verdict included.
        file: standard output by default. What its encoding lacks is replaced.
    """
    stream = file or sys.stdout
    console = _console(stream)
    width = min(max(columns(stream, console), _NARROWEST), _WIDEST)
    text = _rendered(report, console, width)
    # A reader that has gone away, as `head` does, takes nothing from the run's outcome.
    with contextlib.suppress(BrokenPipeError):
        stream.write(encodable(text, getattr(stream, "encoding", None)))
        stream.flush()


def summary(report: Mapping[str, Any], width: int = 80) -> str:
    """The summary as plain text, `width` columns wide, from 60 on."""
    return _rendered(report, _console(io.StringIO()), max(width, _NARROWEST))


def encodable(text: str, encoding: str | None) -> str:
    """The text, with plainer characters where an encoding lacks the better ones."""
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
    return text


def _console(stream: TextIO) -> Console:
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _rendered(report: Mapping[str, Any], console: Console, width: int) -> str:
    with console.capture() as capture:
        console.print(_summary(report), width=width)
    lines = capture.get().replace(GLUE, " ").split("\n")
    return "\n".join(line.rstrip() for line in lines)


def _summary(report: Mapping[str, Any]) -> RenderableType:
    parts: list[RenderableType] = [Text(""), _title(report), Text(""), _counts(report)]
    parts += [Text(""), _Latencies(report)]
    for table in rungs(report):
        parts += [Text(""), table]
    # Of a run in steps, each connection was there for one of them alone.
    if report["received_per_connection"] and not report["steps"]:
        parts += [Text(""), _Received(report)]
    places = Places(report)
    if places.rows:
        parts += [Text(""), places]
    if report["errors"]["causes"]:
        parts += [Text(""), _causes(report["errors"])]
    parts.append(Text(""))
    if report["storm"]:
        parts.append(_section("Storm", [glued(storm_in_words(report["storm"]))]))
    if server := list(vitals.sentences(report)):
        parts.append(_section("Server", [listed(server)]))
    parts.append(_generator(report["generator"]))
    if report["run"]["notes"]:
        parts.append(_section("Notes", [glued(note) for note in report["run"]["notes"]]))
    parts += [Text(""), *_verdict(report["verdict"])]
    return Padding(Group(*parts), (0, 1))


def _title(report: Mapping[str, Any]) -> RenderableType:
    run = report["run"]
    started, finished = (
        datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at")
    )
    return listed(
        [
            Text("sseload", style="bold"),
            f"run {run['id']}",
            run["target"],
            run["transport"],
            *([count(run["workers"], "worker")] if run["workers"] > 1 else []),
            seconds((finished - started).total_seconds()),
        ]
    )


def _counts(report: Mapping[str, Any]) -> RenderableType:
    connections, codes = report["connections"], report["codes"]
    deliveries, errors = report["deliveries"], report["errors"]
    table = _grid()
    table.add_row(
        _label("Connections"),
        _of(connections["succeeded"], connections["attempted"], "connect attempts succeeded"),
    )
    table.add_row(
        "",
        _tally(
            [
                (connections["failed"], "failed", "red"),
                (connections["dropped"], "dropped", "red"),
                (connections["reconnected"], "reconnected", "yellow"),
                *([(replaced, "replaced", "")] if (replaced := connections["replaced"]) else []),
                (connections["peak_open"], "open at most", ""),
            ]
        ),
    )
    table.add_row(_label("Codes"), _of(codes["accepted"], codes["scheduled"], "accepted"))
    table.add_row(
        "", _tally([(codes[how], how, "red") for how in ("rejected", "unanswered", "unsent")])
    )
    table.add_row(
        _label("Deliveries"), _of(deliveries["delivered"], deliveries["owed"], "owed delivered")
    )
    table.add_row(
        "", _tally([(deliveries[how], how, "red") for how in ("late", "interrupted", "missing")])
    )
    beside = [
        (deliveries[how], _BESIDE_WORDS.get(how, how.replace("_", " ")), style)
        for how, style in _BESIDE.items()
        if deliveries[how]
    ]
    if beside:
        table.add_row("", _tally(beside))
    table.add_row(
        _label("Errors"), _of(errors["failed"], errors["operations"], "operations failed")
    )
    return table


class _Latencies:
    """The table of percentiles, with as many columns as there is room for."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._rows = [
            ("delivery", report["delivery_ms"]),
            ("spread of a code", report["spread_ms"]),
            ("connect", report["connections"]["connect_ms"]),
            ("recovery", report["connections"]["recovery_ms"]),
            ("ingest answer", report["codes"]["ingest_ms"]),
        ]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        names = ["p50", "p95", "p99", "max"]
        if options.max_width >= 74:
            names = ["p50", "p90", "p95", "p99", "p99_9", "max"]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=18, no_wrap=True)
        for _each in names:
            table.add_column(justify="right", min_width=7, no_wrap=True)
        table.add_row(
            Text("Latency, ms", style="bold"),
            *(Text(name.replace("_", "."), style="dim") for name in names),
        )
        for label, latency in self._rows:
            if not latency["count"]:
                continue
            table.add_row(Text(f"  {label}"), *(Text(ms(latency[name])) for name in names))
        if not any(latency["count"] for _, latency in self._rows):
            table.add_row(Text("  nothing measured", style="dim"))
        yield table


class _Received:
    """How many connections received how many codes, as bars that fill the width."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._rows = distribution(report["received_per_connection"])
        codes = report["codes"]
        self._out = codes["accepted"] + codes["unanswered"]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble(
            ("Codes received per connection", "bold"),
            (f"  of {number(self._out)} that went out", "dim"),
        )
        labels = [label for label, _ in self._rows]
        left, right = max(map(len, labels)), max(len(number(many)) for _, many in self._rows)
        total = sum(many for _, many in self._rows)
        widest = max(1, *(many for _, many in self._rows))
        room = max(8, min(40, options.max_width - left - right - 24))
        for label, many in self._rows:
            full = label == number(self._out)
            bar = "█" * (many * room // widest) or ("▏" if many else "")
            yield Text.assemble(
                f"  {label:>{left}}  ",
                (f"{bar:<{room}}", "green" if full else "yellow"),
                f"  {number(many):>{right}}",
                (f"  {share(many, total)}", "dim"),
            )


def distribution(received: Mapping[str, int], rows: int = 8) -> list[tuple[str, int]]:
    """How many connections received how many codes, the most codes first.

    Where there are more than `rows` different numbers, the highest one and none at all keep
    rows of their own, since they are what one looks for, and the rest is put into ranges.

    Args:
        received: the number of codes (as a text) to the number of connections.
        rows: at most so many, four or more.
    """
    counts = {int(codes): many for codes, many in received.items() if many}
    if len(counts) <= rows:
        return [(number(codes), counts[codes]) for codes in sorted(counts, reverse=True)]
    highest, none = max(counts), counts.pop(0, 0)
    shown = [(number(highest), counts.pop(highest))]
    lowest, top = min(counts), max(counts)
    step = -(-(top - lowest + 1) // (rows - 2))
    for start in range(top, lowest - 1, -step):
        end = max(lowest, start - step + 1)
        many = sum(counts.get(codes, 0) for codes in range(end, start + 1))
        label = number(end) if end == start else f"{number(end)}-{number(start)}"
        shown.append((label, many))
    return shown + ([("0", none)] if none else [])


def _causes(errors: Mapping[str, Any]) -> RenderableType:
    causes: Sequence[Mapping[str, Any]] = errors["causes"]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for rank, cause in enumerate(causes[:_MOST_CAUSES]):
        said = Text.assemble(
            (clean(cause["cause"]), "red"), (f"  {clean(cause['operation'])}", "dim")
        )
        table.add_row(Text(f"  {number(cause['count'])}"), said)
        if words := cause.get("said", ""):
            table.add_row("", glued(f"the server said: {shorten(clean(words), _MOST_WORDS)}"))
        if cause["hint"] and rank < _MOST_CAUSE_HINTS:
            table.add_row("", _hint(cause["hint"]))
    rest = causes[_MOST_CAUSES:]
    if rest:
        further = sum(cause["count"] for cause in rest)
        table.add_row(Text(f"  {number(further)}"), Text(f"of {count(len(rest), 'further cause')}"))
    return Group(Text("Errors by cause", style="bold"), table)


def _generator(generator: Mapping[str, Any]) -> RenderableType:
    told = [f"{generator['timestamps']} timestamps"]
    if generator["lag_ms"]["count"]:
        told.append(f"lag p99 {ms(generator['lag_ms']['p99'])} ms")
    if generator["cpu_percent_max"] is not None:
        told.append(f"CPU up to {generator['cpu_percent_max']:.0f} %")
    if (generator["waited_percent_max"] or 0) >= NOTABLE_WAIT:
        told.append(f"waited for a core up to {generator['waited_percent_max']:.0f} %")
    if generator["rss_mib"] is not None:
        told.append(f"{generator['rss_mib']:,.0f} MiB")
    if generator["clock_error_ms"]:
        told.append(f"clocks within {ms(generator['clock_error_ms'])} ms")
    saturated = [Text("saturated", style="bold yellow")] if generator["saturated"] else []
    return _section("Generator", [listed([*told, *saturated])])


def _verdict(verdict: Mapping[str, Any]) -> Iterator[RenderableType]:
    grade, reasons = verdict["grade"], verdict["reasons"]
    style = _STYLES[grade]
    yield Rule(style=style)
    bad = [reason for each in ("issues", "warning") for reason in _graded(reasons, each)]
    found = [
        count(len(of_grade), noun)
        for each, noun in (("issues", "issue"), ("warning", "warning"))
        if (of_grade := _graded(reasons, each))
    ]
    yield Text.assemble(
        ("Verdict  ", "bold"),
        (f"{_SIGNS[grade]} {grade.upper()}", f"bold {style}"),
        (f"  {', '.join(found)}" if found else "", "dim"),
    )
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=3, justify="right")
    table.add_column(overflow="fold")
    told = bad or [reason for reason in reasons if reason["rule"].startswith(_FOREMOST)]
    for reason in told:
        sign = Text(_SIGNS[reason["grade"]], style=f"bold {_STYLES[reason['grade']]}")
        table.add_row(sign, glued(reason["sentence"]))
        # First things first: a warning's hint can wait while there are issues.
        if reason["hint"] and reason["grade"] == grade:
            table.add_row("", _hint(reason["hint"]))
    also = [
        _ABOUT.get(reason["rule"], clean(reason["rule"]).replace("_", " "))
        for reason in _graded(reasons, "good")
        if reason not in told
    ]
    if also:
        table.add_row(
            Text(_SIGNS["good"], style="bold green"),
            Text(f"{'Good' if bad else 'Also good'}: {', '.join(also)}."),
        )
    yield table


def _graded(reasons: Iterable[Mapping[str, Any]], grade: str) -> list[Mapping[str, Any]]:
    return [reason for reason in reasons if reason["grade"] == grade]


def _grid() -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=_LABEL, no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _label(name: str) -> Text:
    return Text(name, style="bold")


def _section(name: str, lines: Iterable[Text]) -> RenderableType:
    table = _grid()
    for index, line in enumerate(lines):
        table.add_row(_label(name) if index == 0 else "", line)
    return table


def _hint(words: str) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    table.add_row(Text("→", style="dim"), glued(words, "dim"))
    return table


def _of(part: int, whole: int, what: str) -> Text:
    counted = f"{number(part)} of {number(whole)} {what}"
    return glued(f"{counted} ({share(part, whole)})" if whole else counted)


def _tally(counts: Iterable[tuple[int, str, str]]) -> Text:
    """Counts in one line; those of nothing step back."""
    return listed(
        Text(f"{number(value)} {name}", style=style if value else "dim")
        for value, name, style in counts
    )
