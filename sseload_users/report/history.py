"""The runs that are kept: a folder each, with the report's files and a summary for lists."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sseload_users.core.errors import ConfigError
from sseload_users.report.intervals import Interval
from sseload_users.report.key_figures import key_figures
from sseload_users.report.model import Report
from sseload_users.report.serialization import read
from sseload_users.verdict.thresholds import Grade

_logger = logging.getLogger(__name__)

#: Where runs are kept, unless the user names another directory.
DEFAULT_FOLDER = "reports"
_SUMMARY = "run.json"


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run that is kept.

    Attributes:
        folder: its files.
        id: of the run.
        name: that the user gave to runs of this kind; may be empty.
        started_at: RFC 3339, in UTC.
        grade: of its verdict.
        complete: whether it went to its end.
        target: the server.
        transport: of its connections.
        connections: connections at most open at once.
        codes: codes that went out.
        figures: key figures by name, each with its interval.
    """

    folder: Path
    id: str
    name: str
    started_at: str
    grade: Grade
    complete: bool
    target: str
    transport: str
    connections: int
    codes: int
    figures: Mapping[str, Interval]


def folder_of(history: str | Path, report: Report) -> Path:
    """Return where a run's files are kept: named by its start, so that they sort, and its id."""
    started = re.sub(r"[^0-9T]", "", report.run.started_at[:19])
    return Path(history) / f"{started}-{re.sub(r'[^0-9A-Za-z]', '', report.run.id)}"


def summary(report: Report, folder: Path) -> KeptRun:
    """Return a run's summary."""
    run = report.run
    return KeptRun(
        folder=folder,
        id=run.id,
        name=str(run.options.get("name") or ""),
        started_at=run.started_at,
        grade=report.verdict.grade,
        complete=run.complete,
        target=run.target,
        transport=run.transport,
        connections=report.connections.peak_open,
        codes=report.codes.accepted,
        figures=key_figures(report),
    )


def keep(report: Report, history: str | Path) -> None:
    """Write a run's summary, which lists and trends read; its files are written beside it.

    Raises:
        ConfigError: it cannot be written.
    """
    folder = folder_of(history, report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _SUMMARY).write_text(_text(summary(report, folder)), encoding="utf-8")
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{folder}: the run cannot be kept there: {why}.") from error


def load(history: str | Path, name: str | None = None) -> list[KeptRun]:
    """Return the runs that are kept, by their start; those of one name, if that is given.

    A run whose summary is missing or unreadable is read from its report.json; one that has none
    is left out.

    Raises:
        ConfigError: the directory cannot be read.
    """
    path = Path(history)
    try:
        folders = sorted(each for each in path.iterdir() if each.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{path}: cannot list the runs that are kept: {why}.") from error
    runs = [run for each in folders if (run := _read(each)) is not None]
    runs.sort(key=lambda run: run.started_at)
    return [run for run in runs if name is None or run.name == name]


def find(history: str | Path, run_id: str) -> KeptRun | None:
    """Return the run with an id; None if it is not kept."""
    return next((run for run in load(history) if run.id == run_id), None)


def series(runs: Sequence[KeptRun], figure: str) -> list[Interval | None]:
    """Return a figure of each run; None where a run has none."""
    return [run.figures.get(figure) for run in runs]


def _text(run: KeptRun) -> str:
    data = asdict(run)
    del data["folder"]
    data["figures"] = {
        name: [each if math.isfinite(each) else None for each in figure]
        for name, figure in run.figures.items()
    }
    return json.dumps(data, indent=1) + "\n"


def _read(folder: Path) -> KeptRun | None:
    try:
        data: dict[str, Any] = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
        figures = {name: _interval(each) for name, each in data.pop("figures").items()}
        return KeptRun(folder=folder, figures=figures, **data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    try:
        return summary(read(folder), folder)
    except ConfigError as error:
        _logger.debug("%s", error)
        return None


def _interval(data: Sequence[float | None]) -> Interval:
    value, low, high = data
    if value is None:
        raise ValueError("a figure has no value")
    return Interval(value, 0.0 if low is None else low, math.inf if high is None else high)
