"""What a diagnosis looks at, and what it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from pydantic import Field, with_config

from sseload_users.core.evidence import Copies, Drop, Evidence, Pace
from sseload_users.core.figure_types import FIGURES, Name
from sseload_users.core.figures import Account
from sseload_users.core.histogram import Histogram

#: A connection of the sample: its worker's name and its number there, from 0.
Place: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class CodeSymptoms:
    """What became of one code.

    Attributes:
        sequence: its sequence number.
        sent_s: when it was sent, in seconds since the run began.
        owed: to how many sessions.
        lost: how many of them did not get it in time.
        duplicate: further copies of it.
        p50_ms: its median latency; None if nobody got it.
        payload_bytes: size to which its payload was padded; None if it was not.
        late: how many of the lost ones got it after the delivery timeout.
        publisher: which publisher sent it, from 0; None in a run with one.
        spread_us: from its first arrival in time to its last one, in microseconds.
    """

    sequence: int
    sent_s: float
    owed: int
    lost: int
    duplicate: int
    p50_ms: float | None
    payload_bytes: int | None = None
    late: int = 0
    publisher: int | None = None
    spread_us: int = 0


@dataclass(frozen=True, slots=True)
class Symptoms:
    """What a diagnosis looks at.

    Attributes:
        account: the figures of the run.
        codes: what became of the codes that are owed, in order.
        workers: the evidence of each worker, by its name.
        started_ns: when the run began (wall clock, ns).
        channels: pairs that were owed, and those of them that were lost, in each channel that
            codes were sent to; empty in a run without channels.
        nodes: the same for each node that codes were sent to and node that sessions were at, by
            their URLs; empty in a run without nodes.
        partial: whether there were earlier codes.
        herd: from the beginning of a storm to each attempt to return that failed, in microseconds.
        storm_ended: connections that storms ended.
        storm_returned: how many of them returned.
        failed_returns: from a session's drop to each attempt to return that failed, in
            microseconds.
        returns: from a session's drop to the next session's subscription, in microseconds.
        compression: number of sessions by the compression that was negotiated; "none" for none.
        wire_bytes: bytes of compressed messages and streams, as they came.
        inflated_bytes: bytes that they became.
        flushes: how many times event streams in zlib's formats were flushed.
    """

    account: Account
    codes: Sequence[CodeSymptoms]
    workers: Mapping[str, Evidence]
    started_ns: int = 0
    channels: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    nodes: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    partial: bool = False
    herd: Histogram = field(default_factory=Histogram)
    storm_ended: int = 0
    storm_returned: int = 0
    failed_returns: Histogram = field(default_factory=Histogram)
    returns: Histogram = field(default_factory=Histogram)
    compression: Mapping[str, int] = field(default_factory=dict)
    wire_bytes: int = 0
    inflated_bytes: int = 0
    flushes: int = 0

    @property
    def drops(self) -> list[Drop]:
        """The drops of all workers."""
        return [drop for each in self.workers.values() for drop in each.drops]

    @property
    def paces(self) -> list[Pace]:
        """How soon slow readers had codes, and how soon the others, of all workers."""
        paces = [pace for each in self.workers.values() for pace in each.paces]
        return sorted(paces, key=lambda each: each.sequence)

    @property
    def altered(self) -> Counter[str]:
        """The messages with a code that is changed, by how."""
        total = Counter[str]()
        for each in self.workers.values():
            total.update(each.altered)
        return total

    @property
    def copies(self) -> Copies:
        """The further copies of codes, of all workers."""
        total = Copies()
        for each in self.workers.values():
            total.merge(each.copies)
        return total


@with_config(FIGURES)
@dataclass(frozen=True, slots=True)
class Finding:
    """A pattern that explains most of what went wrong."""

    pattern: Name
    """Its name, as in the tables that `sseload docs diagnosis` prints."""
    sentence: Name
    """What was found, with its figures."""
    explains: Annotated[float, Field(ge=0, le=1)]
    """Share of the losses, drops or failures that it explains, from 0 to 1."""
    evidence: dict[str, float | str] = field(default_factory=dict)
    """The figures, by name."""
    hint: str = ""
    """What to look at first."""
