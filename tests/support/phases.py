"""Keep a run in one of its phases, so that a test can interrupt it there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LongPhase:
    """The options that keep a run in one phase.

    Attributes:
        name: the phase.
        faults: options of the target.
        arguments: options of the run.
        grade: the verdict's grade if the run is interrupted there.
    """

    name: str
    faults: tuple[str, ...]
    arguments: tuple[str, ...]
    grade: str


LONG_PHASES = {
    phase.name: phase
    for phase in (
        LongPhase("warm-up", ("--asleep", "60"), ("--warm-up", "60"), "issues"),
        LongPhase("connect", ("--refuse", "0.25", "--refuse-how", "hang"), (), "issues"),
        LongPhase("settle", (), ("--settle", "60"), "issues"),
        LongPhase("broadcast", (), ("--duration", "100"), "warning"),
        LongPhase("drain", ("--lose", "0.5"), ("--delivery-timeout", "60"), "warning"),
    )
}
