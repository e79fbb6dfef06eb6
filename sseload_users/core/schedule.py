"""When each code goes out: an open-loop schedule, blind to how the server answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sseload_users.core.formatting import seconds


@dataclass(frozen=True, slots=True)
class Schedule:
    """Code k goes out k × interval after the start, whatever became of the codes before it.

    Attributes:
        codes: how many.
        interval_s: seconds from one to the next; 0 sends them back to back.
    """

    codes: int
    interval_s: float

    @classmethod
    def spread(cls, codes: int, duration_s: float) -> Schedule:
        """`codes` spread evenly over `duration_s`, the first at its beginning.

        The last one has as long before the duration's end as there is between any two.
        """
        return cls(codes, duration_s / codes if codes else 0.0)

    @property
    def length_s(self) -> float:
        """Seconds from the first code to the last."""
        return max(0, self.codes - 1) * self.interval_s

    def offset_s(self, sequence: int) -> float:
        """When code `sequence` (from 1) is due, in seconds after the start.

        Multiplied rather than summed up, so that it does not drift over a long run.
        """
        return (sequence - 1) * self.interval_s

    def in_words(self) -> str:
        """How often a code goes out: "one every 6.0 s", "20 a second", "back to back"."""
        if not self.interval_s:
            return "back to back"
        if self.interval_s < 0.2:
            return f"{1 / self.interval_s:,.3g} a second"
        return f"one every {seconds(self.interval_s)}"

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Every (sequence, offset in seconds), in order."""
        return ((seq, self.offset_s(seq)) for seq in range(1, self.codes + 1))
