"""The runs of the campaign: everything about each follows from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

#: The profile for each transport.
PROFILES = {"websocket": "websocket", "socketio": "code-server", "sse": "sse"}

#: Options of the target, by kind: a run has at most one fault of each kind.
_FAULTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "lose": (("--lose", "0.03"), ("--lose", "0.2"), ("--lose", "0.9")),
    "delay": (("--delay", "0.3:0.25"), ("--delay", "1:0.4"), ("--delay", "0.3:1.8")),
    "duplicate": (("--duplicate", "0.2"),),
    "reorder": (("--reorder", "0.3:0.6"),),
    "garbage": (("--garbage", "0.2"),),
    "foreign": (("--foreign", "0.3"),),
    "drop": (
        ("--drop", "0.25"),
        ("--drop", "0.1", "--drop-after", "3"),
        ("--drop", "0.25", "--drop-how", "reset"),
        ("--drop", "0.25", "--drop-how", "silent"),
        ("--drop", "1", "--drop-after", "2"),
    ),
    "refuse": (("--refuse", "0.2"), ("--refuse", "0.1", "--refuse-how", "reset")),
    "ingest": (
        ("--ingest-status", "500", "--ingest-share", "0.2"),
        ("--ingest-hang", "0.2"),
        ("--ingest-reset", "0.2"),
        ("--ingest-delay", "0.15"),
    ),
}


#: Further ones, in runs with channels.
_CHANNEL_FAULTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "leak": (("--leak", "0.05"), ("--leak", "0.5")),
    "wrong room": (("--wrong-room", "0.2"),),
}


@dataclass(frozen=True)
class Play:
    """One run.

    Attributes:
        seed: what everything else follows from.
        transport: of the connections.
        processes: that hold the connections.
        connections: how many.
        codes: how many are due.
        duration_s: over which they are spread.
        delivery_timeout_s: of the run.
        faults: options of the target, by kind.
        reconnect: reconnect after a drop.
        session_length_s: average length of a session; 0: no churn.
        storm_after_s: when all sessions end at once; 0: never.
        run_time_s: Locust's limit; 0: none.
        interrupt_after: codes after which the run gets a Ctrl-C; 0: none.
        channels: over which connections are spread; 0: none.
        publishers: each sends as many codes as are due.
    """

    seed: int
    transport: str
    processes: int
    connections: int
    codes: int
    duration_s: float
    delivery_timeout_s: float
    faults: dict[str, tuple[str, ...]]
    reconnect: bool
    session_length_s: float
    storm_after_s: float
    run_time_s: int
    interrupt_after: int
    channels: int
    publishers: int

    @property
    def all_codes(self) -> int:
        """How many codes are due from all publishers together."""
        return self.codes * self.publishers

    @property
    def target_options(self) -> tuple[str, ...]:
        """The options of the embedded target."""
        faults = tuple(word for each in self.faults.values() for word in each)
        return ("--seed", str(self.seed), *faults)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The arguments of the run, without the host."""
        return (
            *(str(self.connections), str(self.codes)),
            *("--duration", f"{self.duration_s:g}"),
            *("--target", "rooms" if self.channels else PROFILES[self.transport]),
            *(("--channels", str(self.channels)) if self.channels else ()),
            *(("--publishers", str(self.publishers)) if self.publishers > 1 else ()),
            *("--settle", "0.2", "--warm-up", "5", "--ingest-timeout", "1"),
            *("--delivery-timeout", f"{self.delivery_timeout_s:g}"),
            *(("--processes", str(self.processes)) if self.processes > 1 else ()),
            *(("--reconnect",) if self.reconnect else ()),
            *(("--session-length", f"{self.session_length_s:g}") if self.session_length_s else ()),
            *(("--storm-after", f"{self.storm_after_s:g}") if self.storm_after_s else ()),
            *(("-t", str(self.run_time_s)) if self.run_time_s else ()),
        )


def play(seed: int) -> Play:
    """Return the run of a seed."""
    chance = random.Random(seed)
    kinds = chance.sample(sorted(_FAULTS), chance.choice((0, 1, 1, 2, 2, 3)))
    codes, interval_s = chance.randint(6, 16), chance.choice((0.12, 0.16, 0.25))
    duration_s = codes * interval_s
    life = chance.choice(("stay", "stay", "churn", "storm"))
    end = chance.choice(("end", "end", "end", "-t", "Ctrl-C"))
    transport = chance.choice(sorted(PROFILES))
    # Drawn apart, so that the rest of a seed's run stays as it was.
    audience = random.Random(f"{seed} audiences")
    channels = audience.choice((0, 2, 4)) if transport == "websocket" else 0
    further = audience.choice((None, None, *_CHANNEL_FAULTS)) if channels else None
    return Play(
        seed=seed,
        transport=transport,
        processes=chance.choice((1, 1, 2)),
        connections=chance.randint(6, 24),
        codes=codes,
        duration_s=duration_s,
        delivery_timeout_s=chance.choice((1.0, 1.5)),
        faults={kind: chance.choice(_FAULTS[kind]) for kind in kinds}
        | ({further: audience.choice(_CHANNEL_FAULTS[further])} if further else {}),
        reconnect=chance.random() < 0.3,
        session_length_s=chance.choice((0.7, 1.5)) if life == "churn" else 0.0,
        storm_after_s=round(duration_s * chance.uniform(0.3, 0.7), 2) if life == "storm" else 0.0,
        run_time_s=chance.randint(2, 5) if end == "-t" else 0,
        interrupt_after=chance.randint(1, codes) if end == "Ctrl-C" else 0,
        channels=channels,
        publishers=audience.choice((1, 1, 3)),
    )
