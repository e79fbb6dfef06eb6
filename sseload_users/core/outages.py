"""When a server, or one of its nodes, lost most of its sessions, and when they were back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sseload_users.core.node_counts import NodeCounts

#: Seconds within which half of the sessions end if a node goes away: some end them one by one.
_WITHIN_S = 5.0
#: Fewest sessions that end; one that ends alone says nothing of its node.
_LEAST = 2


class Change(NamedTuple):
    """How the number of sessions changed in a second, or a few.

    Attributes:
        start_s: when it began, in seconds since the run began.
        end_s: when it ended.
        lost: sessions that the server or the network ended.
        open: sessions that were open at its end.
    """

    start_s: float
    end_s: float
    lost: int
    open: int


class Outage(NamedTuple):
    """A time in which most sessions were away.

    Attributes:
        from_s: when the second began in which the first of them ended, in seconds since the run
            began.
        to_s: when the second ended in which half of them were back; None if they never were.
    """

    from_s: float
    to_s: float | None


def outages(changes: Iterable[Change]) -> list[Outage]:
    """Return when at least half of the sessions ended within a few seconds.

    Args:
        changes: in order of time; seconds without any may be left out.
    """
    found: list[Outage] = []
    recent: deque[tuple[Change, int]] = deque()  # with the sessions that were open before it
    before, level, since_s = 0, 0, None
    for change in changes:
        if since_s is None:
            if change.lost:
                # Some may have begun in the same second.
                recent.append((change, max(before, change.lost)))
            while recent and recent[0][0].end_s < change.end_s - _WITHIN_S:
                recent.popleft()
            lost = sum(each.lost for each, _ in recent)
            if lost >= _LEAST and 2 * lost >= recent[0][1]:
                since_s, level = recent[0][0].start_s, recent[0][1]
                recent.clear()
        if since_s is not None and 2 * change.open >= level:
            _append(found, Outage(since_s, change.end_s))
            since_s = None
        before = change.open
    if since_s is not None:
        _append(found, Outage(since_s, None))
    return found


def _append(found: list[Outage], further: Outage) -> None:
    """Append an outage, or extend the last one if that has only just ended."""
    last = found[-1].to_s if found else None
    if last is not None and further.from_s <= last + _WITHIN_S:
        found[-1] = Outage(found[-1].from_s, further.to_s)
    else:
        found.append(further)


def changes_at_nodes(
    seconds: Mapping[int, NodeCounts], started_s: float
) -> dict[int, list[Change]]:
    """Return how the number of sessions at each node changed, by its index.

    Args:
        seconds: what became of connections, by whole seconds since the Unix epoch.
        started_s: when the run began (Unix time).
    """
    found: dict[int, list[Change]] = {}
    for at in sorted(seconds):
        counts = seconds[at]
        for node in {node for node, _ in counts}:
            changes = found.setdefault(node, [])
            lost = counts[node, "dropped"] + counts[node, "planned"]
            gained = counts[node, "connected"] - counts[node, "left"] - lost
            before = changes[-1].open if changes else 0
            changes.append(Change(at - started_s, at + 1 - started_s, lost, before + gained))
    return found
