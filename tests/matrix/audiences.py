"""Runs with channels, resumption, nodes and several publishers, each with faults of its own."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.matrix.faults import WORKERS

#: What is special about a run: connections in fixed channels, ones that move from channel to
#: channel, clients that return, or several nodes.
Kind: TypeAlias = Literal["fixed", "moving", "returning", "nodes"]

CONNECTIONS, NODES = 12, 3
#: Codes and seconds of a run, for each kind.
LENGTHS: dict[Kind, tuple[int, int]] = {
    "fixed": (8, 1), "moving": (40, 3), "returning": (30, 2), "nodes": (9, 1),
}  # fmt: skip
#: The profiles that know channels, for each kind.
PROFILES: dict[Kind, tuple[str, ...]] = {
    "fixed": ("rooms", "rooms-sse"),
    "moving": ("rooms",),
    "returning": ("rooms", "rooms-sse"),
    "nodes": ("rooms", "rooms-sse"),
}

#: Options of the run, for each kind: each with each fault.
WAYS: dict[Kind, dict[str, tuple[str, ...]]] = {
    "fixed": {
        "one publisher": ("--channels", "4"),
        "3 publishers": ("--channels", "4", "--publishers", "3"),
        "3 publishers to everybody": ("--publishers", "3"),
    },
    "moving": {
        "one publisher": ("--channels", "3", "--channel-churn", "0.8"),
        "2 publishers": ("--channels", "3", "--channel-churn", "0.8", "--publishers", "2"),
    },
    "returning": {
        "storm": ("--storm-after", "0.5", "--storm-jitter", "0.6"),
        "flap": ("--flap", "0.15", "--storm-jitter", "0.4"),
        "flap by reset": ("--flap", "0.15", "--flap-how", "rst", "--storm-jitter", "0.4"),
        "silent flap": ("--flap", "0.15", "--flap-how", "silent", "--storm-jitter", "0.4"),
        "session length": ("--session-length", "0.5"),
    },
    "nodes": {
        "everybody": (),
        "channels": ("--channels", "2"),
        "channels, 2 publishers": ("--channels", "2", "--publishers", "2"),
    },
}

_LEAKS = {"leak": ("--leak", "0.1"), "wrong room": ("--wrong-room", "0.3")}
#: Options of the target, for each kind.
FAULTS: dict[Kind, dict[str, tuple[str, ...]]] = {
    "fixed": {
        **_LEAKS,
        "leak + lose": ("--leak", "0.1", "--lose", "0.2"),
        "leak + close": ("--leak", "0.1", "--drop", "0.25"),
        "leak + 500": ("--leak", "0.1", "--ingest-status", "500", "--ingest-share", "0.25"),
        "wrong room + duplicate": ("--wrong-room", "0.3", "--duplicate", "0.2"),
        "wrong room + 503": ("--wrong-room", "0.3", "--refuse", "0.25"),
        "wrong room + foreign": ("--wrong-room", "0.3", "--foreign", "0.3"),
        "no answer": ("--ingest-hang", "0.25"),
    },
    "moving": {
        **_LEAKS,
        "ignored joins": ("--ignore-join", "0.4"),
        "late joins": ("--late-join", "0.5:0.4"),
        "ignored leaves": ("--ignore-leave", "0.4"),
        "ignored joins and leaves": ("--ignore-join", "0.2", "--ignore-leave", "0.4"),
        "ignored leaves + lose": ("--ignore-leave", "0.4", "--lose", "0.1"),
    },
    "returning": {
        "lost gap": ("--lose-gap",),
        "limited history": ("--history", "3"),
        "duplicates across the gap": ("--replay-all",),
        "lose": ("--lose", "0.1"),
        "limited history + lose": ("--history", "3", "--lose", "0.1"),
    },
    "nodes": {
        "no backplane": ("--backplane", "none"),
        "no backplane + lose": ("--backplane", "none", "--lose", "0.2"),
        "lose": ("--backplane", "live", "--lose", "0.2"),
        "duplicate": ("--backplane", "live", "--duplicate", "0.2"),
        "503": ("--backplane", "live", "--refuse", "0.25"),
    },
}


@dataclass(frozen=True)
class Audience:
    """One run.

    Attributes:
        kind: what is special about it.
        profile: the target profile.
        way: its options, by name.
        fault: the target's, by name; empty for none.
        workers: the number of processes that hold the connections.
        seed: of the target.
    """

    kind: Kind
    profile: str
    way: str
    fault: str
    workers: int
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.profile}, {self.workers}, {self.way}: {self.fault or 'nothing'}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options of the run that make it what it is."""
        # Without --channels, the clients that return share the profile's one channel.
        channels = ("--channels", "2") if self.kind == "returning" else ()
        return (*WAYS[self.kind][self.way], *channels, *WORKERS[self.workers])

    @property
    def target_options(self) -> tuple[str, ...]:
        """The options of the target."""
        return ("--seed", str(self.seed), *FAULTS[self.kind].get(self.fault, ()))

    @property
    def codes(self) -> int:
        """How many codes are due from all publishers together."""
        options = WAYS[self.kind][self.way]
        more = int(options[options.index("--publishers") + 1]) if "--publishers" in options else 1
        return LENGTHS[self.kind][0] * more


def audiences(seed: int) -> Iterator[Audience]:
    """Generate the runs: for each kind and profile, each way with each fault.

    Args:
        seed: seeds the targets.
    """
    chance = random.Random(seed)
    for kind, faults in FAULTS.items():
        for profile, workers, way, fault in itertools.product(
            PROFILES[kind], WORKERS, WAYS[kind], ("", *faults)
        ):
            if "everybody" in way and any(word in fault for word in ("leak", "room")):
                continue  # there is nobody to leak to
            yield Audience(kind, profile, way, fault, workers, chance.randrange(1 << 30))
