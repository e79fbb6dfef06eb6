"""Steps of wall clocks during a run: their detection, and what the report says about them."""

from __future__ import annotations

import time

from sseload_users.core.clock import wall_ns
from sseload_users.core.formatting import count

#: The smallest step that is distinguished from slewing. NTP slews by at most 500 ppm (RFC 5905
#: §A.5.5.6), forty times less over the quarter of a second between two checks.
MIN_STEP_NS = 5_000_000

#: Steps of one host's clock that differ by less are the same step, reported by several
#: processes.
_SAME_STEP_NS = 50_000_000


class ClockStepDetector:
    """Detects that the wall clock was set, by comparison with the monotonic clock.

    Slewing is not detected: the drift that it causes is within what ClockSync allows for.
    """

    def __init__(self) -> None:
        self._ahead_ns = _ahead_of_monotonic()

    def step_ns(self) -> int:
        """Return by how much the clock was set since the last call; 0 if it was not."""
        before, self._ahead_ns = self._ahead_ns, _ahead_of_monotonic()
        step_ns = self._ahead_ns - before
        return step_ns if abs(step_ns) >= MIN_STEP_NS else 0


def _ahead_of_monotonic() -> int:
    """Return how far the wall clock is ahead of the monotonic clock."""
    samples = []
    # The quickest of three: an interrupted comparison is inaccurate.
    for _ in range(3):
        before, wall, after = time.monotonic_ns(), wall_ns(), time.monotonic_ns()
        samples.append((after - before, wall - (before + after) // 2))
    return min(samples)[1]


class ClockStepLog:
    """The clock steps of a run's hosts.

    Attributes:
        worst_ns: the largest step; latencies measured across it are wrong by as much.
    """

    def __init__(self) -> None:
        self.worst_ns = 0
        self._known: set[tuple[str, int]] = set()

    def add(self, host: str, by_ns: int, owner: str) -> str | None:
        """Add a step that a process has detected.

        Args:
            host: identifies the clock; all processes of a host report the same step.
            by_ns: size of the step.
            owner: name of the clock's owner, for people; empty if there is one host only.

        Returns:
            A note for the report; None if the step is known already.
        """
        known = (host, round(by_ns / _SAME_STEP_NS))
        if known in self._known:
            return None
        self._known.add(known)
        self.worst_ns = max(self.worst_ns, abs(by_ns))
        direction = "forward" if by_ns > 0 else "back"
        return (
            f"The clock{f' of {owner}' if owner else ''} was set {direction} by "
            f"{abs(by_ns) / 1e9:.3f} s during the run: do not rely on the latencies of codes that "
            "were in flight then."
        )


def before_sent_note(codes: int, error_ms: float) -> str:
    """Return a note about codes that arrived before they were sent.

    Args:
        codes: number of copies.
        error_ms: the known error of the clocks, in milliseconds.
    """
    return (
        f"{count(codes, 'code')} arrived before being sent, by more than the clocks' error of "
        f"{error_ms:.3f} ms: a clock was set, or is wrong."
    )
