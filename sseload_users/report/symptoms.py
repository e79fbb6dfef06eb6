"""The symptoms of a run, for its diagnosis; pure."""

from __future__ import annotations

from sseload_users.core.code_tally import CodeTally
from sseload_users.core.figures import Account
from sseload_users.core.totals import Totals
from sseload_users.verdict.symptoms import CodeSymptoms, Symptoms

#: How many of the latest codes a diagnosis looks at while a run goes on.
LATEST = 300


def symptoms_of(
    account: Account, totals: Totals, started_ns: int, latest: int | None = None
) -> Symptoms:
    """Return the symptoms of a run.

    Args:
        account: its figures.
        totals: its account.
        started_ns: when it began (wall clock, ns).
        latest: how many of the latest codes; None for all.
    """
    codes = totals.tally.codes
    newest = max(codes, default=0)
    first = 1 if latest is None else max(1, newest - latest)
    # The numbers of observed messages can be large.
    numbers = sorted(codes) if latest is None else range(first, newest + 1)
    due = (sequence for sequence in numbers if sequence > 0 and sequence in codes)
    owed = ((each, code) for each in due if (code := codes[each]).owed and code.sent_ns)
    return Symptoms(
        account,
        [_code(totals, sequence, code, started_ns) for sequence, code in owed],
        {worker.name or name: worker.evidence for name, worker in totals.workers.items()},
        started_ns,
        {} if totals.channels is None else totals.channels.losses(),
        {} if totals.nodes is None else totals.nodes.losses(),
        partial=first > 1,
        herd=totals.tally.herd,
        storm_ended=totals.tally.counters.stormed,
        storm_returned=totals.tally.storm.total,
        failed_returns=totals.tally.failed_returns,
        returns=totals.tally.recovery,
        compression={name: many for name, many in totals.tally.compression.items() if many > 0},
        wire_bytes=totals.tally.counters.compressed_bytes,
        inflated_bytes=totals.tally.counters.inflated_bytes,
        flushes=totals.tally.counters.flushes,
    )


def _code(totals: Totals, sequence: int, code: CodeTally, started_ns: int) -> CodeSymptoms:
    percentiles = totals.percentiles.code(sequence)
    return CodeSymptoms(
        sequence,
        (code.sent_ns - started_ns) / 1e9,
        code.owed,
        code.late + code.interrupted + code.missing,
        code.duplicate,
        percentiles.p50,
        totals.payload_bytes(sequence),
        late=code.late,
        publisher=totals.publisher_of(sequence),
        spread_us=(code.last_ns - code.first_ns) // 1000,
    )
