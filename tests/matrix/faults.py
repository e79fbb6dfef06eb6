"""The faults of the embedded target, and the runs in which they are combined."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

CONNECTIONS, CODES = 16, 4

#: The profile for each transport.
TRANSPORTS = {"websocket": "websocket", "socketio": "code-server", "sse": "sse"}
#: The options for each number of processes that hold the connections.
WORKERS: dict[int, tuple[str, ...]] = {1: (), 3: ("--processes", "3")}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: as shown in the test's name.
        kind: two faults of one kind cannot be combined, or not be distinguished.
        options: of the target.
        arguments: of the run.
        duration: seconds over which the codes are spread, so that the fault shows.
        truth: options of `ground_truth.expected_figures`.
    """

    name: str
    kind: str
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    duration: int = 1
    truth: dict[str, bool] = field(default_factory=dict, hash=False)


FAULTS = (
    Fault("lose", "lose", ("--lose", "0.2")),
    Fault("delay", "delay", ("--delay", "0.3:0.2")),
    Fault(
        "delay beyond the timeout",
        "delay",
        ("--delay", "0.3:1.6"),
        duration=4,
        truth={"delayed_are_late": True},
    ),
    Fault("duplicate", "duplicate", ("--duplicate", "0.2")),
    Fault("reorder", "reorder", ("--reorder", "0.3:0.3")),
    Fault("garbage", "garbage", ("--garbage", "0.2")),
    Fault(
        "bad frames",
        "garbage",
        ("--garbage", "0.1", "--garbage-how", "frame"),
        truth={"bad_frames": True},
    ),
    Fault("foreign", "foreign", ("--foreign", "0.3")),
    Fault("close", "drop", ("--drop", "0.25")),
    Fault("reset", "drop", ("--drop", "0.25", "--drop-how", "reset")),
    Fault("silence", "drop", ("--drop", "0.25", "--drop-how", "silent")),
    Fault("503", "refuse", ("--refuse", "0.25")),
    Fault("refused by a reset", "refuse", ("--refuse", "0.25", "--refuse-how", "reset")),
    Fault(
        "refused by silence",
        "refuse",
        ("--refuse", "0.25", "--refuse-how", "hang"),
        ("--connect-timeout", "1"),
    ),
    Fault("full", "refuse", ("--max-connections", "12")),
    Fault("500", "ingest", ("--ingest-status", "500", "--ingest-share", "0.25")),
    Fault("410 for all", "ingest", ("--ingest-status", "410")),
    Fault("no answer", "ingest", ("--ingest-hang", "0.25"), ("--ingest-timeout", "0.5")),
    Fault(
        "late answers",
        "ingest",
        ("--ingest-delay", "0.6"),
        ("--ingest-timeout", "0.3"),
        truth={"slow_answers": True},
    ),
    Fault("asleep", "asleep", ("--asleep", "1")),
    Fault("killed", "killed", ("--stop-after", "2")),
)


@dataclass(frozen=True)
class Cell:
    """One run of the matrix.

    Attributes:
        transport: of the connections.
        tls: whether they are encrypted.
        workers: the number of processes that hold the connections.
        faults: up to two.
        seed: of the target.
    """

    transport: str
    tls: bool
    workers: int
    faults: tuple[Fault, ...]
    seed: int

    def __str__(self) -> str:
        name = " + ".join(each.name for each in self.faults) or "nothing"
        secure = "TLS" if self.tls else "plain"
        return f"{self.transport}, {secure}, {self.workers}: {name}"

    @property
    def truth(self) -> dict[str, bool]:
        """The options of `ground_truth.expected_figures`."""
        return {key: value for each in self.faults for key, value in each.truth.items()}


def cells(seed: int) -> Iterator[Cell]:
    """Generate the matrix: for each way to connect, each fault alone and as many pairs.

    Args:
        seed: selects the pairs and seeds the targets.
    """
    chance = random.Random(seed)
    pairs = [pair for pair in itertools.combinations(FAULTS, 2) if _distinguishable(*pair)]
    for transport, tls, workers in itertools.product(TRANSPORTS, (False, True), WORKERS):
        for faults in ((), *((each,) for each in FAULTS), *chance.sample(pairs, len(FAULTS))):
            yield Cell(transport, tls, workers, tuple(faults), chance.randrange(1 << 30))


def _distinguishable(one: Fault, other: Fault) -> bool:
    names, kinds = {one.name, other.name}, {one.kind, other.kind}
    # After a client has closed on a bad frame, the server may write a little longer, and a
    # delayed code may arrive after the run. The record does not show which.
    if "bad frames" in names and kinds & {"delay", "reorder"}:
        return False
    # The server handles a code only when it answers. Sessions that end before that were owed
    # it, and a server that is killed before that has no record of it.
    if "late answers" in names and ("bad frames" in names or kinds & {"drop", "killed"}):
        return False
    # A silent session ends with the server, and may be interrupted then.
    if names == {"silence", "killed"}:
        return False
    if "delay beyond the timeout" in names and not kinds & {"lose", "refuse", "ingest", "asleep"}:
        return False
    return one.kind != other.kind
