"""Patterns in which publishers' codes are lost."""

from __future__ import annotations

from collections import Counter

from sseload_users.core.formatting import count, number, share
from sseload_users.verdict.patterns.loss_matrix import EXPLAINS, SPARES
from sseload_users.verdict.symptoms import Finding, Symptoms

#: Fewest codes of a publisher that say something about it.
_MIN_CODES = 3


def by_publisher(symptoms: Symptoms) -> Finding | None:
    """Find that the losses are of the codes of a few of the publishers."""
    codes, owed, lost = Counter[int](), Counter[int](), Counter[int]()
    for code in symptoms.codes:
        if code.publisher is not None:
            codes[code.publisher] += 1
            owed[code.publisher] += code.owed
            lost[code.publisher] += code.lost
    total = lost.total()
    bad = sorted(
        each for each in owed if lost[each] >= 0.5 * owed[each] and codes[each] >= _MIN_CODES
    )
    explained = sum(lost[each] for each in bad)
    if (
        not bad
        or len(bad) > 0.5 * len(owed)
        or explained < EXPLAINS * total
        or total - explained > SPARES * (owed.total() - sum(owed[each] for each in bad))
    ):
        return None
    of_these = sum(owed[each] for each in bad)
    many = "publisher" if len(bad) == 1 else "publishers"
    named = ", ".join(number(each + 1) for each in bad)
    return Finding(
        "by_publisher",
        f"{share(explained, total)} of the losses are codes of {number(len(bad))} of "
        f"{count(len(owed), 'publisher')}: {many} {named}; {share(explained, of_these)} of what "
        "these sent was lost.",
        explained / total,
        {"publishers": len(bad), "of": len(owed), "names": named, "lost": explained},
        "See the log of the process or node that these publishers' codes are handed in at, and "
        "whether they may publish.",
    )
