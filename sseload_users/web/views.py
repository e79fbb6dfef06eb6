"""What the leading process shows of its runs: worked out seldom, given often.

Whoever asks gets what was worked out for somebody else a moment ago, and the work is done
in pieces of a few milliseconds, between which the hub goes on: connections are read, and
workers are heard.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import gevent
from gevent.lock import RLock

from sseload_users.core.totals import Totals
from sseload_users.core.vitals import ServerVitals
from sseload_users.report import files, html, live, prometheus
from sseload_users.report.build import Run, per_code
from sseload_users.report.pages import clock
from sseload_users.report.progress import Snapshot
from sseload_users.verdict.thresholds import Thresholds
from sseload_users.web import delivery_page as delivery
from sseload_users.web.delivery_page import Standing

#: Seconds for which something of a run that goes on is given again as it is.
_FRESH_S = 1.0
#: Rows of the tab's table; codes.csv has all.
_TAB_ROWS = 100
_TAB_LATENCIES = {"first": "first_ms", "median": "p50_ms", "p99": "p99_ms", "last": "last_ms"}
#: Lines of codes.csv that are written in one piece.
_PIECE = 200


class Conducted(Protocol):
    """A run that is under way, see `phases.Conductor`."""

    totals: Totals
    doing: str

    def so_far(self) -> Run:
        """What is known of the run by now, beside its account."""

    def snapshot(self) -> Snapshot:
        """How the run stands."""

    def step_reports(self) -> Sequence[Mapping[str, Any]]:
        """The reports of those steps that have been taken."""


class Led(Protocol):
    """What is led, see `leading.Leading`."""

    @property
    def conductor(self) -> Conducted | None:
        """Of the run that is under way."""

    @property
    def report(self) -> Mapping[str, Any] | None:
        """Of the newest run, if it has ended."""

    @property
    def thresholds(self) -> Thresholds:
        """What runs are judged by."""

    @property
    def vitals(self) -> ServerVitals | None:
        """How the server fares, as far as that is watched."""

    @property
    def trouble(self) -> str:
        """Why what was asked for last could not be done."""


class Views:
    """What there is to be seen.

    Args:
        led: knows the run that is under way, and the newest report.
    """

    def __init__(self, led: Led) -> None:
        self._led = led
        self._past = live.Past()
        self._fragment: _Kept[str] = _Kept()
        self._rows: _Kept[list[dict[str, Any]]] = _Kept()
        self._figures: _Kept[str] = _Kept()
        self._report_html: _Kept[str] = _Kept()
        self._report_json: _Kept[str] = _Kept()

    def standing(self) -> Standing:
        """What there is to show."""
        led, conductor = self._led, self._led.conductor
        if conductor is None:
            return Standing(report=led.report, trouble=led.trouble)
        return Standing(live=self._live(conductor), trouble=led.trouble)

    def document(self) -> str:
        """The page /delivery."""
        return delivery.document(self.standing(), self.fragment())

    def fragment(self) -> str:
        """The part of it that changes."""
        return self._fragment.get(
            self._key(), lambda: delivery.fragment(self.standing(), self._past, _pause)
        )

    def tab(self) -> list[dict[str, Any]]:
        """The rows of the tab in Locust's own page, the newest code first."""
        return self._rows.get(self._key(), self._tab)

    def metrics(self) -> str:
        """What Prometheus is told; nothing before the first run."""
        return self._figures.get(self._key(), self._metrics)

    def codes_csv(self) -> Iterator[str]:
        """codes.csv, piece by piece; of a run that goes on, what is known by now."""
        conductor, report = self._led.conductor, self._led.report
        rows = iter(per_code(conductor.totals) if conductor else (report or {}).get("per_code", ()))
        yield files.codes_csv(())
        while piece := list(islice(rows, _PIECE)):
            yield files.codes_csv(piece, head=False)
            _pause()

    def report_html(self) -> str | None:
        """report.html of the newest run; None before it has ended."""
        report = self._led.report
        if report is None:
            return None
        return self._report_html.get(self._key(), lambda: html.document(report))

    def report_json(self) -> str | None:
        """report.json of the newest run; None before it has ended."""
        report = self._led.report
        if report is None:
            return None
        return self._report_json.get(self._key(), lambda: files.report_json(report))

    def _key(self) -> tuple[Hashable, bool]:
        """What is to be seen, and whether it still changes."""
        led, conductor = self._led, self._led.conductor
        if conductor is not None:
            return (conductor.so_far().run_id, "live"), True
        return ((led.report or {}).get("run", {}).get("id"), led.trouble), False

    def _live(self, conductor: Conducted) -> live.Live:
        return live.Live(
            doing=conductor.doing,
            run=conductor.so_far(),
            totals=conductor.totals,
            now=conductor.snapshot(),
            thresholds=self._led.thresholds,
            steps=conductor.step_reports(),
            vitals=self._led.vitals,
        )

    def _tab(self) -> list[dict[str, Any]]:
        standing = self.standing()
        if standing.live is not None:
            rows: Sequence[Mapping[str, Any]] = live.latest_codes(standing.live, _TAB_ROWS)
        else:
            rows = (standing.report or {}).get("per_code", ())[-_TAB_ROWS:]
        return [
            {
                "code": row["seq"],
                "sent": clock(row["sent_at"]),
                **{name: row[name] for name in ("status", "owed", "delivered", "missing")},
                **{
                    name: None if row[figure] is None else round(row[figure], 2)
                    for name, figure in _TAB_LATENCIES.items()
                },
            }
            for row in reversed(rows)
        ]

    def _metrics(self) -> str:
        standing = self.standing()
        if standing.live is not None:
            return prometheus.text(live.for_scraping(standing.live))
        return prometheus.text(standing.report or {})


_T = TypeVar("_T")


class _Kept(Generic[_T]):
    """Something that was made a moment ago."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._key: object = object()
        self._made_at = 0.0
        self._made: _T | None = None

    def get(self, key: tuple[Hashable, bool], make: Callable[[], _T]) -> _T:
        """It, made anew if it is of something else, or old and of something that changes.

        Args:
            key: what it is of, and whether that changes.
            make: makes it.
        """
        # Whoever asks while it is made waits, and gets the same.
        with self._lock:
            is_old = key[1] and time.monotonic() - self._made_at >= _FRESH_S
            if self._made is None or self._key != key or is_old:
                self._made = make()
                self._key, self._made_at = key, time.monotonic()
            return self._made


def _pause() -> None:
    gevent.sleep(0)
