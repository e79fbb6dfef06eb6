"""What became of each pair of a code and a session, as docs/ledger.md defines it.

Worked out from the target's record: what it wrote to which connection and when, and when each
connection began and ended. The record has the server's times, and the client's are a little
earlier or later, so a pair at an edge can have more than one outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sseload_users.demo.record import CodeRecord, ConnectionRecord, Record
from tests.campaign.plays import Play

_S = 1_000_000_000
#: Seconds that a leaving session may stay open although nothing is owed to it any more.
_LINGER_S = 0.6
#: A pair without a copy is undecided up to this age beyond the slowest delivery, in seconds.
_YOUNG_S = 1.0
#: Seconds for which the target holds a delivery to reorder it.
_HELD_S = 0.6

Outcomes = frozenset[str]
NOTHING: Outcomes = frozenset({"nothing"})
#: Seconds before the end of the account in which what arrives may not be read any more.
_UNREAD_S = 0.5
OWED = ("delivered", "late", "interrupted", "missing")


def sent_ns(code: str) -> int:
    """Return the send time in a code of the default template (wall clock, ns)."""
    return int(code.rsplit("-", 1)[1], 36)


@dataclass(frozen=True)
class Arrival:
    """When a copy can have arrived (wall clock, ns)."""

    earliest_ns: int
    latest_ns: int


class Truth:
    """A record, read by the definitions of the ledger.

    Args:
        play: the run.
        record: the target's record of it.
        complete: whether the run went to its end.
        over_ns: when the run began to close its account (wall clock, ns).
        slack_s: how far the two sides' times can be apart.
    """

    def __init__(
        self, play: Play, record: Record, *, complete: bool, over_ns: int, slack_s: float
    ) -> None:
        self.play = play
        self.record = record
        self.complete = complete
        self.over_ns = over_ns
        self._slack = round(slack_s * _S)
        self._timeout = round(play.delivery_timeout_s * _S)

    @cached_property
    def sessions(self) -> list[ConnectionRecord]:
        """The sessions: connections that were subscribed."""
        return [each for each in self.record.connections.values() if each.subscribed]

    @cached_property
    def end_ns(self) -> int:
        """When the last session that the client closed ended; 0 if there was none."""
        return max((each.closed_ns or 0 for each in self.sessions), default=0)

    @cached_property
    def storm_ns(self) -> int:
        """When the storm was due: so many seconds after the first code; 0 if there was none."""
        first = min((sent_ns(each.code) for each in self.record.ingests), default=0)
        after = self.play.storm_after_s
        return first + round(after * _S) if after and first else 0

    @cached_property
    def possible(self) -> dict[str, list[Outcomes]]:
        """The possible outcomes of the pairs of each code that was broadcast."""
        return {code.code: list(self._pairs(code)) for code in self.record.codes.values()}

    def pairs(self) -> Iterator[Outcomes]:
        """Yield the possible outcomes of each pair."""
        for each in self.possible.values():
            yield from each

    def by_server(self, session: ConnectionRecord) -> bool:
        """Whether the server ended a session."""
        return session.dropped in ("close", "reset") or session.closed_by in ("server", "network")

    def near_a_cut(self, at_ns: int) -> bool:
        """Whether the client cut its sessions at about that time."""
        margin = self._slack + _S // 4
        if self.storm_ns and abs(at_ns - self.storm_ns) <= margin:
            return True
        # The connections close a little later than the account.
        return at_ns >= self.over_ns - margin

    def connecting_at_a_cut(self, connection: ConnectionRecord) -> bool:
        """Whether the client may have cut a connection before it knew that it was subscribed."""
        if self.complete and not self.play.session_length_s and not self.play.storm_after_s:
            return False
        if connection.refused:
            # When is not recorded: before the next handshake, or after the last one.
            return connection.connection > self._newest_connected
        return not connection.subscribed or self.near_a_cut(min(connection.subscribed.values()))

    @cached_property
    def _newest_connected(self) -> int:
        """The newest connection of which both sides knew before a cut that it was subscribed."""
        return max(
            (
                each.connection
                for each in self.sessions
                if not self.near_a_cut(min(each.subscribed.values()))
            ),
            default=0,
        )

    def may_be_unread(self, arrival: Arrival) -> bool:
        """Whether a copy may have arrived too late for the account."""
        return arrival.latest_ns + round(_UNREAD_S * _S) >= self.over_ns

    def latencies_s(self) -> Iterator[tuple[float, float]]:
        """Yield the shortest and longest latency of each pair that can have been delivered."""
        for code in self.record.codes.values():
            sent = sent_ns(code.code)
            for each in code.sent:
                arrival = self.arrival(code, each)
                shortest = (arrival.earliest_ns - sent) / _S
                if shortest <= self.play.delivery_timeout_s:
                    yield shortest, (arrival.latest_ns - sent) / _S

    def subscribed_at(self, at_ns: int, channel: str = "") -> tuple[int, int]:
        """Return how many sessions were subscribed at least, and at most, at a time.

        Args:
            at_ns: the time (wall clock, ns).
            channel: only those in it count; empty for all.
        """
        least = most = 0
        for each in self.sessions:
            if channel and channel not in each.channels:
                continue
            begin, end = min(each.subscribed.values()), each.closed_ns or at_ns + 10 * _S
            # A session that leaves is owed nothing any more.
            stays = not self.play.session_length_s
            least += stays and begin + self._slack < at_ns < end - self._slack
            most += begin - self._slack < at_ns < end + self._slack
        return least, most

    # A pair

    def _pairs(self, code: CodeRecord) -> Iterator[Outcomes]:
        arrived = set(code.sent)
        served = arrived | {*code.lost, *code.silenced, *code.failed, *code.misrouted}
        sent = sent_ns(code.code)
        for session in self.sessions:
            if code.channel and code.channel not in session.channels:
                continue
            number, begin = session.connection, min(session.subscribed.values())
            if number in arrived:
                yield self._arrived(code, session)
            elif number in served:
                yield self._unserved(sent, session)
            elif code.index in session.replayed:
                yield self._repeated(sent, session)
            elif begin < code.start_ns and sent < (session.closed_ns or 0) + self._slack:
                # It had ended when the server got to the code.
                yield self._unserved(sent, session) | NOTHING

    def _repeated(self, sent: int, session: ConnectionRecord) -> Outcomes:
        """Return the possible outcomes of a pair whose copy came from the history."""
        begin = min(session.subscribed.values())
        found = {"unexpected"}
        if sent > begin - _S // 2:
            # It may have been sent while the session was connecting.
            found.add("delivered")
        if self.play.session_length_s or self.near_a_cut(session.closed_ns or self.end_ns):
            found |= {"released", "nothing"}
        return frozenset(found)

    def arrival(self, code: CodeRecord, number: int) -> Arrival:
        """Return when the copy of a code can have arrived at a connection."""
        earliest = latest = code.start_ns
        if number in code.reordered:
            latest += round(_HELD_S * _S)
        elif number in code.delayed:
            waits = [_HELD_S] if "reorder" in self.play.faults else []
            if "delay" in self.play.faults:
                waits.append(float(self.play.faults["delay"][1].split(":")[1]))
            earliest += round(min(waits) * _S)
            latest += round(max(waits) * _S)
        return Arrival(earliest, max(latest, code.end_ns) + self._slack)

    def _arrived(self, code: CodeRecord, session: ConnectionRecord) -> Outcomes:
        sent, arrival = sent_ns(code.code), self.arrival(code, session.connection)
        found = set()
        if arrival.earliest_ns - sent <= self._timeout:
            found.add("delivered")
        if arrival.latest_ns - sent > self._timeout:
            found.add("late")
        if self.play.session_length_s:
            found.add("released")
        closed = session.closed_ns or self.end_ns
        if self.may_be_unread(arrival) or (
            arrival.latest_ns + self._slack >= closed and not self.by_server(session)
        ):
            # The client may have closed before it came.
            found |= self._unserved(sent, session) | NOTHING
        return frozenset(found)

    def _unserved(self, sent: int, session: ConnectionRecord) -> Outcomes:
        """Return the possible outcomes of a pair without a copy."""
        subscribed, closed = min(session.subscribed.values()), session.closed_ns or self.end_ns
        if sent < subscribed - self._slack // 4:
            return NOTHING
        found = set()
        # The client learns a little later that it is subscribed.
        if sent < subscribed + self._slack:
            found.add("nothing")
        age = closed - sent
        if self.by_server(session):
            found |= self._interrupted(age)
            if self.near_a_cut(closed):
                found |= self._cut(sent, closed)
            if self.play.session_length_s:
                found.add("nothing")
        elif self.play.session_length_s:
            found |= self._left(age)
            if not self.complete and self.near_a_cut(closed):
                found |= self._cut(sent, closed)
        elif self.complete and closed >= self.over_ns:
            # The run waited until every pair was decided.
            found.add("missing")
        else:
            found |= self._cut(sent, closed)
        return frozenset(found)

    def _interrupted(self, age: int) -> set[str]:
        found = set()
        if age < self._timeout + self._slack:
            found.add("interrupted")
        if age > self._timeout - self._slack:
            found.add("missing")
        return found

    def _left(self, age: int) -> set[str]:
        """A session that left stayed open until all that it was owed was decided."""
        found = set()
        if age > self._timeout - self._slack:
            found.add("missing")
        if age < self._timeout + round(_LINGER_S * _S) + self._slack:
            found.add("nothing")
        return found

    def _cut(self, sent: int, closed: int) -> set[str]:
        """A session that was cut off, at the latest when the server saw it."""
        shortest, longest = self._slowest(closed)
        young = round(_YOUNG_S * _S)
        found = set()
        if closed - sent > min(shortest + young, self._timeout) - self._slack:
            found.add("missing")
        if min(closed, self.over_ns) - sent < min(longest + young, self._timeout) + self._slack:
            found.add("released")
        return found

    def _slowest(self, cut_ns: int) -> tuple[int, int]:
        """Return the least and the most that the slowest delivery took before a cut, in ns."""
        shortest = longest = 0
        for code in self.record.codes.values():
            sent = sent_ns(code.code)
            for each in code.sent:
                arrival = self.arrival(code, each)
                if (
                    arrival.latest_ns < min(cut_ns, self.over_ns)
                    and arrival.earliest_ns - sent < self._timeout
                ):
                    shortest = max(shortest, arrival.earliest_ns - sent)
                if arrival.earliest_ns < cut_ns:
                    longest = max(longest, arrival.latest_ns - sent)
        return shortest, longest
