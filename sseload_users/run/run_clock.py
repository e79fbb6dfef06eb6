"""How one process keeps time in one run: on the leader's clock, and with an eye on its own."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from sseload_users.core.clock import host_id, wall_ns
from sseload_users.core.clock_steps import ClockStepDetector
from sseload_users.core.clock_sync import ClockSync

#: How often the leader is asked the time: often at first, then to follow the drift.
_QUICK_QUESTIONS, _QUICKLY_S, _SLOWLY_S = 20, 0.05, 1.0


class RunClock:
    """One process's clock in one run.

    Args:
        ask: asks the leader the time; told when that is (this clock, ns).
        same: this very process leads.

    Attributes:
        clocks: the difference from the leader's clock.
        host: the same for all processes that share this clock.
        sender_error_ns: how wrong the times can be, at most, in which codes were announced.
    """

    def __init__(self, ask: Callable[[int], None], *, same: bool) -> None:
        self.clocks = ClockSync()
        self.clocks.same = same
        self.host = host_id()
        self.sender_error_ns = 0
        self._ask = ask
        self._asker: gevent.Greenlet[..., None] | None = None
        self._step_detector = ClockStepDetector()

    def leader_is_at(self, host: str) -> None:
        """Whose clock counts is known: on another host, begin to measure the difference."""
        self.clocks.same = self.clocks.same or host == self.host
        if not self.clocks.same and self._asker is None:
            self._asker = gevent.spawn(self._keep_asking)

    def answered(self, asked_ns: int, leader_ns: int) -> None:
        """The leader has told the time."""
        self.clocks.add_exchange(asked_ns, leader_ns, wall_ns())

    def look(self) -> int:
        """See whether this clock was set; by how much since the last look (ns), or 0."""
        step_ns = self._step_detector.step_ns()
        if step_ns:
            self.clocks.shift(step_ns)
        return step_ns

    def end(self) -> None:
        """Ask no more."""
        if self._asker is not None:
            self._asker.kill(block=False)

    def _keep_asking(self) -> None:
        asked = 0
        while True:
            self._ask(wall_ns())
            asked += 1
            gevent.sleep(_QUICKLY_S if asked < _QUICK_QUESTIONS else _SLOWLY_S)
