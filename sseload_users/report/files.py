"""Write a report's files: report.json, CSV tables, junit.xml, report.md and report.html.

Each file appears whole or not at all, and one that cannot be written does not keep the others
from being written.
"""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from sseload_users.core.audience_figures import ChannelFigures
from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.delivery_row import DeliveryRow
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.core.node_figures import NodeFigures, NodePairFigures
from sseload_users.report import comparison_views, html, junit, markdown, serialization
from sseload_users.report.comparison import AgainstBaseline
from sseload_users.report.model import CodeRow, Report
from sseload_users.report.node_rows import NodePairRow, node_pair_rows

_logger = logging.getLogger(__name__)

_Row = TypeVar(
    "_Row", CodeRow, ConnectionRow, ChannelFigures, NodeFigures, NodePairRow, DeliveryRow
)

#: Characters with which a spreadsheet's formula begins, the full-width forms included.
_FORMULA = (
    *"=+-@\t\r\n",
    "\N{FULLWIDTH EQUALS SIGN}",
    "\N{FULLWIDTH PLUS SIGN}",
    "\N{FULLWIDTH HYPHEN-MINUS}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)


class ReportError(ConfigError):
    """A report that cannot be written completely; the message is one sentence.

    Attributes:
        written: the files that were written nevertheless.
    """

    def __init__(self, sentence: str, written: Sequence[Path] = ()) -> None:
        super().__init__(sentence)
        self.written = tuple(written)


def prepare(directory: str | os.PathLike[str]) -> Path:
    """Create the directory, and check before the run that a file can be written there.

    Raises:
        ReportError: no file can be written there.
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
    report: Report,
    directory: str | os.PathLike[str],
    connections: Iterable[ConnectionRow],
    against: AgainstBaseline | None = None,
    deliveries: Iterable[DeliveryRow] | None = None,
    *,
    copies: Sequence[str | os.PathLike[str]] = (),
) -> list[Path]:
    """Write report.json, its tables and its renderings, replacing older ones.

    An older deliveries.csv, should it not be written, is removed: it is of another run.

    Args:
        report: of the run.
        directory: created if it is missing.
        connections: a row for each connection, in order.
        against: the run compared with its baseline, if it has one.
        deliveries: the rows of deliveries.csv; None if it is not wanted.
        copies: further directories for the same files.

    Returns:
        In each directory: report.json, codes.csv, connections.csv, channels.csv, nodes.csv,
        node_pairs.csv, junit.xml, report.md and report.html; deliveries.csv, if it is wanted, and
        baseline.html, if there is a baseline.

    Raises:
        ReportError: some cannot be written; the others are, see `ReportError.written`.
    """
    files: dict[str, Callable[[], str]] = {
        "report.json": lambda: serialization.to_json(report),
        "codes.csv": lambda: codes_csv(report.per_code),
        "connections.csv": lambda: connections_csv(connections),
        "channels.csv": lambda: channels_csv(report.channels),
        "nodes.csv": lambda: nodes_csv(report.nodes),
        "node_pairs.csv": lambda: node_pairs_csv(report.node_pairs),
        "junit.xml": lambda: junit.document(report, against),
        "report.md": lambda: markdown.document(report, against),
        "report.html": lambda: html.document(report),
    }
    if against is not None:
        page = partial(comparison_views.document, against.baseline, report, against.result)
        files["baseline.html"] = page
    paths = [Path(each) for each in (directory, *copies)]
    if deliveries is not None:
        files["deliveries.csv"] = lambda: deliveries_csv(deliveries)
    else:
        for path in paths:
            _remove(path / "deliveries.csv")
    return _write_all(files, paths)


def _write_all(files: Mapping[str, Callable[[], str]], paths: Sequence[Path]) -> list[Path]:
    """Write files to directories, each made once; see `write`.

    Args:
        files: makes the text of each, by name.
        paths: the directories.
    """
    written: list[Path] = []
    failed: dict[Path, list[str]] = {path: [] for path in paths}
    for name, text in files.items():
        try:
            content = text().encode("utf-8", "replace")
        except Exception as error:
            # A bug in this program must not keep the other files from being written.
            _logger.exception("%s could not be made", name)
            for failures in failed.values():
                failures.append(f"{name} ({type(error).__name__}, see the log)")
            continue
        for path, failures in failed.items():
            try:
                path.mkdir(parents=True, exist_ok=True)
                _replace(path / name, content)
                written.append(path / name)
            except OSError as error:
                failures.append(f"{name} ({_why(error)})")
    sentences = [
        f"{clean(path)}: could not write {', '.join(failures)}."
        for path, failures in failed.items()
        if failures
    ]
    if sentences:
        raise ReportError(" ".join(sentences), written)
    return written


def codes_csv(per_code: Iterable[CodeRow], *, head: bool = True) -> str:
    """Return codes.csv: a line for each code that was due (RFC 4180).

    Args:
        per_code: as in the report, or some of it.
        head: with the names of the columns as the first line.
    """
    return _csv(CodeRow, per_code, head=head)


def connections_csv(connections: Iterable[ConnectionRow]) -> str:
    """Return connections.csv: a line for each connection (RFC 4180)."""
    return _csv(ConnectionRow, connections)


def deliveries_csv(deliveries: Iterable[DeliveryRow]) -> str:
    """Return deliveries.csv: a line for each delivery that was not simply made (RFC 4180)."""
    return _csv(DeliveryRow, deliveries)


def channels_csv(channels: Iterable[ChannelFigures]) -> str:
    """Return channels.csv: a line for each channel, the worst first (RFC 4180)."""
    return _csv(ChannelFigures, channels)


def nodes_csv(nodes: Iterable[NodeFigures]) -> str:
    """Return nodes.csv: a line for each node (RFC 4180)."""
    # A list has no place in a cell; the page marks outages in its charts.
    return _csv(NodeFigures, nodes, without={"outages"})


def node_pairs_csv(pairs: Iterable[NodePairFigures]) -> str:
    """Return node_pairs.csv: a line for each publishing and receiving node (RFC 4180)."""
    return _csv(NodePairRow, node_pair_rows(pairs))


def _csv(
    kind: type[_Row], rows: Iterable[_Row], *, head: bool = True, without: Container[str] = ()
) -> str:
    columns = [field.name for field in fields(kind) if field.name not in without]
    values = attrgetter(*columns)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if head:
        writer.writerow(columns)
    writer.writerows(map(_cell, values(row)) for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """Return a value as a cell that no spreadsheet takes for a formula."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return value  # numbers, negative ones too, and None, which is an empty cell
    text = clean(value)
    return f"'{text}" if value.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _replace(path: Path, content: bytes) -> None:
    """Write a file under another name, then rename it, so that it is never seen incomplete."""
    draft = path.with_name(f".{path.name}-{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a full disk may fail no earlier than here
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
