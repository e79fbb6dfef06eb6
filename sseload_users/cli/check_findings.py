"""What the receipts of a check show; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sseload_users.cli.check_output import span
from sseload_users.core.formatting import count
from sseload_users.verdict.patterns.loss_matrix import ISOLATED

#: Arrivals of each code at one connection (wall clock, ns), by the code's text, in the order of
#: the first arrivals.
Arrivals = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Loss:
    """Copies that never came.

    Attributes:
        lost: their number.
        owed: number of copies that should have come.
        pattern: what they have in common.
        hint: what that suggests, and where to look.
    """

    lost: int
    owed: int
    pattern: str
    hint: str


def loss(codes: Sequence[str], arrivals: Sequence[Arrivals]) -> Loss | None:
    """Return what never came; None if every connection received every code.

    Args:
        codes: texts of the accepted codes, in the order of sending.
        arrivals: what each connection received; a code that it sent itself counts as received.
    """
    lacking = {
        number: missing
        for number, each in enumerate(arrivals, 1)
        if (missing := [code for code in codes if code not in each])
    }
    lost, many = sum(map(len, lacking.values())), len(arrivals)
    if not lost:
        return None
    owed = many * len(codes)
    if lost == owed:
        return Loss(lost, owed, "no connection received any", _NOT_SUBSCRIBED)
    if all(len(each) == len(codes) for each in lacking.values()):
        which = _connections([*lacking])
        pattern = f"{which} received nothing, the others everything"
        return Loss(lost, owed, pattern, _SEPARATE)
    nowhere = [code for code in codes if not any(code in each for each in arrivals)]
    if lost == len(nowhere) * many:
        which = " and ".join(f"code {codes.index(each) + 1}" for each in nowhere)
        return Loss(lost, owed, f"{which} of {len(codes)} reached no connection", _DROPPED)
    if many > 1 and all(sum(code in each for each in arrivals) == 1 for code in codes):
        return Loss(lost, owed, "each code reached only one connection", _QUEUE)
    groups = {frozenset(code for code in codes if code in each) for each in arrivals}
    if all(groups) and sum(map(len, groups)) == len(frozenset().union(*groups)):
        pattern = f"each code reached only one of {len(groups)} groups of connections"
        return Loss(lost, owed, f"{pattern}, and all of that group", ISOLATED)
    pattern = f"{len(lacking)} of {many} connections lack at least one code"
    return Loss(lost, owed, pattern, _LOSSY)


def receipt(sent_ns: Mapping[str, int], arrivals: Sequence[Arrivals]) -> str:
    """Return how many connections have received one or two codes, and how fast.

    Args:
        sent_ns: when each code was sent (wall clock, ns), by its text.
        arrivals: what each connection received; none at all of a code that it sent itself.
    """
    copies = [(code, each[code]) for code in sent_ns for each in arrivals if code in each]
    latencies = [(found[0] - sent_ns[code]) / 1e6 for code, found in copies if found]
    own = len(copies) - len(latencies)
    many, owed = len(arrivals), len(arrivals) * len(sent_ns) - own
    what, them = ("the code", "it was") if len(sent_ns) == 1 else ("both codes", "they were")
    if len(latencies) == owed and not own:
        said = f"{what} came" if many == 1 else f"all {many} connections received {what},"
    elif len(sent_ns) == 1:
        other = "other " if own else ""
        said = f"{len(latencies)} of {many - own} {other}connections received {what}"
    else:
        said = f"{len(latencies)} of {owed} copies came"
    if not latencies:
        return said
    return f"{said.removesuffix(',')}{',' * (many > 1)} {span(latencies)} after {them} sent"


def further_copies(arrivals: Sequence[Arrivals]) -> int:
    """Return the number of copies beyond the first of a code on a connection."""
    return sum(len(copies) - 1 for each in arrivals for copies in each.values() if copies)


def orders(codes: Sequence[str], arrivals: Sequence[Arrivals]) -> set[tuple[str, ...]]:
    """Return the different orders in which connections received all of some codes."""
    received = (tuple(code for code in each if code in codes) for each in arrivals)
    return {each for each in received if len(each) == len(codes)}


def batch_hint(payload: bytes, codes: Sequence[str]) -> str:
    """Return how a profile reads several codes of one message.

    Args:
        payload: the message.
        codes: texts of the codes in it, at least two.
    """
    text = payload.decode(errors="replace")
    first, second, *_ = sorted(codes, key=text.index)
    between = text[text.index(first) + len(first) : text.index(second)]
    key = next((key for pattern, key in _BATCHES if re.search(pattern, between)), _REGEX)
    return f"The server puts several codes into one message. {key}"


def limits(codes: int, connections: int, users: Sequence[str]) -> str:
    """Return what a check of this size cannot tell."""
    size = f"{count(codes, 'code')} to {count(connections, 'connection')}"
    text = (
        f"This check was small: {size}. Rare losses, limits on clients or messages, and what "
        "happens under load show only in a run."
    )
    if connections > 1 and len(set(users)) == 1:
        text += (
            " All connections were the same user, so it cannot tell whether users receive "
            "messages that are meant for others: give several with --users-file."
        )
    return text


def _connections(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"connection {numbers[0]}"
    *first, last = map(str, numbers)
    return f"connections {', '.join(first)} and {last}"


_NOT_SUBSCRIBED = (
    "Is the connection subscribed to what the code is broadcast to (user, channel, namespace)? "
    "See the server's log, and below what came instead."
)
_SEPARATE = (
    "Does the server run as several processes or machines that do not pass messages on to each "
    "other, for example through Redis? Or are these connections other users, or subscribed to "
    "another channel?"
)
_DROPPED = (
    "Does the server limit its rate, merge messages that come close together, or drop one of two "
    "that are handed in at the same time? See its log."
)
_QUEUE = "The server hands each message to one client, as a queue does, and not to all."
_LOSSY = (
    "The server loses messages even without load: look for full buffers, errors in its log, and "
    "several processes that do not pass messages on to each other."
)
_REGEX = "Use a regex in [code] that finds each of them."
#: Patterns of what stands between two codes of a message, and the key that splits there.
_BATCHES = (
    (
        r'[}\]]\s*,\s*[{\[]|^"\s*,\s*"$',
        'They are in a list: use a path with [*], such as "[*].code".',
    ),
    (r"\n", "Each is in a line of its own: set lines = true."),
    (r"\x1e", 'Set separator = "\\u001e", which is between them.'),
    (r"\x00", 'Set separator = "\\u0000", which is between them.'),
    (r"[}\]]\s*[{\[]", "They are JSON values back to back: set concatenated = true."),
)
