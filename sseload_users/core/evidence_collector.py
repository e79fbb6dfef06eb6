"""Collects a worker's evidence, as its sessions end and its codes are settled."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from statistics import median

from sseload_users.core.evidence import (
    MOST_PACES,
    SAMPLE,
    Drop,
    Evidence,
    Fan,
    Pace,
    age_bin,
)
from sseload_users.core.sessions import Session, TrackedCode

#: Codes that were sent at least so long after the one before are sent apart.
_APART_NS = 50_000_000
#: Two codes arrive together if this share of the time between their sending lies between them.
_TOGETHER = 0.1
#: Fewest arrivals of a code that are kept, and fewest fast ones that a pace is taken of.
_MIN_FAN, _MIN_FAST = 4, 3
#: How many earlier sessions of a connection are remembered.
_EARLIER = 4


class EvidenceCollector:
    """Looks at the first connections of a worker, each time a code is settled.

    What a code costs does not depend on the number of connections, and a receipt costs nothing.

    Args:
        timeout_ns: the delivery timeout.
    """

    def __init__(self, timeout_ns: int) -> None:
        self._timeout_ns = timeout_ns
        self._evidence = Evidence()
        # Of the connections in the sample: their sessions, earlier ones, their local addresses, the
        # send time and the arrival of the latest code that each of them received, and the earliest
        # send time of these.
        self._sessions: dict[int, Session] = {}
        self._earlier: dict[int, list[Session]] = {}
        self._sources: dict[int, str] = {}
        self._latest: dict[int, tuple[int, int]] = {}
        self._first_sent_ns: dict[int, int] = {}
        # By sequence number of a settled code, from the first on: which of these connections had
        # received it, as bits.
        self._first = 0
        self._had = array("Q")

    def opened(self, session: Session) -> None:
        """Note that a session was opened."""
        number = session.connection.number - 1
        if number >= SAMPLE:
            return
        before = self._sessions.get(number)
        if before is not None:
            self._earlier[number] = [*self._earlier.get(number, ()), before][-_EARLIER:]
        else:
            # They stay the same.
            self._evidence.users[number] = session.connection.username
            if session.connection.slow:
                self._evidence.slow |= 1 << number
            if session.connection.node is not None:
                self._evidence.nodes[number] = session.connection.node
        self._sessions[number] = session
        self._latest.pop(number, None)
        self._first_sent_ns.pop(number, None)
        source = session.connection.source
        if source != self._sources.get(number, ""):
            self._sources[number] = source
            self._evidence.move_to(source, 1 << number)
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
        drop = Drop(at_ns // 10**6, max(0, at_ns - since_ns) // 10**6, max(0, idle_ns) // 10**6)
        self._evidence.drops.append(drop)

    def came_again(self, session: Session, code: TrackedCode) -> None:
        """Look at a further copy of a settled code: whether an earlier session had it."""
        number, index = session.connection.number - 1, code.sequence - self._first
        if (
            code.owed
            and number in self._earlier
            and self._sessions.get(number) is session
            and not session.is_owed(code.sent_ns or 0, code.channel)
            and 0 <= index < len(self._had)
        ):
            self._evidence.copies.further_again += self._had[index] >> number & 1

    def came_altered(self, how: str) -> None:
        """Note a message in which a code of this run is changed, and how."""
        self._evidence.altered[how] += 1

    def settled(self, code: TrackedCode) -> None:
        """Look at a code that is owed, while its copies are still known."""
        evidence, sent_ns = self._evidence, code.sent_ns or 0
        copies, latest_ns = code.copies or {}, sent_ns + self._timeout_ns
        owed = lacking = 0
        again = self._received_before(copies)
        had = again
        arrivals: list[tuple[int, int]] = []
        channel = code.channel
        for number, session in self._sessions.items():
            if channel is not None and channel not in (session.channels or ()):
                # Most sessions are not in the channel, and each code is looked up in all.
                continue
            arrived_ns = copies.get(session)
            had |= (arrived_ns is not None) << number
            if not session.is_owed(sent_ns, channel):
                evidence.copies.further_again += arrived_ns is not None and again >> number & 1
                continue
            if code.further is not None:
                self._count_copies(number, session, code)
            closed_ns = session.closed_ns
            if closed_ns is not None and closed_ns <= latest_ns:
                continue
            owed |= 1 << number
            age = age_bin(sent_ns - session.subscribed_ns)
            evidence.ages_owed[age] += 1
            if arrived_ns is None or arrived_ns > latest_ns:
                lacking |= 1 << number
                evidence.ages_lacking[age] += 1
                # All codes that were sent before are settled.
                evidence.lacking_later += self._first_sent_ns.get(number, sent_ns) < sent_ns
            elif session.gaps is None or not session.gaps.brought(sent_ns, arrived_ns):
                # Recovered codes arrive together, and when the connection returns.
                arrivals.append((number, arrived_ns))
                self._compare(number, sent_ns, arrived_ns)
        self._keep(code.sequence, had)
        self._count_owed(owed)
        if lacking:
            evidence.add(code.sequence, owed, lacking)
        if len(arrivals) >= _MIN_FAN:
            fan = {number: (arrived_ns - sent_ns) // 1000 for number, arrived_ns in arrivals}
            evidence.add_fan(Fan(code.sequence, fan))
            self._compare_readers(code.sequence, arrivals, sent_ns)

    def take(self) -> Evidence:
        """Return what was collected since the last call."""
        taken, self._evidence = self._evidence, Evidence()
        return taken

    def _received_before(self, copies: Mapping[Session, int]) -> int:
        """Return which connections received a code in earlier sessions, as bits.

        What was on its way to a session that ended has not come.
        """
        return sum(
            any(each in copies for each in earlier) << number
            for number, earlier in self._earlier.items()
        )

    def _keep(self, sequence: int, had: int) -> None:
        """Keep which connections have received a code."""
        if not self._had:
            # Observed messages have their own numbers, which may be large.
            self._first = sequence
        before, after = self._first - sequence, sequence + 1 - self._first - len(self._had)
        if before > 0:
            self._had[:0] = array("Q", [0]) * before
            self._first = sequence
        elif after > 0:
            self._had.extend(array("Q", [0]) * after)
        self._had[sequence - self._first] = had

    def _count_owed(self, owed: int) -> None:
        """Count pairs that were owed, in first and in later sessions of connections."""
        copies = self._evidence.copies
        again = sum(owed >> number & 1 for number in self._earlier)
        copies.owed += owed.bit_count() - again
        copies.owed_again += again

    def _count_copies(self, number: int, session: Session, code: TrackedCode) -> None:
        """Count the further copies of a code in a session that was owed it."""
        further = sum((code.further or {}).get(session, {}).values())
        if number in self._earlier:
            self._evidence.copies.further_again += further
        else:
            self._evidence.copies.further += further

    def _compare_readers(
        self, sequence: int, arrivals: Sequence[tuple[int, int]], sent_ns: int
    ) -> None:
        """Compare when slow readers received a code with when the others did."""
        paces = self._evidence.paces
        if len(paces) >= MOST_PACES:
            return
        slow: list[int] = []
        fast: list[int] = []
        for number, arrived_ns in arrivals:
            latency_us = (arrived_ns - sent_ns) // 1000
            is_slow = self._sessions[number].connection.slow
            (slow if is_slow else fast).append(latency_us)
        if slow and len(fast) >= _MIN_FAST:
            paces.append(Pace(sequence, round(median(fast)), round(median(slow))))

    def _compare(self, number: int, sent_ns: int, arrived_ns: int) -> None:
        """Compare a code's arrival with that of the code before it at the same connection."""
        before = self._latest.get(number)
        if before is not None and sent_ns - before[0] >= _APART_NS:
            self._evidence.apart += 1
            if abs(arrived_ns - before[1]) < _TOGETHER * (sent_ns - before[0]):
                self._evidence.together += 1
        self._first_sent_ns[number] = min(sent_ns, self._first_sent_ns.get(number, sent_ns))
        if before is None or sent_ns > before[0]:
            self._latest[number] = sent_ns, arrived_ns
