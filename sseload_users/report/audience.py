"""Figures of channels, leaks and resumed sessions from the account; pure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

from sseload_users.core.audience_figures import ChannelFigures, LeakExample, ResumeFigures
from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.histogram import Histogram
from sseload_users.core.totals import Totals

#: How many channels are computed while a run goes on, every second.
SHOWN_WHILE_RUNNING = 20


def channels_of(totals: Totals, most: int | None = None) -> list[ChannelFigures]:
    """Return the figures of the channels, the worst first.

    Args:
        totals: the account.
        most: how many of them; None for all.
    """
    return [] if totals.channels is None else totals.channels.figures(most)


def leaks_of(totals: Totals) -> list[LeakExample]:
    """Return the examples of leaks, with the connections' numbers in connections.csv.

    That file has the rows of one worker after those of another. While they are not known, a
    number is the one within its worker.
    """
    workers = list(totals.workers.values())
    rows_before = accumulate((len(each.connections) for each in workers), initial=0)
    first = {each.name: rows for each, rows in zip(workers, rows_before, strict=False)}
    return [
        LeakExample(
            code=leak.sequence,
            channel=leak.channel,
            worker=leak.worker,
            connection=first.get(leak.worker, 0) + leak.connection,
            username=leak.username,
            own_channels=list(leak.own_channels),
            had_left=leak.had_left,
        )
        for leak in totals.tally.leaks
    ]


def resume_of(
    guarantee: str, totals: Totals, summarize: Callable[[Histogram], LatencySummary]
) -> ResumeFigures | None:
    """Return what was sent again or later after reconnects; None if the server promises nothing.

    Args:
        guarantee: what the server promises, by the target profile.
        totals: the account.
        summarize: how a histogram is summed up.
    """
    if guarantee != "resume":
        return None
    return ResumeFigures(
        guarantee="resume",
        recovered=totals.outcomes.recovered,
        replayed=totals.outcomes.replayed,
        recovery_ms=summarize(totals.tally.catch_up),
    )
