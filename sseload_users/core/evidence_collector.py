"""Collects a worker's evidence, as its sessions end and its codes are settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import StatisticsError, correlation

from sseload_users.core.evidence import SAMPLE, Drop, Evidence, Fan, age_bin
from sseload_users.core.sessions import Session, TrackedCode

#: Codes that were sent at least so long after the one before are sent apart.
_APART_NS = 50_000_000
#: Two codes arrive together if this share of the time between their sending lies between them.
_TOGETHER = 0.1
#: The first codes, and then one of so many, are looked at for the order of their arrivals.
_FANS, _FAN_EVERY = 8, 16
#: Fewest arrivals of a code for which their order is looked at.
_MIN_FAN = 8


class EvidenceCollector:
    """Looks at the first connections of a worker, each time a code is settled.

    What a code costs does not depend on the number of connections, and a receipt costs nothing.

    Args:
        timeout_ns: the delivery timeout.
    """

    def __init__(self, timeout_ns: int) -> None:
        self._timeout_ns = timeout_ns
        self._evidence = Evidence()
        # Of the connections in the sample: their sessions, and the send time and the arrival of
        # the latest code that each of them received.
        self._sessions: dict[int, Session] = {}
        self._latest: dict[int, tuple[int, int]] = {}
        self._fans = 0
        # The order in which connections received the latest code that was looked at.
        self._ranks: dict[int, int] = {}

    def opened(self, session: Session) -> None:
        """Note that a session was opened."""
        number = session.connection.number - 1
        if number < SAMPLE:
            self._sessions[number] = session
            self._latest.pop(number, None)
            self._evidence.users[number] = session.connection.username
            if session.channels:
                self._evidence.channels[number] = ",".join(session.channels)

    def dropped(self, session: Session, at_ns: int) -> None:
        """Note that the server or the network ended a session."""
        number = session.connection.number - 1
        if self._sessions.get(number) is not session:
            return
        since_ns = session.subscribed_ns if session.gaps is None else session.gaps.returned_ns
        since_ns = since_ns or session.subscribed_ns
        _, arrived_ns = self._latest.get(number, (0, 0))
        idle_ns = at_ns - max(since_ns, arrived_ns)
        drop = Drop(at_ns // 10**6, (at_ns - since_ns) // 10**6, max(0, idle_ns) // 10**6)
        self._evidence.drops.append(drop)

    def settled(self, code: TrackedCode) -> None:
        """Look at a code that is owed, while its copies are still known."""
        evidence, sent_ns = self._evidence, code.sent_ns or 0
        copies, latest_ns = code.copies or {}, sent_ns + self._timeout_ns
        owed = lacking = 0
        arrivals: list[tuple[int, int]] = []
        channel = code.channel
        for number, session in self._sessions.items():
            if channel is not None and channel not in (session.channels or ()):
                # Most sessions are not in the channel, and each code is looked up in all.
                continue
            closed_ns = session.closed_ns
            gone = closed_ns is not None and closed_ns <= latest_ns
            if gone or not session.is_owed(sent_ns, channel):
                continue
            owed |= 1 << number
            age = age_bin(sent_ns - session.subscribed_ns)
            evidence.ages_owed[age] += 1
            arrived_ns = copies.get(session)
            if arrived_ns is None or arrived_ns > latest_ns:
                lacking |= 1 << number
                evidence.ages_lacking[age] += 1
            elif session.gaps is None or not session.gaps.brought(sent_ns, arrived_ns):
                # Recovered codes arrive together, and when the connection returns.
                arrivals.append((number, arrived_ns))
                self._compare(number, sent_ns, arrived_ns)
        if lacking:
            evidence.add(code.sequence, owed, lacking)
        self._fans += 1
        if len(arrivals) >= _MIN_FAN and (self._fans <= _FANS or self._fans % _FAN_EVERY == 0):
            self._look_at_order(arrivals, copies)

    def take(self) -> Evidence:
        """Return what was collected since the last call."""
        taken, self._evidence = self._evidence, Evidence()
        return taken

    def _look_at_order(
        self, arrivals: Sequence[tuple[int, int]], copies: Mapping[Session, int]
    ) -> None:
        """Compare the order in which connections received a code with that of an earlier code."""
        ranks, self._ranks = self._ranks, {}
        for rank, (number, _) in enumerate(sorted(arrivals, key=lambda each: each[1])):
            self._ranks[number] = rank
        both = [number for number, _ in arrivals if number in ranks]
        if len(both) < _MIN_FAN:
            return
        delays = {number: (arrived_ns - arrivals[0][1]) / 1000 for number, arrived_ns in arrivals}
        spread_us = (max(copies.values()) - min(copies.values())) / 1000
        try:
            fit = correlation([ranks[each] for each in both], [delays[each] for each in both])
        except StatisticsError:  # all arrived at the same time
            fit = 0.0
        fan = Fan(len(copies), spread_us / len(copies), max(fit, 0.0) ** 2)
        self._evidence.fans.append(fan)

    def _compare(self, number: int, sent_ns: int, arrived_ns: int) -> None:
        """Compare a code's arrival with that of the code before it at the same connection."""
        before = self._latest.get(number)
        if before is not None and sent_ns - before[0] >= _APART_NS:
            self._evidence.apart += 1
            if abs(arrived_ns - before[1]) < _TOGETHER * (sent_ns - before[0]):
                self._evidence.together += 1
        if before is None or sent_ns > before[0]:
            self._latest[number] = sent_ns, arrived_ns
