"""Report a run that is going on: the report so far, with the verdict so far; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sseload_users.core.code_tally import OWED_STATUSES
from sseload_users.core.figures import Account
from sseload_users.core.run_figures import HealthFigures
from sseload_users.core.totals import Totals
from sseload_users.core.vitals import ServerVitals
from sseload_users.report.account import Run, account_of, counted, health_of, parts_of
from sseload_users.report.build import per_code, phases, run_info
from sseload_users.report.compression import compression_of
from sseload_users.report.model import SCHEMA, CodeRow, Report, TimelinePoint
from sseload_users.report.snapshot import Snapshot
from sseload_users.report.symptoms import LATEST, symptoms_of
from sseload_users.report.timeline import Points, timeline
from sseload_users.report.workers import worker_shares
from sseload_users.verdict.diagnosis import diagnose
from sseload_users.verdict.reasons import StepReport, Verdict
from sseload_users.verdict.rules import judge
from sseload_users.verdict.thresholds import Thresholds

#: Seconds after which all workers have reported what they saw in a second: it has to end, to be
#: sampled and to be reported, each twice a second or more often.
_REPORTED_AFTER_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Live:
    """The state of a run that is going on.

    Attributes:
        doing: what it is doing, in a sentence.
        run: facts beside its account.
        totals: the account so far.
        now: the figures of this moment.
        thresholds: what it is judged by.
        steps: the reports of the steps taken so far, if it has several.
        vitals: the server's condition, if it is watched.
    """

    doing: str
    run: Run
    totals: Totals
    now: Snapshot
    thresholds: Thresholds
    steps: Sequence[StepReport] = ()
    vitals: ServerVitals | None = None


@dataclass(slots=True)
class TimelineCache:
    """Points of a run's timeline that were computed before and have not changed."""

    run_id: str = ""
    points: Points = field(default_factory=dict)


class LatestCode(NamedTuple):
    """One of the latest codes.

    Attributes:
        row: as in the report.
        in_flight: whether its account is still open.
    """

    row: CodeRow
    in_flight: bool = False

    @property
    def status(self) -> str:
        """The outcome of its request, or that it is on its way."""
        return "on its way" if self.in_flight else self.row.status


def report_so_far(live: Live) -> Report:
    """Return the report so far, without the parts that grow with the run.

    Only what has been settled is judged: connects that succeeded or failed, codes that were
    answered, deliveries that arrived or are known to be lost. A rule without any figures yet
    has no reason; see `Verdict.is_judged`.
    """
    account = account_of(live.run, live.totals, so_far=True)
    nodes = live.totals.nodes
    return Report(
        schema=SCHEMA,
        run=run_info(live.run, live.totals),
        phases=phases(live.run),
        **parts_of(account),
        received_per_connection={},
        per_code=[],
        reach=[],
        timeline=[],
        compression=compression_of(live.totals.tally),
        storm=None,
        flap=None,
        vitals=[],
        paces=[],
        health=_health(live),
        addresses=[],
        nodes=nodes.figures(live.totals.tally, live.run.started_ns) if nodes else [],
        node_pairs=nodes.pairs(counted) if nodes else [],
        workers=[],
        regions=[],
        steps=list(live.steps),
        search=None,
        losses=None,
        diagnosis=diagnose(symptoms_of(account, live.totals, live.run.started_ns, LATEST)),
        verdict=_verdict_so_far(live, account),
    )


def _health(live: Live) -> HealthFigures | None:
    return health_of(live.run, live.vitals.health) if live.vitals is not None else None


def _verdict_so_far(live: Live, account: Account) -> Verdict:
    connections, owed = account.connections, account.deliveries.owed
    # Rules that have nothing to judge before something is known.
    known = {
        # That the run has not ended goes without saying; a lost worker does not.
        "run_complete": not live.run.complete,
        "connection_success": connections.attempted,
        "size_target": connections.attempted,
        "connect_timeouts": connections.attempted,
        "connections_dropped": connections.succeeded,
        "codes_accepted": account.codes.judged,
        "codes_owed": account.codes.unowed,
        "codes_received": owed,
        "latency": account.delivery_ms.count or account.connections.connect_ms.count,
        "objective": owed,
        "error_rate": account.errors.operations,
        "isolation": owed or account.deliveries.leaked,
        "duplicates": owed,
        "replayed": owed,
        "out_of_order": owed,
        "unexpected": owed,
        "malformed": owed,
    }
    judged = judge(
        account,
        live.thresholds,
        complete=live.run.complete,
        notes=live.run.notes[: live.run.reasons],
        steps=live.steps,
        health=_health(live),
    )
    return Verdict.of(each for each in judged.reasons if known.get(each.rule, True))


def course(live: Live, cache: TimelineCache, pause: Callable[[], None]) -> list[TimelinePoint]:
    """Return the timeline as far as all workers have reported it.

    Args:
        live: the state of the run.
        cache: what was known before; it is updated, and emptied for another run.
        pause: called every few milliseconds.
    """
    if cache.run_id != live.run.run_id:
        cache.run_id, cache.points = live.run.run_id, {}
    return timeline(
        live.run.started_ns,
        live.totals,
        until_ns=live.run.finished_ns - _REPORTED_AFTER_NS,
        known=cache.points,
        pause=pause,
    )


def latest_codes(live: Live, many: int) -> list[LatestCode]:
    """Return the newest codes, the oldest of them first."""
    codes = live.totals.tally.codes
    in_flight_since = live.run.finished_ns - round(live.run.options["delivery_timeout"] * 1e9)
    return [
        LatestCode(
            row,
            codes[row.seq].status == "pending"
            or (
                row.status in OWED_STATUSES
                and not row.owed
                and codes[row.seq].sent_ns > in_flight_since
            ),
        )
        for row in per_code(live.totals, many)
    ]


def report_for_metrics(live: Live) -> Report:
    """Return the report so far, with the figures of this moment as its only interval."""
    now = live.now
    point = TimelinePoint(
        t=max(0.0, now.elapsed_s),
        open=now.open,
        connecting=now.connecting,
        connected=0,
        failed=0,
        dropped=now.dropped,
        ended=None,
        sent=now.codes_sent,
        received=now.received,
        p50_ms=now.p50_ms,
        p90_ms=None,
        p95_ms=now.p95_ms,
        p99_ms=now.p99_ms,
        max_ms=None,
        latencies=[],
        errors=now.errors,
        lag_p99_ms=now.lag_p99_ms,
        stall_ms=None,
        cpu_percent=now.cpu_percent,
        waited_percent=now.waited_percent,
        rss_mib=None,
    )
    report = report_so_far(live)
    vitals = [] if live.vitals is None else live.vitals.latest()
    # However well it goes: the run has not reached its end.
    running = replace(report.run, complete=False)
    workers = worker_shares(live.totals.workers.values(), counted)
    return replace(report, run=running, timeline=[point], vitals=vitals, workers=workers)
