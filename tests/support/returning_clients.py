"""Work out from the embedded target's record what clients that return are owed, and what they got.

Each client has a user of its own, by which the record tells its sessions from those of others.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sseload_users.demo.record import CodeRecord, ConnectionRecord, Record

#: How long before the server opened a session its connect can have begun, in ns.
CONNECTING_NS = 50_000_000


def users_file(folder: Path, clients: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write a users file; return the options of the run and of the target that name the users."""
    names = [f"u{number}" for number in range(1, clients + 1)]
    path = folder / "users.csv"
    path.write_text("\n".join(["username", *names]) + "\n", "utf-8")
    return ("--users-file", str(path)), ("--users", ",".join(names))


def clients_of(truth: Record) -> dict[str, list[ConnectionRecord]]:
    """Return the sessions of each client, in order."""
    found: dict[str, list[ConnectionRecord]] = defaultdict(list)
    for _, each in sorted(truth.connections.items()):
        if each.subscribed:
            found[each.username].append(each)
    return found


@dataclass(slots=True)
class Pairs:
    """Numbers of pairs of client and code, by what became of them.

    Attributes:
        owed: the client was subscribed to the code's channel before the code was broadcast.
        missing: no session brought it.
        recovered: the first session that brought it began to connect after it was sent.
        joining: it was sent when the first session that brought it may have begun to connect, so
            that only the client knows whether it recovered it.
        replayed: later sessions that brought it again.
    """

    owed: int = 0
    missing: int = 0
    recovered: int = 0
    joining: int = 0
    replayed: int = 0

    def check(self, deliveries: Mapping[str, int]) -> None:
        """Check a report's deliveries."""
        for name in ("owed", "missing", "replayed"):
            assert deliveries[name] == getattr(self, name), (name, self)
        recovered = deliveries["recovered"]
        assert self.recovered <= recovered <= self.recovered + self.joining, self
        assert deliveries["delivered"] == self.owed - self.missing - recovered


def pairs_of(truth: Record, connecting_ns: int = CONNECTING_NS) -> Pairs:
    """Count the pairs of a record, as a server that resumes owes them.

    Args:
        truth: the record.
        connecting_ns: how long before the server opened a session its connect can have begun.
    """
    pairs = Pairs()
    for sessions in clients_of(truth).values():
        channels, begin = sessions[0].channels or [""], min(sessions[0].subscribed.values())
        for code in truth.codes.values():
            if code.channel in channels and code.start_ns >= begin:
                _count(pairs, sessions, code, connecting_ns)
    return pairs


def _count(
    pairs: Pairs, sessions: list[ConnectionRecord], code: CodeRecord, connecting_ns: int
) -> None:
    # What a client had read when a session ended, it says when it returns.
    read = [*(each.after or 0 for each in sessions[1:]), sys.maxsize]
    brought = [
        each
        for each, newest in zip(sessions, read, strict=True)
        if newest >= code.index and (each.connection in code.sent or code.index in each.replayed)
    ]
    pairs.owed += 1
    pairs.missing += not brought
    pairs.replayed += len(brought[1:])
    if brought and brought[0] is not sessions[0]:
        opened_ns, sent_ns = brought[0].opened_ns or 0, _sent_ns(code.code)
        pairs.recovered += sent_ns < opened_ns - connecting_ns
        pairs.joining += opened_ns - connecting_ns <= sent_ns <= opened_ns


def _sent_ns(code: str) -> int:
    return int(code.split("-")[3], 36)
