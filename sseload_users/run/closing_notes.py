"""The notes that a run's report gets at its end; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from sseload_users.core.causes import UPGRADE
from sseload_users.core.channels import ChannelPlan
from sseload_users.core.clock_steps import before_sent_note
from sseload_users.core.code_tally import Outcomes
from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.figures import ObservationFigures
from sseload_users.core.formatting import count
from sseload_users.core.sightings import Sightings
from sseload_users.core.tally import Tally
from sseload_users.report.addresses import address_figures, address_notes

#: Most causes that a note names.
_MOST_CAUSES = 3


def closing_notes(
    tally: Tally,
    *,
    slow_rate: float,
    publisher_losses: Counter[str],
    clock_error_ms: float,
    channel_churn: bool = False,
) -> list[str]:
    """Return the notes about a run's account, one sentence each.

    Args:
        tally: what was counted in the run.
        slow_rate: bytes per second that slow connections read.
        publisher_losses: losses of the publisher's connection, by cause.
        clock_error_ms: how wrong a latency between two processes can be, in milliseconds.
        channel_churn: connections were to move to other channels.
    """
    counters = tally.counters
    notes = [*address_notes(address_figures(tally.addresses)), *_polling_notes(tally)]
    if counters.slow:
        notes.append(
            f"{count(counters.slow, 'connection')} read slowly, at {slow_rate:,.0f} bytes a second "
            "(--slow-share): what they had not read by the end is missing."
        )
    if channel_churn and not counters.channel_changes:
        notes.append(
            "No connection moved to another channel (--channel-churn): the run was too short for "
            "that, or only one channel had connections."
        )
    if publisher_losses:
        causes = ", ".join(f"{many} × {cause}" for cause, many in publisher_losses.most_common())
        times = count(publisher_losses.total(), "time")
        notes.append(f"The publisher's connection was lost {times}: {causes}.")
    if counters.hook_errors:
        raised = count(counters.hook_errors, "exception")
        notes.append(f"The locustfile's hooks raised {raised}; see the log.")
    if counters.logins_renewed:
        times = count(counters.logins_renewed, "time")
        notes.append(
            f"The server refused a login that it had accepted before, such as an expired token; "
            f"sseload logged in again {times}."
        )
    if counters.before_sent:
        notes.append(before_sent_note(counters.before_sent, clock_error_ms))
    return notes


def node_notes(refused_at_end: Mapping[str, int]) -> Iterator[str]:
    """Return notes on the nodes that took no codes at the end of a run.

    Args:
        refused_at_end: see `NodeTotals.refused_at_end`.
    """
    for url, many in refused_at_end.items():
        yield (
            f"{url} accepted no connection for codes at the end of the run: "
            f"{count(many, 'code')} whose turn it was went to other nodes."
        )


def deliveries_notes(rows: int, outcomes: Outcomes) -> Iterator[str]:
    """Return the note that deliveries.csv is not complete, if it is not.

    Args:
        rows: number of its rows.
        outcomes: the outcomes of all deliveries.
    """
    all_rows = outcomes.late + outcomes.recovered + outcomes.interrupted + outcomes.missing
    if rows < all_rows:
        yield (
            f"deliveries.csv has {rows:,} of {all_rows:,} deliveries: the first ones, without "
            "those of workers that were lost."
        )


def channel_notes(connections: Iterable[ConnectionRow], plan: ChannelPlan) -> Iterator[str]:
    """Return the note about connections in channels that got no codes, if there are any.

    Args:
        connections: the connections of the run.
        plan: deals codes to channels.
    """
    outside = [
        set(each.channels.split(", "))
        for each in connections
        if each.channels and plan.sizes.keys().isdisjoint(each.channels.split(", "))
    ]
    if outside:
        channels = count(len(set().union(*outside)), "channel")
        yield (
            f"{count(len(outside), 'connection')} joined {channels} that had no connection when "
            "the run began, so that no code was sent there: begin with a connection in each "
            "channel."
        )


def observed_figures(sightings: Sightings, *, has_times: bool) -> ObservationFigures:
    """Return what the report says about an observation.

    Args:
        sightings: its messages.
        has_times: the messages have their times of sending.
    """
    return ObservationFigures(
        seen=sightings.numbered,
        holes=sightings.holes,
        skipped=sightings.skipped,
        since="message" if has_times else "first sighting",
    )


def observation_notes(observed: ObservationFigures | None) -> Iterator[str]:
    """Yield what is not known about a run without a publisher, one sentence each."""
    if observed is None:
        return
    since = (
        "the time in the message, by the server's clock"
        if observed.since == "message"
        else "its first sighting on any connection, which stands for its sending"
    )
    yield f"sseload sent nothing (--observe): a message's latency counts from {since}."
    if observed.holes is None:
        yield (
            "Nothing is known about messages that no connection got, nor about the order in which "
            "the server sent them."
        )
    else:
        holes = count(observed.holes, "number") if observed.holes else "no number"
        yield f"Of the messages' numbers, {holes} between the lowest and the highest never came."
    if observed.skipped:
        yield (
            f"{count(observed.skipped, 'message')} had a number far from all others and "
            "did not count: the ids are not numbers in a row."
        )


def _polling_notes(tally: Tally) -> Iterator[str]:
    counters = tally.counters
    stayed = counters.polled - counters.upgraded - counters.upgrade_failed
    if counters.upgrade_failed:
        of = f"{counters.upgrade_failed:,} of {count(counters.polled, 'session')}"
        causes = Counter(
            {cause: many for (what, cause), many in tally.causes.items() if what == UPGRADE}
        )
        why = ", ".join(f"{many} × {cause}" for cause, many in causes.most_common(_MOST_CAUSES))
        yield (
            f"{of} could not go over from long polling to WebSocket and stayed on polling, as "
            f"Socket.IO's own clients do: {why}."
        )
    if stayed > 0:
        yield (
            f"{stayed:,} of {count(counters.polled, 'session')} used long polling only: the server "
            "or the profile offers no other way, or they ended before they could go over."
        )
    if counters.resumed:
        yield (
            f"The server restored the state of the session before in "
            f"{count(counters.resumed, 'session')} (connection state recovery): what it had sent "
            "in between came later."
        )
