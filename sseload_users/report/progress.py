"""Show a run's progress: a line that stays in place on a terminal, plain lines elsewhere.

There is no thread and no timer: everything is drawn in the caller's greenlet, so that it cannot
interrupt anything.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from sseload_users.core.formatting import NOTABLE_WAIT, clean, ms, number, seconds
from sseload_users.report.snapshot import Snapshot, extent

_PLAIN_EVERY_S = 5.0
_NAME = 11  # columns of a phase's name
_BAR = (8, 28)
_ERASE = "\r\x1b[K"
_PLAIN = str.maketrans("·━─…", "-=-~")


class Progress:
    """The progress of a run, on another stream than its summary.

    Args:
        stream: standard error by default.
        clock: seconds, for pacing the plain lines.

    Nothing more is written to a stream that fails: this must not end a run.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
        self._live = self._console.is_terminal and not (
            self._console.is_dumb_terminal or self._console.legacy_windows
        )
        self._phase = ""
        self._snapshot: Snapshot | None = None
        self._drawn: Text | None = None
        self._last_line_at = clock()
        self._printed: Text | None = None
        self._closed = False
        self._handlers: list[tuple[logging.StreamHandler[Any], TextIO]] = []
        if self._live:
            self._redirect_logging()

    def phase(self, name: str, sentence: str) -> None:
        """Begin a phase; the previous phase's figures stay as a line."""
        self._finish_phase()
        self._phase = name
        self._print(self._sentence(name, sentence))
        self._last_line_at = self._clock()

    def update(self, snapshot: Snapshot) -> None:
        """Show the run's figures: at once on a terminal, elsewhere every five seconds."""
        self._snapshot = snapshot
        if self._live:
            self._draw(_fit(snapshot, self._width() - 1, bar=True))
        elif self._clock() - self._last_line_at >= _PLAIN_EVERY_S:
            self._print_figures(snapshot)

    def note(self, sentence: str) -> None:
        """Print a line that stays."""
        self._print(self._sentence("", sentence))

    def close(self) -> None:
        """End the last phase, and stop drawing on the terminal."""
        if self._closed:
            return
        self._finish_phase()
        self._closed = True
        for handler, stream in self._handlers:
            if isinstance(handler.stream, _AboveLine):
                handler.setStream(stream)
        self._handlers.clear()

    def _width(self) -> int:
        return columns(self._stream, self._console)

    def _sentence(self, name: str, sentence: str) -> Text:
        """Return a phase's name and a sentence, wrapped beside it on a terminal."""
        lines = [clean(sentence)]
        if self._live:
            lines = textwrap.wrap(lines[0], max(20, self._width() - _NAME - 2)) or [""]
        return _line(name, Text(f"\n{'':{_NAME + 1}}".join(lines)))

    def _finish_phase(self) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if self._drawn is not None:
            self._drawn = None
            self._write(_ERASE)
        if snapshot is not None:
            self._print_figures(snapshot)
        self._printed = None

    def _print_figures(self, snapshot: Snapshot) -> None:
        # A log has no width, but each line may be read alone, so it names the phase.
        width = max(60, self._width()) - 1 if self._live else 120
        figures = _fit(snapshot, width, bar=False, named=not self._live)
        if figures == self._printed:
            return
        self._printed = figures
        self._last_line_at = self._clock()
        self._print(figures)

    def _print(self, line: Text) -> None:
        if self._closed:
            return
        self._write((_ERASE if self._drawn is not None else "") + self._rendered(line) + "\n")
        if self._drawn is not None:
            self._draw(self._drawn)

    def _draw(self, line: Text) -> None:
        if self._closed:
            return
        self._drawn = line
        # The cursor stays at the beginning of the line, so that other output begins in the first
        # column.
        self._write(_ERASE + self._rendered(line) + "\r")

    def _rendered(self, line: Text) -> str:
        with self._console.capture() as capture:
            self._console.print(line, end="", soft_wrap=True)
        return capture.get()

    def _write(self, text: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except (UnicodeEncodeError, LookupError):
            text = text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._closed = True

    def _redirect_logging(self) -> None:
        """Redirect log handlers of the same terminal, so that log lines appear above the line."""
        loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
        for logger in loggers:
            for handler in getattr(logger, "handlers", ()):
                if not isinstance(handler, logging.StreamHandler):
                    continue
                stream = handler.stream
                if not isinstance(stream, _AboveLine) and _is_terminal(stream):
                    self._handlers.append((handler, stream))
                    handler.setStream(_AboveLine(stream, self))

    def erasure(self) -> str:
        """Return the control sequence that erases the drawn line, if there is one."""
        return _ERASE if self._drawn is not None and not self._closed else ""

    def redraw(self) -> None:
        """Draw the line again."""
        if self._drawn is not None:
            self._draw(self._drawn)


def columns(stream: TextIO, console: Console) -> int:
    """Return a stream's current width; rich asks standard input first, which may be another one."""
    if "COLUMNS" not in os.environ:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return os.get_terminal_size(stream.fileno()).columns or console.width
    return console.width


class _AboveLine:
    """A terminal on which other output appears above the drawn line."""

    def __init__(self, stream: TextIO, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress

    def write(self, text: str) -> int:
        written = self._stream.write(self._progress.erasure() + text)
        if text.endswith("\n"):
            self._stream.flush()
            self._progress.redraw()
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False


def _line(name: str, words: Text) -> Text:
    return Text.assemble((f"{clean(name):<{_NAME}} ", "bold"), words)


def _fit(snapshot: Snapshot, width: int, *, bar: bool, named: bool = True) -> Text:
    """Return as many figures as fit, the most important first."""
    done, of_all = extent(snapshot)
    line = _line(snapshot.phase if named else "", Text())
    room = width - line.cell_len
    figures = list(_figures(snapshot))
    drawn = _BAR[0] + 2 if bar and of_all else 0
    shown: list[tuple[str, str]] = []
    used = 0
    for words, style in figures:
        length = cell_len(words) + (3 if shown else 0)
        if used + length > room - drawn:
            break
        shown.append((words, style))
        used += length
    if drawn:
        length = max(_BAR[0], min(_BAR[1], room - used - 2))
        filled = min(length, done * length // of_all)
        line.append("━" * filled, style="green").append("─" * (length - filled), style="dim")
        line.append("  ")
    for index, (words, style) in enumerate(shown):
        line.append(" · " if index else "", style="dim").append(words, style=style)
    return line


def _figures(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    if snapshot.phase in ("broadcast", "observe", "drain", "disconnect"):
        yield f"{number(snapshot.codes_sent)}/{number(snapshot.codes_scheduled)} codes", ""
        yield f"{number(snapshot.received)}/{number(snapshot.owed)} delivered", ""
        yield from _faults(snapshot)
        if snapshot.errors:
            yield _errors(snapshot.errors)
        yield f"{number(snapshot.open)} open", ""
    else:
        yield f"{number(snapshot.open)}/{number(snapshot.expected)} connected", ""
        if snapshot.connecting:
            yield f"{number(snapshot.connecting)} connecting", ""
        if snapshot.failed:
            yield f"{number(snapshot.failed)} failed", "red"
        if snapshot.errors:
            yield _errors(snapshot.errors)
    if not snapshot.errors:
        yield _errors(0)
    if snapshot.dropped:
        yield f"{number(snapshot.dropped)} dropped", "red"
    waited = snapshot.waited_percent or 0.0
    if waited >= NOTABLE_WAIT:
        yield f"waits for a core {waited:.0f} %", "yellow"
    if snapshot.p99_ms is not None:
        yield f"p50 {ms(snapshot.p50_ms)} p99 {ms(snapshot.p99_ms)} ms", ""
    if snapshot.late:
        yield f"{number(snapshot.late)} late", "red"
    yield seconds(snapshot.elapsed_s), "dim"
    if snapshot.cpu_percent is not None:
        busy = snapshot.cpu_percent + waited >= 90
        yield f"CPU {snapshot.cpu_percent:.0f} %", "yellow" if busy else "dim"
    if snapshot.lag_p99_ms is not None:
        yield f"lag p99 {ms(snapshot.lag_p99_ms)} ms", "dim"


def _faults(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    if snapshot.missing or snapshot.late:
        yield f"{number(snapshot.missing)} missing", "red" if snapshot.missing else ""
    if snapshot.leaked:
        yield f"{number(snapshot.leaked)} leaked", "red"


def _errors(errors: int) -> tuple[str, str]:
    return f"{number(errors)} error{'' if errors == 1 else 's'}", "red" if errors else ""
