"""The notes that a run's report gets at its end; pure."""

from __future__ import annotations

from collections import Counter

from sseload_users.core.address_counts import AddressCounts
from sseload_users.core.clock_steps import before_sent_note
from sseload_users.core.counters import Counters
from sseload_users.core.formatting import count
from sseload_users.report.addresses import address_figures, address_notes


def closing_notes(
    counters: Counters,
    addresses: AddressCounts,
    *,
    slow_rate: float,
    publisher_losses: Counter[str],
    clock_error_ms: float,
) -> list[str]:
    """Return the notes about a run's account, one sentence each.

    Args:
        counters: the run's counters.
        addresses: the run's connections by address.
        slow_rate: bytes per second that slow connections read.
        publisher_losses: losses of the publisher's connection, by cause.
        clock_error_ms: how wrong a latency between two processes can be, in milliseconds.
    """
    notes = address_notes(address_figures(addresses))
    if counters.slow:
        notes.append(
            f"{count(counters.slow, 'connection')} read slowly, at {slow_rate:,.0f} bytes a second "
            "(--slow-share): what they had not read by the end is missing."
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
