"""A process's clock in one run: its difference from the leader's, and its steps."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from sseload_users.core.clock import host_id, wall_ns
from sseload_users.core.clock_steps import ClockStepDetector
from sseload_users.core.clock_sync import ClockSync

#: Number and interval of the first requests for the leader's time; then the interval at which
#: the drift is followed.
_FIRST_REQUESTS, _FIRST_INTERVAL_S, _INTERVAL_S = 20, 0.05, 1.0


class RunClock:
    """A process's clock in one run.

    Args:
        request_time: asks for the leader's time; called with the time here (wall clock, ns).
        same: whether this process is the leader.

    Attributes:
        clocks: the difference from the leader's clock.
        host: identity of the host; processes with the same one share a clock.
        sender_error_ns: largest error of the times at which other workers sent their codes.
    """

    def __init__(self, request_time: Callable[[int], None], *, same: bool) -> None:
        self.clocks = ClockSync()
        self.clocks.same = same
        self.host = host_id()
        self.sender_error_ns = 0
        self._request_time = request_time
        self._requester: gevent.Greenlet[..., None] | None = None
        self._step_detector = ClockStepDetector()

    def set_leader_host(self, host: str) -> None:
        """Set the leader's host; if it is another one, start to measure the difference."""
        self.clocks.same = self.clocks.same or host == self.host
        if not self.clocks.same and self._requester is None:
            self._requester = gevent.spawn(self._request_repeatedly)

    def add_reply(self, asked_ns: int, leader_ns: int) -> None:
        """Take the leader's time.

        Args:
            asked_ns: when it was requested (this clock, ns).
            leader_ns: the leader's time (ns).
        """
        self.clocks.add_exchange(asked_ns, leader_ns, wall_ns())

    def step_ns(self) -> int:
        """Return by how much this clock was set since the last call (ns); usually 0."""
        step_ns = self._step_detector.step_ns()
        if step_ns:
            self.clocks.shift(step_ns)
        return step_ns

    def close(self) -> None:
        """Stop requesting the leader's time."""
        if self._requester is not None:
            self._requester.kill(block=False)

    def _request_repeatedly(self) -> None:
        requests = 0
        while True:
            self._request_time(wall_ns())
            requests += 1
            gevent.sleep(_FIRST_INTERVAL_S if requests < _FIRST_REQUESTS else _INTERVAL_S)
