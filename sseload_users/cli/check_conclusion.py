"""What `check` prints at its end."""

from __future__ import annotations

from collections.abc import Sequence

from sseload_users.cli import check_findings as findings
from sseload_users.cli.check_connection import CheckedConnection
from sseload_users.cli.check_output import CheckOutput
from sseload_users.cli.check_places import found_at, found_elsewhere
from sseload_users.core.formatting import count
from sseload_users.targets.identities import Identity
from sseload_users.targets.profile import Profile

#: Most messages without a code that are shown.
_MAX_OTHERS = 5


def conclude(
    output: CheckOutput,
    profile: Profile,
    codes: Sequence[str],
    connections: Sequence[CheckedConnection],
    users: Sequence[Identity],
) -> None:
    """Print what a check without a failure shows, and what it cannot tell.

    Args:
        output: prints it.
        profile: the target's.
        codes: texts of the codes, in the order of sending.
        connections: the listeners.
        users: the user of each.
    """
    many, arrivals = len(connections), [each.arrivals for each in connections]
    reached = "the connection" if many == 1 else f"all {many} connections"
    output.step("ok", f"all {len(codes)} codes reached {reached}, and the profile fits the server.")
    _tell_places(output, profile, connections)
    if len(findings.orders(codes[1:], arrivals)) > 1:
        output.detail(
            "The two codes that were sent at the same time did not come in the same order to "
            "all connections."
        )
    if further := findings.further_copies(arrivals):
        output.detail(
            f"{count(further, 'copy', 'copies')} came more than once: clients see duplicates."
        )
    output.detail(findings.limits(len(codes), many, [each.username for each in users]))


def show_others(output: CheckOutput, connections: Sequence[CheckedConnection]) -> None:
    """Print messages without a code, and what could not be decoded."""
    # The first connection stands for all: they receive much the same.
    for payload in connections[0].received.others[:_MAX_OTHERS]:
        output.detail(f"message without a code: {output.excerpt(payload)}")
    malformed = [cause for each in connections for cause in each.received.malformed]
    for cause in sorted(set(malformed)):
        output.detail(f"malformed, {count(malformed.count(cause), 'time')}: {cause}")


def _tell_places(
    output: CheckOutput, profile: Profile, connections: Sequence[CheckedConnection]
) -> None:
    """Print where the codes were in the messages."""
    carriers = (each.received.carrier for each in connections)
    carrier = next(filter(None, carriers), None)
    if carrier is not None:
        code = profile.spec.code
        where, advice = found_at(code, profile.transport, carrier.payload, carrier.codes)
        if where:
            output.detail(where)
        if advice:
            output.advice(advice)
    for each in connections[0].received.overlooked[:1]:
        where = found_elsewhere(profile.transport, each.payload, each.codes)
        output.detail(f"{where}: {output.excerpt(each.payload)}")
