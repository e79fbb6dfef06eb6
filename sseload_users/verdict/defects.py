"""Rules about what should never arrive: duplicates, reordering, unexpected and malformed codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sseload_users.core.figures import Account, DeliveryFigures
from sseload_users.core.formatting import count, number
from sseload_users.verdict.reasons import Reason, make_reason
from sseload_users.verdict.thresholds import JudgedShare, Rule, Thresholds


@dataclass(frozen=True, slots=True)
class _Defect:
    """Something that should never arrive: its rule, how it is counted, its words."""

    rule: str
    counted: Callable[[DeliveryFigures], int]
    singular: str
    plural: str
    hint: str


_DEFECTS = (
    _Defect(
        "duplicates",
        lambda deliveries: deliveries.duplicate,
        "further copy of a code arrived",
        "further copies of codes arrived",
        "A client received the same code twice: look for a broadcast to two rooms or namespaces "
        "that it belongs to, or for a retry.",
    ),
    _Defect(
        "replayed",
        lambda deliveries: deliveries.replayed,
        "code was sent again after a reconnect",
        "codes were sent again after a reconnect",
        "After a reconnect, clients received codes that they had already: look whether the server "
        "begins after the last event ID or offset that the client sends, or before.",
    ),
    _Defect(
        "out_of_order",
        lambda deliveries: deliveries.out_of_order,
        "code arrived after a later one",
        "codes arrived after later ones",
        "Codes overtook each other: look for broadcasts that run concurrently.",
    ),
    _Defect(
        "unexpected",
        lambda deliveries: deliveries.unexpected,
        "code arrived that was not owed",
        "codes arrived that were not owed",
        "Clients received codes that were sent before they subscribed, or that the server had "
        "rejected: look at replayed history, and at what the ingest does after an error.",
    ),
    _Defect(
        "malformed",
        lambda deliveries: deliveries.malformed,
        "message could not be decoded",
        "messages could not be decoded",
        "Look at the broadcast's encoding, at proxies that rewrite it, and at the profile.",
    ),
)


def judge_defects(account: Account, thresholds: Thresholds) -> Iterator[Reason]:
    """Yield the reason about each kind of defect."""
    rules = {
        "duplicates": thresholds.duplicates,
        "replayed": thresholds.replayed,
        "out_of_order": thresholds.out_of_order,
        "unexpected": thresholds.unexpected,
        "malformed": thresholds.malformed,
    }
    for defect in _DEFECTS:
        if defect.rule == "replayed" and account.resume is None:
            continue
        yield _judge_defect(account.deliveries, defect, rules[defect.rule])


def judge_several_per_frame(deliveries: DeliveryFigures) -> Reason:
    """Return the reason about codes that came where the profile does not look for them.

    Args:
        deliveries: some of them are overlooked.
    """
    unknown = count(deliveries.overlooked, "owed delivery", "owed deliveries")
    return make_reason(
        "several_per_frame",
        "warning",
        f"{unknown} of {number(deliveries.owed)} cannot be judged: their codes came in messages "
        "where the profile does not look for them, for example several codes in one message.",
        measured=number(deliveries.overlooked),
        hint="The server is not to blame: say in the profile where all codes of a message are, "
        "with [*] in the path, a regex, lines, separator, concatenated or array; sseload docs "
        "targets shows how.",
    )


def _judge_defect(deliveries: DeliveryFigures, defect: _Defect, rule: Rule) -> Reason:
    share = JudgedShare(defect.counted(deliveries), deliveries.owed, rule)
    found = (
        count(share.part, defect.singular, defect.plural) if share.part else f"No {defect.singular}"
    )
    owed = f", beside {count(share.whole, 'owed delivery', 'owed deliveries')}"
    return make_reason(
        defect.rule,
        share.grade,
        f"{found}{owed if share.part else ''}{share.bound_clause}.",
        measured=number(share.part),
        threshold=share.bound,
        hint=defect.hint,
        tolerated=bool(share.part),
    )
