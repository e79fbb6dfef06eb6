"""Evidence of what losses and drops have in common: small, and mergeable.

It concerns a sample of each worker's connections, and of the codes that some of them lack.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sseload_users.core.field_values import field_values

#: Number of a worker's connections that are in the sample: the first ones.
SAMPLE = 64
#: Limits of what is kept, in a worker's report and in all.
MAX_CODES, MAX_DROPS, MAX_FANS = 512, 512, 256
#: Most codes whose arrivals, and whose paces, are in one report of a worker.
MOST_FANS, MOST_PACES = 2, 8
#: Of packed arrivals: the largest one in its unit, and that there is none.
_FARTHEST, _NOT_HERE = 254, 255
#: Upper bounds of the ages of sessions when codes were sent, in seconds.
AGES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


def age_bin(age_ns: int) -> int:
    """Return which of the ages, by `AGES_S`, an age (ns) is; the last one has no bound."""
    return bisect_left(AGES_S, age_ns / 1e9)


@dataclass(frozen=True, slots=True)
class Drop:
    """A session that the server or the network ended.

    Attributes:
        at_ms: when (wall clock, ms).
        age_ms: how long it had lasted.
        idle_ms: how long before that it was subscribed or its last code had arrived.
    """

    at_ms: int
    age_ms: int
    idle_ms: int


@dataclass(frozen=True, slots=True)
class Fan:
    """When the connections of the sample received a code.

    Attributes:
        sequence: the code's sequence number.
        arrivals_us: by the connection's number, how long after its sending it arrived, in
            microseconds.
    """

    sequence: int
    arrivals_us: Mapping[int, int]

    def pack(self) -> tuple[int, int, int, bytes]:
        """Return it as plain data, for `unpack`: a byte for each connection, in a common unit."""
        base = min(self.arrivals_us.values(), default=0)
        furthest = max(self.arrivals_us.values(), default=0) - base
        unit = max(1, -(-furthest // _FARTHEST))
        places = [_NOT_HERE] * (max(self.arrivals_us, default=-1) + 1)
        for number, each in self.arrivals_us.items():
            places[number] = (each - base) // unit
        return self.sequence, base, unit, bytes(places)

    @classmethod
    def unpack(cls, data: Sequence[Any]) -> Fan:
        """Return what was packed."""
        sequence, base, unit, places = data
        return cls(
            sequence,
            {number: base + each * unit for number, each in enumerate(places) if each != _NOT_HERE},
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon the slow readers of a sample had a code, and how soon the others.

    Attributes:
        sequence: the code's sequence number.
        fast_us: median latency of the others, in microseconds.
        slow_us: median latency of the slow readers, in microseconds.
    """

    sequence: int
    fast_us: int
    slow_us: int


@dataclass(slots=True)
class Copies:
    """Further copies of codes in the sample: in sessions of clients that returned, or not.

    Attributes:
        owed: pairs that were owed in the first sessions of connections.
        further: further copies of them.
        owed_again: pairs that were owed in later sessions.
        further_again: further copies in later sessions: of what they were owed, and of what an
            earlier session of the connection had.
    """

    owed: int = 0
    further: int = 0
    owed_again: int = 0
    further_again: int = 0

    def merge(self, other: Copies) -> None:
        """Add another's counts."""
        self.owed += other.owed
        self.further += other.further
        self.owed_again += other.owed_again
        self.further_again += other.further_again


