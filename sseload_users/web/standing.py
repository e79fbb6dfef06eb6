"""What the run that is going on, or the latest one, amounts to: for Locust's own page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sseload_users.report import html, pages
from sseload_users.report.live import LatestCode, report_so_far
from sseload_users.report.model import Report
from sseload_users.verdict.thresholds import Grade
from sseload_users.web import delivery_page
from sseload_users.web.delivery_page import Shown

#: Columns of the tab's table. Locust converts keys to camel case, so each is a single word.
COLUMNS = {
    "code": "Code",
    "sent": "Sent (UTC)",
    "status": "Status",
    "owed": "Owed",
    "delivered": "Delivered",
    "late": "Late",
    "recovered": "Recovered",
    "interrupted": "Interrupted",
    "missing": "Missing",
    "leaked": "Leaked",
    "first": "First (ms)",
    "median": "Median (ms)",
    "p99": "p99 (ms)",
    "last": "Last (ms)",
}
_COUNTS = ("owed", "delivered", "late", "recovered", "interrupted", "missing", "leaked")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a run amounts to.

    Attributes:
        phase: what the run that is going on is doing, in a word; empty after its end.
        grade: the verdict, so far; None as long as nothing can be judged.
        headline: the result in a sentence; empty before any run.
        report: the report, so far; None before any run.
        trouble: why the last request could not be carried out; empty if it could.
    """

    phase: str = ""
    grade: Grade | None = None
    headline: str = ""
    report: Report | None = None
    trouble: str = ""

    @classmethod
    def of(cls, shown: Shown) -> Standing:
        """Return what the run amounts to that there is to show."""
        if shown.live is not None:
            now, report = shown.live.now, report_so_far(shown.live)
            return cls(
                now.phase or "begin",
                report.verdict.grade if report.verdict.is_judged else None,
                delivery_page.headline(now, report.codes, has_channels=bool(report.channels)),
                report,
                shown.trouble,
            )
        if shown.report is not None:
            return cls(
                "",
                shown.report.verdict.grade,
                html.headline(shown.report),
                shown.report,
                shown.trouble,
            )
        return cls(trouble=shown.trouble)

    @property
    def verdict(self) -> str:
        """The grade in words: "good so far", or "good"."""
        if self.grade is None:
            return "not judged yet" if self.phase else ""
        return f"{self.grade} so far" if self.phase else self.grade

    def bar(self) -> str:
        """Return the bar above Locust's own page, without what surrounds it."""
        return pages.page("bar_now.html", standing=self)


def rows(standing: Standing, codes: Sequence[LatestCode]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the tab in Locust's own page: the whole run, then each code.

    Args:
        standing: what the run amounts to.
        codes: the latest codes, the newest first.
    """
    if standing.report is None:
        return
    deliveries, latency = standing.report.deliveries, standing.report.delivery_ms
    yield {
        # Locust's page sorts null as the lowest number.
        "code": None,
        "sent": "the whole run",
        "status": standing.verdict,
        **{name: getattr(deliveries, name) for name in _COUNTS},
        **_latencies(latency.min, latency.p50, latency.p99, latency.max),
    }
    for each in codes:
        row = each.row
        yield {
            "code": row.seq,
            "sent": pages.clock(row.sent_at),
            "status": each.status,
            **{name: None if each.in_flight else getattr(row, name) for name in _COUNTS},
            **_latencies(row.first_ms, row.p50_ms, row.p99_ms, row.last_ms),
        }


def _latencies(*values: float | None) -> dict[str, float | None]:
    names = ("first", "median", "p99", "last")
    shown = (None if each is None else round(each, 2) for each in values)
    return dict(zip(names, shown, strict=True))
