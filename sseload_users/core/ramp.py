"""How fast connections were opened: when they were due, and when they were there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

#: Connects per second that were asked for, of which at least this share was reached.
_REACHED = 0.9


def _including(span: tuple[int, int], at: int) -> tuple[int, int]:
    """Return a span with a further time; most come in their order."""
    first, last = span
    if at > last:
        return first, at
    return (at, last) if at < first else span


class Ramp:
    """The first connects of all connections, as far as they succeeded.

    Attributes:
        count: how many.
        due_ns: when the first and the last one were due (wall clock, ns).
        done_ns: when the first and the last one were subscribed (wall clock, ns).
        own_us: what delays of the generator's took of all connects, in microseconds.
        connect_us: what network and server took, in microseconds.
    """

    __slots__ = ("connect_us", "count", "done_ns", "due_ns", "own_us")

    def __init__(self) -> None:
        self.count = 0
        self.due_ns = (0, 0)
        self.done_ns = (0, 0)
        self.own_us = 0
        self.connect_us = 0

    def add(self, due_ns: int, done_ns: int, own_us: int, connect_us: int) -> None:
        """Count a connect that succeeded; see the attributes."""
        if self.count:
            self.due_ns = _including(self.due_ns, due_ns)
            self.done_ns = _including(self.done_ns, done_ns)
        else:
            self.due_ns, self.done_ns = (due_ns, due_ns), (done_ns, done_ns)
        self.count += 1
        self.own_us += own_us
        self.connect_us += connect_us

    def merge(self, other: Ramp) -> None:
        """Add another process's connects, or later ones."""
        if not other.count:
            return
        spans = [(other.due_ns, other.done_ns), *([(self.due_ns, self.done_ns)] * bool(self.count))]
        self.due_ns = min(due[0] for due, _ in spans), max(due[1] for due, _ in spans)
        self.done_ns = min(done[0] for _, done in spans), max(done[1] for _, done in spans)
        self.count += other.count
        self.own_us += other.own_us
        self.connect_us += other.connect_us

    def convert_times(self, to: Callable[[int], int]) -> None:
        """Convert the times to another clock."""
        if self.count:
            self.due_ns = to(self.due_ns[0]), to(self.due_ns[1])
            self.done_ns = to(self.done_ns[0]), to(self.done_ns[1])

    @property
    def offered(self) -> float | None:
        """Connects per second that were asked for; None if that is not known."""
        return self._rate(*self.due_ns)

    @property
    def achieved(self) -> float | None:
        """Connects per second that succeeded; None if that is not known."""
        return self._rate(*self.done_ns)

    @property
    def is_reached(self) -> bool:
        """Whether the connections were opened as fast as was asked for."""
        asked, found = self.due_ns[1] - self.due_ns[0], self.done_ns[1] - self.done_ns[0]
        return asked >= _REACHED * found

    def _rate(self, first_ns: int, last_ns: int) -> float | None:
        return (self.count - 1) * 1e9 / (last_ns - first_ns) if last_ns > first_ns else None

    def pack(self) -> list[int]:
        """Return it as plain data, for `unpack`."""
        return [self.count, *self.due_ns, *self.done_ns, self.own_us, self.connect_us]

    @classmethod
    def unpack(cls, data: list[int]) -> Self:
        """Return what was packed."""
        new = cls()
        new.count, *_, new.own_us, new.connect_us = data
        new.due_ns, new.done_ns = (data[1], data[2]), (data[3], data[4])
        return new