@dataclass(slots=True)
class Evidence:
    """The evidence of one worker.

    Connections are numbered from 0, in the order in which they were added; a set of them is an
    integer with their bits.

    Attributes:
        owed: by sequence number of the latest codes that some connections lack: those that were
            owed it.
        lacking: by the same number: those that did not get it in time.
        users: user of each connection, by its number.
        channels: channels of each connection, by its number, joined by commas.
        nodes: node of each connection, by its number; empty in a run without nodes.
        slow: the connections that read slowly.
        sources: the connections whose latest session is from a local address, by the address.
        ages_owed: number of pairs by the session's age when the code was sent; see `age_bin`.
        ages_lacking: the same of pairs without a delivery.
        lacking_later: those of them whose session had received a code that was sent before.
        apart: pairs of successive codes at one connection that were sent well apart.
        together: those of them that arrived at nearly the same time.
        fans: when some of the latest codes arrived.
        paces: of the latest codes, where some connections read slowly.
        copies: further copies.
        altered: messages with a code of this run that is changed, by how; of all connections.
        drops: the latest drops of connections in the sample.
    """

    owed: dict[int, int] = field(default_factory=dict)
    lacking: dict[int, int] = field(default_factory=dict)
    users: dict[int, str] = field(default_factory=dict)
    channels: dict[int, str] = field(default_factory=dict)
    nodes: dict[int, int] = field(default_factory=dict)
    slow: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    ages_owed: list[int] = field(default_factory=lambda: [0] * (len(AGES_S) + 1))
    ages_lacking: list[int] = field(default_factory=lambda: [0] * (len(AGES_S) + 1))
    lacking_later: int = 0
    apart: int = 0
    together: int = 0
    fans: list[Fan] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    copies: Copies = field(default_factory=Copies)
    altered: Counter[str] = field(default_factory=Counter)
    drops: list[Drop] = field(default_factory=list)

    @property
    def first_kept(self) -> int:
        """The sequence number from which on all codes that some lack are kept; 0 if all are."""
        return min(self.owed) if len(self.owed) >= MAX_CODES else 0

    def add(self, sequence: int, owed: int, lacking: int) -> None:
        """Add a code that some connections lack; forget the oldest one if there are too many."""
        self.owed[sequence] = self.owed.get(sequence, 0) | owed
        self.lacking[sequence] = self.lacking.get(sequence, 0) | lacking
        if len(self.owed) > MAX_CODES:
            oldest = min(self.owed)
            del self.owed[oldest], self.lacking[oldest]

    def move_to(self, source: str, connections: int) -> None:
        """Note from which local address connections are now."""
        for each in self.sources:
            self.sources[each] &= ~connections
        self.sources[source] = self.sources.get(source, 0) | connections

    def add_fan(self, fan: Fan) -> None:
        """Add when a code arrived; keep few between two reports.

        All workers keep the same codes as far as possible: those whose numbers can be halved
        most often.
        """
        self.fans.append(fan)
        if len(self.fans) > MOST_FANS:
            self.fans.remove(min(self.fans, key=lambda each: each.sequence & -each.sequence))

    def merge(self, other: Evidence) -> None:
        """Add later evidence of the same worker."""
        since = other.first_kept
        for sequence in [each for each in self.owed if each < since]:
            del self.owed[sequence], self.lacking[sequence]
        for sequence, owed in other.owed.items():
            self.add(sequence, owed, other.lacking[sequence])
        self.users.update(other.users)
        self.channels.update(other.channels)
        self.nodes.update(other.nodes)
        self.slow |= other.slow
        for source, connections in other.sources.items():
            self.move_to(source, connections)
        for own, further in (
            (self.ages_owed, other.ages_owed),
            (self.ages_lacking, other.ages_lacking),
        ):
            own[:] = map(sum, zip(own, further, strict=True))
        self.lacking_later += other.lacking_later
        self.apart += other.apart
        self.together += other.together
        self.fans = [*self.fans, *other.fans][-MAX_FANS:]
        self.paces = [*self.paces, *other.paces][-MAX_FANS:]
        self.copies.merge(other.copies)
        self.altered.update(other.altered)
        self.drops = [*self.drops, *other.drops][-MAX_DROPS:]

    def pack(self) -> list[Any]:
        """Return the evidence as plain data, for `unpack`."""
        first_ms = min((each.at_ms for each in self.drops), default=0)
        # Most codes are owed to the same connections.
        codes: dict[int, list[int]] = {}
        for sequence, owed in self.owed.items():
            codes.setdefault(owed, []).extend((sequence, self.lacking[sequence]))
        return [
            list(codes.items()),
            self.users,
            self.channels,
            self.nodes,
            self.slow,
            self.sources,
            self.ages_owed,
            self.ages_lacking,
            self.lacking_later,
            self.apart,
            self.together,
            [each.pack() for each in self.fans],
            [field_values(each) for each in self.paces],
            field_values(self.copies),
            dict(self.altered),
            first_ms,
            [(each.at_ms - first_ms, each.age_ms, each.idle_ms) for each in self.drops],
        ]

    @classmethod
    def unpack(cls, data: list[Any]) -> Evidence:
        """Return the evidence that was packed."""
        (
            codes, users, channels, nodes, slow, sources, ages_owed, ages_lacking, lacking_later,
            apart, together, fans, paces, copies, altered, first_ms, drops,
        ) = data  # fmt: skip
        pairs = [
            (sequence, owed, lacking)
            for owed, flat in codes
            for sequence, lacking in zip(flat[::2], flat[1::2], strict=True)
        ]
        return cls(
            owed={sequence: owed for sequence, owed, _ in pairs},
            lacking={sequence: lacking for sequence, _, lacking in pairs},
            users=dict(users),
            channels=dict(channels),
            nodes=dict(nodes),
            slow=slow,
            sources=dict(sources),
            ages_owed=list(ages_owed),
            ages_lacking=list(ages_lacking),
            lacking_later=lacking_later,
            apart=apart,
            together=together,
            fans=[Fan.unpack(each) for each in fans],
            paces=[Pace(*each) for each in paces],
            copies=Copies(*copies),
            altered=Counter(altered),
            drops=[Drop(first_ms + at_ms, *each) for at_ms, *each in drops],
        )
