"""Patterns in which nodes the losses concern."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sseload_users.core.formatting import clean, share
from sseload_users.verdict.patterns.loss_matrix import EXPLAINS, SPARES, LossMatrix
from sseload_users.verdict.symptoms import Finding, Symptoms

#: A pair of nodes: the one that codes were sent to, and the one that sessions were at.
_Pair = tuple[str, str]

_BACKPLANE = (
    "The nodes do not pass messages on to each other: connect them by a shared broker (Redis "
    "adapter, message queue, publish/subscribe), and see whether each node reaches it."
)


def by_node(symptoms: Symptoms, matrix: LossMatrix) -> Finding | None:
    """Find that the losses are between nodes, at one node, or of one node's codes."""
    del matrix
    pairs = symptoms.nodes
    for which, bad, hint in _candidates(list(pairs)):
        owed, lost = (sum(pairs[each][at] for each in bad) for at in (0, 1))
        all_owed, total = (sum(each[at] for each in pairs.values()) for at in (0, 1))
        if (
            owed < all_owed
            and lost
            and lost >= 0.5 * owed
            and lost >= EXPLAINS * total
            and total - lost <= SPARES * (all_owed - owed)
        ):
            return Finding(
                "by_node",
                f"{share(lost, total)} of the losses are of {which}: {share(lost, owed)} of these "
                "pairs were lost.",
                lost / total,
                {"lost": lost, "owed": owed, "which": which},
                hint,
            )
    return None


def _candidates(pairs: Sequence[_Pair]) -> Iterator[tuple[str, list[_Pair], str]]:
    """Yield groups of pairs of nodes that may have a cause in common, in words, with a hint."""
    names = sorted({received_at for _, received_at in pairs})
    between = [(sent_to, received_at) for sent_to, received_at in pairs if sent_to != received_at]
    yield "codes sent to one node and sessions at another", between, _BACKPLANE
    for name in names:
        at_it = [each for each in pairs if each[1] == name]
        yield f"sessions at {clean(name)}", at_it, f"See the log of {clean(name)}, and its load."
    for name in names:
        of_it = [each for each in pairs if each[0] == name]
        hint = f"See whether {clean(name)} passes on what it is sent."
        yield f"codes sent to {clean(name)}", of_it, hint
