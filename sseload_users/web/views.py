"""What the leading process shows of its runs: computed rarely, served often.

Requests within a second share one result, and the work is done in pieces of a few milliseconds,
between which the hub goes on: connections are read, and workers are heard.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import gevent
from prometheus_client.core import Metric

from sseload_users.core.totals import Totals
from sseload_users.core.vitals import ServerVitals
from sseload_users.report import files, html, live, prometheus, serialization
from sseload_users.report.account import Run
from sseload_users.report.build import per_code
from sseload_users.report.live import LatestCode, Live
from sseload_users.report.model import Report
from sseload_users.report.prometheus import Exposition
from sseload_users.report.snapshot import Snapshot
from sseload_users.verdict.reasons import StepReport
from sseload_users.verdict.thresholds import Thresholds
from sseload_users.web import delivery_page
from sseload_users.web.delivery_page import Shown
from sseload_users.web.standing import Standing, rows
from sseload_users.web.ttl_cache import TtlCache

#: Seconds for which a result of a run that is going on is served again.
_TTL_S = 1.0
#: Rows of the tab's table; codes.csv has all.
_TAB_ROWS = 100
#: Lines of codes.csv that are written in one piece.
_PIECE = 200


class Conducted(Protocol):
    """A run that is going on, see `run_view.RunView`."""

    @property
    def totals(self) -> Totals:
        """The run's account."""

    @property
    def doing(self) -> str:
        """What the run is doing, in a sentence."""

    def so_far(self) -> Run:
        """Return the facts about the run so far."""

    def snapshot(self) -> Snapshot:
        """Return the figures of this moment."""

    def step_reports(self) -> Sequence[StepReport]:
        """Return the reports of the steps taken so far."""


class Led(Protocol):
    """The leading side of a process, see `leader.Leader`."""

    @property
    def live_run(self) -> Conducted | None:
        """The run that is going on."""

    @property
    def report(self) -> Report | None:
        """The report of the latest run, if it has ended."""

    @property
    def thresholds(self) -> Thresholds:
        """What runs are judged by."""

    @property
    def vitals(self) -> ServerVitals | None:
        """The server's condition, if it is watched."""

    @property
    def trouble(self) -> str:
        """Why the last request could not be carried out; empty if it could."""


class Views:
    """What is shown of the runs of this process.

    Args:
        led: knows the run that is going on, and the latest report.
        history: the directory in which runs are kept; empty if they are not.
    """

    def __init__(self, led: Led, history: str = "") -> None:
        self._led = led
        self.history = history
        self._timeline = live.TimelineCache()
        self._fragment: TtlCache[str] = TtlCache(_TTL_S)
        self._standing: TtlCache[Standing] = TtlCache(_TTL_S)
        self._tab: TtlCache[list[dict[str, Any]]] = TtlCache(_TTL_S)
        self._metrics: TtlCache[list[Metric]] = TtlCache(_TTL_S)
        self._report_html: TtlCache[str] = TtlCache(_TTL_S)
        self._report_json: TtlCache[str] = TtlCache(_TTL_S)

    @property
    def is_live(self) -> bool:
        """Whether a run is going on."""
        return self._led.live_run is not None

    @property
    def key(self) -> Hashable:
        """What distinguishes the things to show."""
        led, conductor = self._led, self._led.live_run
        if conductor is not None:
            return conductor.so_far().run_id, "live"
        return led.report.run.id if led.report else None, led.trouble

    def shown(self) -> Shown:
        """Return what there is to show."""
        led, conductor = self._led, self._led.live_run
        if conductor is None:
            return Shown(report=led.report, trouble=led.trouble)
        return Shown(live=self._live(conductor), trouble=led.trouble)

    def document(self) -> str:
        """Return the page /delivery."""
        return delivery_page.document(self.shown(), self.fragment(), keeps=bool(self.history))

    def fragment(self) -> str:
        """Return the part of it that changes."""
        return self._fragment.get(
            self.key,
            lambda: delivery_page.fragment(self.shown(), self._timeline, self._fragment.pause),
            changes=self.is_live,
        )

    def standing(self) -> Standing:
        """Return what the run amounts to."""
        return self._standing.get(self.key, lambda: Standing.of(self.shown()), changes=self.is_live)

    def tab(self) -> list[dict[str, Any]]:
        """Return the rows of the tab in Locust's own page, the newest code first."""
        return self._tab.get(self.key, self._tab_rows, changes=self.is_live)

    def metrics(self, accept: str = "") -> Exposition:
        """Return the metrics for Prometheus; none before the first run.

        Args:
            accept: the request's Accept header.
        """
        found = self._metrics.get(self.key, self._metrics_now, changes=self.is_live)
        return prometheus.exposition(found, accept)

    def codes_csv(self) -> Iterator[str]:
        """Yield codes.csv piece by piece; of a run that is going on, what is known so far."""
        conductor, report = self._led.live_run, self._led.report
        rows = per_code(conductor.totals) if conductor else iter(report.per_code if report else ())
        yield files.codes_csv(())
        while piece := list(islice(rows, _PIECE)):
            yield files.codes_csv(piece, head=False)
            _pause()

    def report_html(self) -> str | None:
        """Return report.html of the latest run; None before it has ended."""
        report = self._led.report
        if report is None:
            return None
        return self._report_html.get(self.key, lambda: html.document(report), changes=False)

    def report_json(self) -> str | None:
        """Return report.json of the latest run; None before it has ended."""
        report = self._led.report
        if report is None:
            return None
        return self._report_json.get(self.key, lambda: serialization.to_json(report), changes=False)

    def _live(self, conductor: Conducted) -> Live:
        return Live(
            doing=conductor.doing,
            run=conductor.so_far(),
            totals=conductor.totals,
            now=conductor.snapshot(),
            thresholds=self._led.thresholds,
            steps=conductor.step_reports(),
            vitals=self._led.vitals,
        )

    def _tab_rows(self) -> list[dict[str, Any]]:
        shown = self.shown()
        codes: list[LatestCode] = []
        if shown.live is not None:
            codes = live.latest_codes(shown.live, _TAB_ROWS)
        elif shown.report is not None:
            codes = [LatestCode(row) for row in shown.report.per_code[-_TAB_ROWS:]]
        return list(rows(self.standing(), codes[::-1]))

    def _metrics_now(self) -> list[Metric]:
        shown = self.shown()
        report = live.report_for_metrics(shown.live) if shown.live is not None else shown.report
        return list(prometheus.metrics_of(report)) if report is not None else []


def _pause() -> None:
    gevent.sleep(0)
