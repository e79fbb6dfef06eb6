"""The files of a report: the whole, its tables, what a build server reads, and a page.

Each file appears whole or not at all, and one that cannot be written keeps none of the
others back.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.report import html, junit

_logger = logging.getLogger(__name__)

#: What a spreadsheet takes for the beginning of a formula, the full-width forms included.
_FORMULA = (
    *"=+-@\t\r\n",
    "\N{FULLWIDTH EQUALS SIGN}",
    "\N{FULLWIDTH PLUS SIGN}",
    "\N{FULLWIDTH HYPHEN-MINUS}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)

_CODE_COLUMNS = (
    "seq", "sent_at", "status", "owed", "delivered", "late", "interrupted", "missing",
    "duplicate", "first_ms", "p50_ms", "p95_ms", "p99_ms", "last_ms",
)  # fmt: skip


class ReportError(ConfigError):
    """A report that cannot be written, or not all of it; the message is one sentence.

    Attributes:
        written: the files that were written all the same.
    """

    def __init__(self, sentence: str, written: Sequence[Path] = ()) -> None:
        super().__init__(sentence)
        self.written = tuple(written)


def prepare(directory: str | os.PathLike[str]) -> Path:
    """Make the directory, and see before the run that a file can be written in it.

    Raises:
        ReportError: it cannot.
    """
    path = Path(directory)
    probe = path / f".sseload-{os.getpid()}.tmp"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"a report will be written here\n")
    except OSError as error:
        raise ReportError(
            f"{clean(path)}: no report can be written there ({_why(error)}); "
            "name another directory with --delivery-report."
        ) from error
    finally:
        _remove(probe)
    return path


def write(
    report: Mapping[str, Any],
    directory: str | os.PathLike[str],
    connections: Iterable[ConnectionRow],
) -> list[Path]:
    """Write report.json, its tables, junit.xml and report.html, replacing older ones.

    Args:
        report: of schema 1, verdict included.
        directory: made if it is not there.
        connections: a row for each connection, in the order that they are to have.

    Returns:
        report.json, codes.csv, connections.csv, junit.xml and report.html.

    Raises:
        ReportError: some cannot be written; the others are (`ReportError.written`).
    """
    files: dict[str, Callable[[], str]] = {
        "report.json": lambda: report_json(report),
        "codes.csv": lambda: codes_csv(report["per_code"]),
        "connections.csv": lambda: connections_csv(connections),
        "junit.xml": lambda: junit.document(report),
        "report.html": lambda: html.document(report),
    }
    path, written, failed = Path(directory), [], []
    for name, text in files.items():
        try:
            path.mkdir(parents=True, exist_ok=True)
            _replace(path / name, text().encode("utf-8", "replace"))
            written.append(path / name)
        except OSError as error:
            failed.append(f"{name} ({_why(error)})")
        except Exception as error:
            # A mistake of this program's, which keeps none of the others back.
            _logger.exception("%s could not be made", name)
            failed.append(f"{name} ({type(error).__name__}, see the log)")
    if failed:
        raise ReportError(f"{clean(path)}: could not write {', '.join(failed)}.", written)
    return written


def report_json(report: Mapping[str, Any]) -> str:
    """report.json: the whole report."""
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def codes_csv(per_code: Iterable[Mapping[str, Any]], *, head: bool = True) -> str:
    """codes.csv: a line for each code that was due (RFC 4180).

    Args:
        per_code: as in the report, or some of it.
        head: with the names of the columns as the first line.
    """
    rows = ([row[name] for name in _CODE_COLUMNS] for row in per_code)
    return _csv(_CODE_COLUMNS if head else (), rows)


def connections_csv(connections: Iterable[ConnectionRow]) -> str:
    """connections.csv: a line for each connection (RFC 4180)."""
    columns = [field.name for field in fields(ConnectionRow)]
    return _csv(columns, (asdict(row).values() for row in connections))


def _csv(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if columns:
        writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """A value as a cell that no spreadsheet takes for a formula."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return value  # numbers, negative ones too, and None, which is an empty cell
    text = clean(value)
    return f"'{text}" if value.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside its place, then move it there, so that no half of it is ever seen."""
    draft = path.with_name(f".{path.name}-{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a full disk may show no earlier than here
        draft.replace(path)
    except BaseException:
        _remove(draft)
        raise


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        # Its directory is a file, or is gone: then so is this.
        return


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
