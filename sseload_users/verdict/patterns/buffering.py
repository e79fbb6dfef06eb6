"""Patterns of what is held back on the way and passed on in batches."""

from __future__ import annotations

from sseload_users.core.figures import GeneratorFigures
from sseload_users.core.formatting import count, share
from sseload_users.verdict.symptoms import Finding, Symptoms

#: Fewest pairs of codes that were sent apart, and the smallest share of them that arrive together.
_MIN_PAIRS, _TOGETHER = 10, 0.5
#: Longest stall and lag, and the highest load, of a generator that read in time.
_STALL_MS, _BUSY_PERCENT = 100.0, 80.0


def buffered(symptoms: Symptoms) -> Finding | None:
    """Find that codes which were sent apart arrive together."""
    apart, together = _pairs(symptoms)
    if apart < _MIN_PAIRS or together < _TOGETHER * apart:
        return None
    if not _reads_in_time(symptoms.account.generator):
        return None
    return Finding(
        "buffered",
        f"Codes that were sent apart arrive together ({share(together, apart)} of "
        f"{count(apart, 'pair')} in the sample).",
        together / apart,
        {"together": together, "apart": apart},
        "Something on the way buffers the stream: a proxy (nginx: proxy_buffering off, or "
        "X-Accel-Buffering: no), compression without a flush for each message, or the server's "
        "own batching.",
    )


def most_held_back(symptoms: Symptoms) -> float:
    """Return how many of a connection's last codes a buffer may still hold; 0 without a buffer.

    A buffer holds as many as it passes on together; batches of twice the average are rare.
    """
    if buffered(symptoms) is None:
        return 0.0
    apart, together = _pairs(symptoms)
    return 2 * apart / (apart - together) if together < apart else float("inf")


def _reads_in_time(generator: GeneratorFigures) -> bool:
    """Whether messages that are read together came together.

    Then the time of those before the last one is in doubt, which is not the generator's doing.
    """
    if not generator.saturated:
        return True
    return bool(generator.in_doubt) and not any(
        (
            (generator.stall_ms.max or 0.0) > _STALL_MS,
            (generator.lag_ms.p99 or 0.0) > _STALL_MS,
            (generator.cpu_percent_max or 0.0) > _BUSY_PERCENT,
            (generator.waited_percent_max or 0.0) > _BUSY_PERCENT,
        )
    )


def _pairs(symptoms: Symptoms) -> tuple[int, int]:
    """Return how many pairs of codes were sent apart, and how many of them arrived together."""
    workers = symptoms.workers.values()
    return sum(each.apart for each in workers), sum(each.together for each in workers)
