"""What a run finds out about the clocks of its hosts, in sentences; pure."""

from __future__ import annotations

from sseload_users.core.formatting import count

#: Steps of one host's clock that differ by less are one, told of by several processes.
_ALIKE_NS = 50_000_000


class ClockFindings:
    """Which clocks were set while a run went on.

    Attributes:
        worst_ns: by how much, at most; a latency that was measured over it is as wrong.
    """

    def __init__(self) -> None:
        self.worst_ns = 0
        self._known: set[tuple[str, int]] = set()

    def was_set(self, host: str, by_ns: int, whose: str) -> str | None:
        """A process says that its clock was set.

        Args:
            host: the same for all processes of one host, which all say so.
            by_ns: by how much.
            whose: clock it is, for people; empty where there is one host alone.

        Returns:
            A sentence; None if that is known already.
        """
        known = (host, round(by_ns / _ALIKE_NS))
        if known in self._known:
            return None
        self._known.add(known)
        self.worst_ns = max(self.worst_ns, abs(by_ns))
        way = "forward" if by_ns > 0 else "back"
        return (
            f"The clock{f' of {whose}' if whose else ''} was set {way} by {abs(by_ns) / 1e9:.3f} s "
            "during the run: the latencies of codes that were on their way then are not to be "
            "trusted."
        )


def came_early(codes: int, error_ms: float) -> str:
    """What it means that codes arrived before they were sent.

    Args:
        codes: how many.
        error_ms: how wrong the clocks can be, as far as is known.
    """
    return (
        f"{count(codes, 'code')} arrived before being sent, by more than the clocks' error of "
        f"{error_ms:.3f} ms: a clock was set, or is wrong."
    )
