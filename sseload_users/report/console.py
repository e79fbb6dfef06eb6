"""Print the summary on the console: read in ten seconds, the verdict last."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sseload_users.core import vitals
from sseload_users.core.figures import (
    ConnectionFigures,
    DeliveryFigures,
    ErrorFigures,
    GeneratorFigures,
    ObservationFigures,
    PollingFigures,
)
from sseload_users.core.formatting import (
    NOTABLE_WAIT,
    clean,
    count,
    failures,
    ms,
    number,
    seconds,
    share,
    shorten,
)
from sseload_users.report.channels_table import ChannelsTable
from sseload_users.report.compression import compression_sentences
from sseload_users.report.glue import GLUE, glued, listed
from sseload_users.report.latency_table import LatencyTable
from sseload_users.report.model import Report
from sseload_users.report.moments import outage_sentence
from sseload_users.report.nodes_table import NodesTable
from sseload_users.report.progress import columns
from sseload_users.report.received_table import ReceivedTable
from sseload_users.report.steps_table import steps_tables
from sseload_users.report.workers_table import WorkersTable
from sseload_users.verdict.capacity import flap_sentence, ramp_sentence, storm_sentence
from sseload_users.verdict.reasons import Reason, Verdict
from sseload_users.verdict.symptoms import Finding
from sseload_users.verdict.thresholds import Grade

_NARROWEST, _WIDEST = 60, 100
_MOST_CAUSES, _MOST_CAUSE_HINTS = 8, 3
#: Most characters of a server's text.
_MAX_SERVER_TEXT = 160
_LABEL = 13  # columns of a section's name

_STYLES = {"good": "green", "warning": "yellow", "issues": "red"}
_SIGNS = {"good": "✓", "warning": "!", "issues": "✗"}

# For terminals and files whose encoding lacks these; each is as wide as its replacement.
_PLAIN = str.maketrans("·█▏✓✗→─…", "-#|+x>-~")

#: Each rule's subject in two words, for rules that are good.
_ABOUT = {
    "run_complete": "run complete",
    "connection_success": "connecting",
    "size_target": "target for its size",
    "connect_timeouts": "timeouts",
    "connections_dropped": "drops",
    "codes_accepted": "codes accepted",
    "codes_seen": "messages seen",
    "holes": "missing numbers",
    "codes_owed": "codes owed",
    "codes_received": "codes received",
    "isolation": "isolation of channels",
    "latency": "latency",
    "health": "health checks",
    "objective": "objective",
    "error_rate": "error rate",
    "duplicates": "duplicates",
    "replayed": "replayed codes",
    "out_of_order": "order",
    "unexpected": "unexpected codes",
    "malformed": "decoding",
    "generator": "generator",
}
#: Rules whose sentences are shown in full for a good run.
_FOREMOST = (
    "connection_success",
    "codes_accepted",
    "codes_seen",
    "holes",
    "codes_received",
    "search",
    "step ",
)


def print_summary(report: Report, file: TextIO | None = None) -> None:
    """Print the summary of a report, in colours where the file is a terminal.

    Args:
        report: of the run.
        file: standard output by default. Characters that its encoding lacks are replaced.
    """
    stream = file or sys.stdout
    console = _console(stream)
    width = min(max(columns(stream, console), _NARROWEST), _WIDEST)
    text = _rendered(report, console, width)
    # A reader that has gone away, such as `head`, does not change the run's outcome.
    with contextlib.suppress(BrokenPipeError):
        stream.write(encodable(text, getattr(stream, "encoding", None)))
        stream.flush()


def summary(report: Report, width: int = 80) -> str:
    """Return the summary as plain text, `width` columns wide, 60 or more."""
    return _rendered(report, _console(io.StringIO()), max(width, _NARROWEST))


def encodable(text: str, encoding: str | None) -> str:
    """Return the text, with plainer characters where the encoding lacks the better ones."""
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
    return text


def _console(stream: TextIO) -> Console:
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _rendered(report: Report, console: Console, width: int) -> str:
    with console.capture() as capture:
        console.print(_summary(report), width=width)
    lines = capture.get().replace(GLUE, " ").split("\n")
    return "\n".join(line.rstrip() for line in lines)


def _summary(report: Report) -> RenderableType:
    parts: list[RenderableType] = [Text(""), _title(report), Text(""), _counts(report)]
    parts += [Text(""), LatencyTable(report)]
    for table in steps_tables(report):
        parts += [Text(""), table]
    # In a run of several steps, each connection existed in one of them only.
    if report.received_per_connection and not report.steps:
        parts += [Text(""), ReceivedTable(report)]
    channels = ChannelsTable(report)
    if channels.rows:
        parts += [Text(""), channels]
    if report.nodes:
        parts += [Text(""), NodesTable(report)]
    workers = WorkersTable(report)
    if workers.rows:
        parts += [Text(""), workers]
    if report.errors.causes:
        parts += [Text(""), _causes(report.errors)]
    parts.append(Text(""))
    if compression := compression_sentences(report.compression):
        parts.append(_section("Compression", [listed(compression)]))
    if report.storm:
        parts.append(_section("Storm", [glued(storm_sentence(report.storm))]))
    if report.flap:
        parts.append(_section("Flapping", [glued(flap_sentence(report.flap))]))
    if away := outage_sentence(report):
        parts.append(_section("Outages", [glued(away)]))
    opens = [point.open for point in report.timeline]
    if server := list(vitals.sentences(report.vitals, opens)):
        parts.append(_section("Server", [listed(server)]))
    parts.append(_generator(report.generator))
    if report.run.notes:
        parts.append(_section("Notes", [glued(note) for note in report.run.notes]))
    if report.diagnosis:
        parts += [Text(""), _diagnosis(report.diagnosis)]
    parts += [Text(""), *_verdict(report.verdict)]
    return Padding(Group(*parts), (0, 1))


def _title(report: Report) -> RenderableType:
    run = report.run
    started, finished = map(datetime.fromisoformat, (run.started_at, run.finished_at))
    return listed(
        [
            Text("sseload", style="bold"),
            f"run {run.id}",
            run.target,
            run.transport,
            *([count(run.workers, "worker")] if run.workers > 1 else []),
            seconds((finished - started).total_seconds()),
        ]
    )


def _connection_tally(connections: ConnectionFigures) -> Text:
    sometimes = [
        (connections.ended, "ended by the server", ""),
        (connections.replaced, "replaced", ""),
        (connections.planned_ends, "ended as planned", ""),
        (connections.over_http2, "over HTTP/2", ""),
    ]
    return _tally(
        [
            (connections.failed, "failed", "red"),
            (connections.dropped, "dropped", "red"),
            (connections.reconnected, "reconnected", "yellow"),
            *(each for each in sometimes if each[0]),
            (connections.peak_open, "open at most", ""),
        ]
    )


def _observed(observed: ObservationFigures) -> str:
    """Return the line about the messages of an observation."""
    seen = f"{number(observed.seen)} seen, sent by others"
    if observed.holes is None:
        return seen
    return f"{seen}; {count(observed.holes, 'number')} that nobody got"


def _counts(report: Report) -> RenderableType:
    connections, codes = report.connections, report.codes
    deliveries, errors = report.deliveries, report.errors
    table = _grid()
    table.add_row(
        _label("Connections"),
        _of(connections.succeeded, connections.attempted, "connect attempts succeeded"),
    )
    table.add_row("", _connection_tally(connections))
    if connections.ramp and (sentence := ramp_sentence(connections.ramp)):
        table.add_row("", glued(sentence))
    if connections.polling:
        table.add_row("", _polling(connections.polling))
    unknown = [(codes.unknown, "unknown", "yellow")] if codes.unknown else []
    if report.observed is not None:
        table.add_row(_label("Messages"), _observed(report.observed))
    else:
        table.add_row(_label("Codes"), _of(codes.accepted, codes.scheduled, "accepted"))
        table.add_row(
            "",
            _tally(
                [
                    (codes.rejected, "rejected", "red"),
                    (codes.unanswered, "unanswered", "red"),
                    *unknown,
                    (codes.unsent, "unsent", "red"),
                ]
            ),
        )
    received = "owed delivered or recovered" if deliveries.recovered else "owed delivered"
    table.add_row(_label("Deliveries"), _of(deliveries.received, deliveries.owed, received))
    recovered = [(deliveries.recovered, "recovered", "")] if deliveries.recovered else []
    table.add_row(
        "",
        _tally(
            [
                *recovered,
                (deliveries.late, "late", "red"),
                (deliveries.interrupted, "interrupted", "red"),
                (deliveries.missing, "missing", "red"),
            ]
        ),
    )
    if beside := _beside(deliveries):
        table.add_row("", _tally(beside))
    if errors.channel_changes:
        changed = errors.channel_changes - errors.channel_changes_failed
        what = "requests to join or to leave succeeded"
        table.add_row(_label("Channels"), _of(changed, errors.channel_changes, what))
    table.add_row(_label("Errors"), glued(failures(errors.failed, errors.operations)))
    return table


def _beside(deliveries: DeliveryFigures) -> list[tuple[int, str, str]]:
    """Return what came beside the owed deliveries, each with its number and its style."""
    # A server's greeting is foreign, too: the word alone would alarm.
    others = [
        (deliveries.leaked, "leaked", "red"),
        (deliveries.replayed, "replayed", "yellow"),
        (deliveries.duplicate, "duplicate", "yellow"),
        (deliveries.out_of_order, "out of order", "yellow"),
        (deliveries.unexpected, "unexpected", "yellow"),
        (deliveries.malformed, "malformed", "yellow"),
        (deliveries.history, "history", ""),
        (deliveries.foreign, "other messages (foreign)", ""),
        (deliveries.released, "released", ""),
    ]
    return [each for each in others if each[0]]


def _causes(errors: ErrorFigures) -> RenderableType:
    causes = errors.causes
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for rank, cause in enumerate(causes[:_MOST_CAUSES]):
        text = Text.assemble((clean(cause.cause), "red"), (f"  {clean(cause.operation)}", "dim"))
        table.add_row(Text(f"  {number(cause.count)}"), text)
        if cause.said:
            server_text = shorten(clean(cause.said), _MAX_SERVER_TEXT)
            table.add_row("", glued(f"the server said: {server_text}"))
        if cause.hint and rank < _MOST_CAUSE_HINTS:
            table.add_row("", _hint(cause.hint))
    rest = causes[_MOST_CAUSES:]
    if rest:
        further = sum(cause.count for cause in rest)
        table.add_row(Text(f"  {number(further)}"), Text(f"of {count(len(rest), 'further cause')}"))
    return Group(Text("Errors by cause", style="bold"), table)


def _generator(generator: GeneratorFigures) -> RenderableType:
    items = [f"{generator.timestamps} timestamps"]
    if generator.lag_ms.count:
        items.append(f"lag p99 {ms(generator.lag_ms.p99)} ms")
    if generator.cpu_percent_max is not None:
        items.append(f"CPU up to {generator.cpu_percent_max:.0f} %")
    if (waited := generator.waited_percent_max or 0.0) >= NOTABLE_WAIT:
        items.append(f"waited for a core up to {waited:.0f} %")
    if generator.rss_mib is not None:
        items.append(f"{generator.rss_mib:,.0f} MiB")
    if generator.clock_error_ms:
        items.append(f"clocks within {ms(generator.clock_error_ms)} ms")
    saturated = [Text("saturated", style="bold yellow")] if generator.saturated else []
    return _section("Generator", [listed([*items, *saturated])])


def _diagnosis(findings: Iterable[Finding]) -> RenderableType:
    lines: list[RenderableType] = []
    for each in findings:
        lines += [glued(each.sentence), _hint(each.hint)]
    table = _grid()
    for index, line in enumerate(lines):
        table.add_row(_label("Diagnosis") if index == 0 else "", line)
    return table


def _verdict(verdict: Verdict) -> Iterator[RenderableType]:
    grade, reasons = verdict.grade, verdict.reasons
    style = _STYLES[grade]
    yield Rule(style=style)
    issues, warnings = _graded(reasons, "issues"), _graded(reasons, "warning")
    found = [
        count(len(graded), noun)
        for graded, noun in ((issues, "issue"), (warnings, "warning"))
        if graded
    ]
    yield Text.assemble(
        ("Verdict  ", "bold"),
        (f"{_SIGNS[grade]} {grade.upper()}", f"bold {style}"),
        (f"  {', '.join(found)}" if found else "", "dim"),
    )
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=3, justify="right")
    table.add_column(overflow="fold")
    bad = [*issues, *warnings]
    shown = bad or [reason for reason in reasons if reason.rule.startswith(_FOREMOST)]
    # "Good: order" beside a number of reordered codes would contradict itself.
    shown += [reason for reason in reasons if reason.tolerated and reason not in shown]
    for reason in shown:
        sign = Text(_SIGNS[reason.grade], style=f"bold {_STYLES[reason.grade]}")
        table.add_row(sign, glued(reason.sentence))
        # First things first: a warning's hint can wait while there are issues.
        if reason.hint and reason.grade == grade:
            table.add_row("", _hint(reason.hint))
    also = [
        _ABOUT.get(reason.rule, clean(reason.rule).replace("_", " "))
        for reason in _graded(reasons, "good")
        if reason not in shown
    ]
    if also:
        table.add_row(
            Text(_SIGNS["good"], style="bold green"),
            Text(f"{'Good' if bad else 'Also good'}: {', '.join(also)}."),
        )
    yield table


def _graded(reasons: Iterable[Reason], grade: Grade) -> list[Reason]:
    return [reason for reason in reasons if reason.grade == grade]


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


def _polling(polling: PollingFigures) -> Text:
    stayed = polling.sessions - polling.upgraded
    return _tally(
        [
            (polling.sessions, "polled first", ""),
            (polling.upgraded, "went over to WebSocket", ""),
            (stayed, "kept polling", "yellow"),
        ]
    )


def _tally(counts: Iterable[tuple[int, str, str]]) -> Text:
    """Return counts in one line; zeros are dim."""
    return listed(
        Text(f"{number(value)} {name}", style=style if value else "dim")
        for value, name, style in counts
    )
