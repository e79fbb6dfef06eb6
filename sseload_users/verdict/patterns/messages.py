"""Patterns in what messages contain, and in how often they come."""

from __future__ import annotations

from sseload_users.core.altered_codes import FURTHER_TEXT
from sseload_users.core.formatting import count, number, share
from sseload_users.verdict.symptoms import Finding, Symptoms

#: Share of the further copies that a pattern explains, and of first sessions that it spares.
_EXPLAINS, _SPARES = 0.8, 0.05
#: Fewest further copies, and fewest pairs to compare them with.
_MIN_COPIES, _MIN_PAIRS = 5, 20


def several_per_frame(symptoms: Symptoms) -> Finding | None:
    """Find that messages contain further codes, where the profile does not look for them."""
    deliveries, altered = symptoms.account.deliveries, symptoms.altered
    lost = deliveries.missing + deliveries.late + deliveries.interrupted
    # A code that came changed is seen in its message, too. With text around it, that text may be
    # further codes.
    changed = altered.total() - altered[FURTHER_TEXT]
    if deliveries.overlooked - changed < max(_EXPLAINS * lost, 1):
        return None
    return Finding(
        "several_per_frame",
        f"{number(deliveries.overlooked)} codes arrived in places where the profile does not look "
        "for them, mostly several in one message.",
        deliveries.overlooked / lost,
        {"overlooked": deliveries.overlooked},
        "Set lines, separator, concatenated or array in the profile, or a path with [*]; "
        "`sseload check` says which.",
    )


def altered(symptoms: Symptoms) -> Finding | None:
    """Find that codes come changed, and how."""
    ways = symptoms.altered
    came, deliveries = ways.total(), symptoms.account.deliveries
    lost = deliveries.owed - deliveries.received
    if not lost or came < _EXPLAINS * lost:
        return None
    how, most = ways.most_common(1)[0]
    return Finding(
        "altered",
        f"{count(came, 'code')} came changed, {share(most, came)} of them {how}; so they do not "
        "count as received.",
        min(1.0, came / lost),
        {"altered": came, "how": how},
        _WHY_ALTERED.get(how, "See what the server does with a message before it sends it on."),
    )


_WHY_ALTERED = {
    "cut off at the end": "Look for a limit of the length of messages, or of a column in the "
    "database.",
    "escaped for HTML": "The server escapes messages for HTML, which is for the page that shows "
    "them to do; or clients must decode them.",
}


def several_copies(symptoms: Symptoms) -> Finding | None:
    """Find that each code comes the same number of times."""
    codes = [code for code in symptoms.codes if code.owed]
    delivered = sum(code.owed - code.lost for code in codes)
    further = sum(code.duplicate for code in codes)
    times = round(further / delivered) if delivered else 0
    if times < 1 or len(codes) < 3:
        return None
    regular = sum(
        abs(code.duplicate - times * (code.owed - code.lost)) <= 0.02 * times * code.owed
        for code in codes
    )
    if regular < 0.9 * len(codes):
        return None
    return Finding(
        "duplicates_by_namespace",
        f"Each code comes exactly {number(times + 1)} times.",
        regular / len(codes),
        {"copies": times + 1},
        "A connection is subscribed more than once (several namespaces, rooms or handlers), or "
        "the server broadcasts each code more than once.",
    )


def duplicates_on_reconnect(symptoms: Symptoms) -> Finding | None:
    """Find that codes come more than once only after a connection has returned."""
    copies, replayed = symptoms.copies, symptoms.account.deliveries.replayed
    again = copies.further_again + replayed
    total = again + copies.further
    if (
        again < _MIN_COPIES
        or again < _EXPLAINS * total
        or copies.owed < _MIN_PAIRS
        or copies.further > _SPARES * copies.owed
    ):
        return None
    compared = f"in their first sessions, {share(copies.further, copies.owed)} of the codes did"
    return Finding(
        "duplicates_on_reconnect",
        f"{count(again, 'further copy', 'further copies')} of codes came to connections that had "
        f"returned (in the sample); {compared}.",
        again / total,
        {"again": again, "first": copies.further},
        "Look at what the server does when a client returns: whether it removes the earlier "
        "session's subscription, and whether it sends only what the client does not have "
        "(Last-Event-ID, an offset).",
    )
