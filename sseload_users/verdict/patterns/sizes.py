"""Patterns in which sizes of payloads are lost."""

from __future__ import annotations

from sseload_users.core.formatting import number, share
from sseload_users.verdict.patterns.loss_matrix import EXPLAINS, SPARES
from sseload_users.verdict.symptoms import Finding, Symptoms

#: Fewest codes above the size, and below it.
_MIN_CODES = 3


def by_size(symptoms: Symptoms) -> Finding | None:
    """Find that codes are lost from some size of their payload on."""
    sized = [(code.payload_bytes, code.owed, code.lost) for code in symptoms.codes]
    codes = sorted(each for each in sized if each[0] is not None)
    lost = sum(code[2] for code in codes)
    kept = sum(code[1] for code in codes) - lost
    if not lost or not kept:
        return None
    best, cut, above = 0.0, 0, 0
    below_owed = below_lost = 0
    for at, (size, owed, missed) in enumerate(codes):
        if at and size != codes[at - 1][0]:
            fit = (lost - below_lost) / lost + (below_owed - below_lost) / kept
            if fit > best:
                best, cut, above = fit, at, lost - below_lost
        below_owed += owed
        below_lost += missed
    large, small = codes[cut:], codes[:cut]
    small_owed = sum(code[1] for code in small)
    if (
        min(len(large), len(small)) < _MIN_CODES
        or above < EXPLAINS * lost
        or above < EXPLAINS * sum(code[1] for code in large)
        or lost - above > SPARES * small_owed
    ):
        return None
    from_size, up_to = large[0][0], small[-1][0]
    assert from_size is not None and up_to is not None  # noqa: S101, PT018
    return Finding(
        "by_size",
        f"{share(above, lost)} of what is missing had payloads of {number(from_size)} bytes or "
        f"more; of those of up to {number(up_to)} bytes, {share(lost - above, small_owed)} is "
        "missing.",
        above / lost,
        {"from_bytes": from_size, "up_to_bytes": up_to, "codes": len(large)},
        "Look for a limit of the size of messages: in the server, its broker, or a proxy in front "
        "of it.",
    )
