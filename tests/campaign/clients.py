"""Runs whose clients return, or move from channel to channel: each follows from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from sseload_users.core.config_path import config_path
from tests.support.returning_clients import users_file

#: The profile for each transport, and what is changed in it so that its clients resume.
_PROFILES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "websocket": (
        "rooms",
        (
            ('transport = "websocket"\n', 'transport = "websocket"\nguarantee = "resume"\n'),
            (
                "[code]\n",
                """[resume]
capture = { offset = { field = "offset" } }
query = { offset = "{offset}" }

[code]
""",
            ),
        ),
    ),
    "sse": ("rooms-sse", ()),
}

#: What ends sessions, after which the same clients return.
_ENDS: tuple[tuple[str, ...], ...] = (
    ("--storm-after", "0.6", "--storm-jitter", "0.6"),
    ("--flap", "0.15", "--storm-jitter", "0.4"),
    ("--flap", "0.2", "--flap-how", "rst", "--storm-jitter", "0.3"),
    ("--flap", "0.2", "--flap-how", "silent", "--storm-jitter", "0.3"),
)

#: Options of the target, and of the run: a run has at most one of each kind.
_GAPS: dict[str, tuple[str, ...]] = {
    "lost gap": ("--lose-gap",),
    "short history": ("--history", "3"),
    "replays": ("--replay-all",),
}
_MOVES: dict[str, tuple[str, ...]] = {
    "ignored joins": ("--ignore-join", "0.3"),
    "late joins": ("--late-join", "0.3:0.4"),
    "ignored leaves": ("--ignore-leave", "0.3"),
}
_LOSSES: dict[str, tuple[str, ...]] = {
    "lose": ("--lose", "0.1"),
    "duplicate": ("--duplicate", "0.2"),
    "leak": ("--leak", "0.1"),
    "wrong room": ("--wrong-room", "0.2"),
    "drop": ("--drop", "0.3", "--drop-after", "4"),
}


@dataclass(frozen=True)
class ClientPlay:
    """One run.

    Attributes:
        seed: what everything else follows from.
        transport: of the connections.
        processes: that hold the connections.
        connections: how many; each has a user of its own.
        codes: how many are due from each publisher.
        publishers: how many.
        duration_s: over which the codes are spread.
        channels: over which connections are spread.
        churn_s: how long a connection stays in a channel on average; 0: all the run.
        ends: options of the run that end sessions; empty for none.
        faults: options of the target, by name.
    """

    seed: int
    transport: str
    processes: int
    connections: int
    codes: int
    publishers: int
    duration_s: float
    channels: int
    churn_s: float
    ends: tuple[str, ...]
    faults: dict[str, tuple[str, ...]]

    #: Of the run, in seconds.
    delivery_timeout_s = 1.0

    @property
    def all_codes(self) -> int:
        """How many codes are due from all publishers together."""
        return self.codes * self.publishers

    @property
    def resumes(self) -> bool:
        """Whether the server promises that clients which return lose nothing."""
        return bool(self.ends) or "drop" in self.faults

    @property
    def target_options(self) -> tuple[str, ...]:
        """The options of the embedded target."""
        users = ",".join(f"u{number}" for number in range(1, self.connections + 1))
        faults = tuple(word for each in self.faults.values() for word in each)
        return ("--seed", str(self.seed), "--users", users, *faults)

    def arguments(self, folder: Path) -> tuple[str, ...]:
        """Write the run's profile and users file; return its arguments, without the host."""
        folder.mkdir(parents=True, exist_ok=True)
        name, changes = _PROFILES[self.transport]
        text = config_path(f"targets/{name}.toml").read_text("utf-8")
        for old, new in changes if self.resumes else ():
            assert text.count(old) == 1
            text = text.replace(old, new)
        profile = folder / "mine.toml"
        profile.write_text(text, "utf-8")
        users, _ = users_file(folder, self.connections)
        return (
            *(str(self.connections), str(self.codes)),
            *("--duration", f"{self.duration_s:g}"),
            *("--target", str(profile), *users, "--channels", str(self.channels)),
            *("--settle", "0.2", "--warm-up", "5"),
            *("--delivery-timeout", f"{self.delivery_timeout_s:g}"),
            *(("--channel-churn", f"{self.churn_s:g}") if self.churn_s else ()),
            *(("--publishers", str(self.publishers)) if self.publishers > 1 else ()),
            *(("--processes", str(self.processes)) if self.processes > 1 else ()),
            *(("--reconnect",) if "drop" in self.faults else ()),
            *self.ends,
        )


def client_play(seed: int) -> ClientPlay:
    """Return the run of a seed."""
    chance = random.Random(f"{seed} clients")
    churn_s = chance.choice((0.0, 0.8, 2.0))
    ends = chance.choice(_ENDS) if not churn_s or chance.random() < 0.6 else ()
    transport = "websocket" if churn_s else chance.choice(("websocket", "sse"))
    chosen: dict[str, tuple[str, ...]] = {}
    for faults, applies in ((_GAPS, bool(ends)), (_MOVES, bool(churn_s)), (_LOSSES, True)):
        if applies and chance.random() < 0.45:
            name = chance.choice(sorted(faults))
            chosen[name] = faults[name]
    return ClientPlay(
        seed=seed,
        transport=transport,
        processes=chance.choice((1, 1, 2)),
        connections=chance.randint(6, 14),
        codes=chance.randint(25, 60),
        publishers=chance.choice((1, 1, 2)),
        duration_s=chance.choice((2.0, 3.0)),
        channels=chance.choice((2, 3)),
        churn_s=churn_s,
        ends=ends,
        faults=chosen,
    )
