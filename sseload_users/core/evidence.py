"""Evidence of what losses and drops have in common: small, and mergeable.

It concerns a sample of each worker's connections, and of the codes that some of them lack.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import astuple, dataclass, field
from typing import Any

#: Number of a worker's connections that are in the sample: the first ones.
SAMPLE = 64
#: Limits of what is kept, in a worker's report and in all.
MAX_CODES, MAX_DROPS, MAX_FANS = 512, 512, 256
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
    """How a code fanned out.

    Attributes:
        connections: number of connections that received it.
        us_per_connection: time from its first to its last arrival, divided by their number, in
            microseconds.
        explained: share of the arrivals' variance that the connections' order in an earlier
            code explains, from 0 to 1.
    """

    connections: int
    us_per_connection: float
    explained: float


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
        ages_owed: number of pairs by the session's age when the code was sent; see `age_bin`.
        ages_lacking: the same of pairs without a delivery.
        apart: pairs of successive codes at one connection that were sent well apart.
        together: those of them that arrived at nearly the same time.
        fans: of the latest codes.
        drops: the latest drops of connections in the sample.
    """

    owed: dict[int, int] = field(default_factory=dict)
    lacking: dict[int, int] = field(default_factory=dict)
    users: dict[int, str] = field(default_factory=dict)
    channels: dict[int, str] = field(default_factory=dict)
    ages_owed: list[int] = field(default_factory=lambda: [0] * (len(AGES_S) + 1))
    ages_lacking: list[int] = field(default_factory=lambda: [0] * (len(AGES_S) + 1))
    apart: int = 0
    together: int = 0
    fans: list[Fan] = field(default_factory=list)
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

    def merge(self, other: Evidence) -> None:
        """Add later evidence of the same worker."""
        since = other.first_kept
        for sequence in [each for each in self.owed if each < since]:
            del self.owed[sequence], self.lacking[sequence]
        for sequence, owed in other.owed.items():
            self.add(sequence, owed, other.lacking[sequence])
        self.users.update(other.users)
        self.channels.update(other.channels)
        for own, further in (
            (self.ages_owed, other.ages_owed),
            (self.ages_lacking, other.ages_lacking),
        ):
            own[:] = map(sum, zip(own, further, strict=True))
        self.apart += other.apart
        self.together += other.together
        self.fans = [*self.fans, *other.fans][-MAX_FANS:]
        self.drops = [*self.drops, *other.drops][-MAX_DROPS:]

    def pack(self) -> list[Any]:
        """Return the evidence as plain data, for `unpack`."""
        size = SAMPLE // 8
        return [
            {
                sequence: (owed.to_bytes(size, "big"), self.lacking[sequence].to_bytes(size, "big"))
                for sequence, owed in self.owed.items()
            },
            self.users,
            self.channels,
            self.ages_owed,
            self.ages_lacking,
            self.apart,
            self.together,
            [astuple(each) for each in self.fans],
            [astuple(each) for each in self.drops],
        ]

    @classmethod
    def unpack(cls, data: list[Any]) -> Evidence:
        """Return the evidence that was packed."""
        codes, users, channels, ages_owed, ages_lacking, apart, together, fans, drops = data
        return cls(
            owed={key: int.from_bytes(owed, "big") for key, (owed, _) in codes.items()},
            lacking={key: int.from_bytes(lacking, "big") for key, (_, lacking) in codes.items()},
            users=dict(users),
            channels=dict(channels),
            ages_owed=list(ages_owed),
            ages_lacking=list(ages_lacking),
            apart=apart,
            together=together,
            fans=[Fan(*each) for each in fans],
            drops=[Drop(*each) for each in drops],
        )
