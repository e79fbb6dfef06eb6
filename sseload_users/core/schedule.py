"""When each code is sent: an open-loop schedule, independent of the server's responses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sseload_users.core.formatting import seconds


@dataclass(frozen=True, slots=True)
class Schedule:
    """Code k is due (k - 1) × interval after the start, whatever happened to earlier codes.

    Attributes:
        codes: number of codes.
        interval_s: seconds from one to the next; 0 sends them back to back.
    """

    codes: int
    interval_s: float

    @classmethod
    def spread(cls, codes: int, duration_s: float) -> Schedule:
        """Return a schedule that spreads codes evenly, the first at the start.

        The last one is due one interval before the end.

        Args:
            codes: number of codes.
            duration_s: length of the schedule, in seconds.
        """
        return cls(codes, duration_s / codes if codes else 0.0)

    def within(self, duration_s: float) -> Schedule:
        """Return the same codes, spread over no more than a duration.

        Args:
            duration_s: in seconds.
        """
        if self.codes * self.interval_s <= duration_s:
            return self
        return Schedule.spread(self.codes, max(0.0, duration_s))

    @property
    def length_s(self) -> float:
        """The seconds from the first code to the last."""
        return max(0, self.codes - 1) * self.interval_s

    def offset_s(self, sequence: int) -> float:
        """Return when a code is due, in seconds after the start.

        Multiplied rather than summed, so that it does not drift over a long run.

        Args:
            sequence: its sequence number, from 1.
        """
        return (sequence - 1) * self.interval_s

    def describe_rate(self) -> str:
        """Return the rate for people: "one every 6.0 s", "20 a second", "back to back"."""
        if not self.interval_s:
            return "back to back"
        if self.interval_s < 0.2:
            return f"{1 / self.interval_s:,.3g} a second"
        return f"one every {seconds(self.interval_s)}"

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Yield the sequence number and the offset, in seconds, of each code, in order."""
        return ((seq, self.offset_s(seq)) for seq in range(1, self.codes + 1))
