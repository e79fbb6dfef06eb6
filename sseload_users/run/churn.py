"""Sessions that sseload itself ends during a run, and that new ones follow.

With churn, each session ends after a random time, as visitors come and go. In a storm, all
sessions end at once and reconnect, as if a proxy had restarted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import gevent

from sseload_users.transports.transport import Transport

#: Why sseload ended a session; empty if it did not.
EndReason = Literal["", "over", "storm"]


class Hold:
    """An open session.

    Attributes:
        why: why sseload ended it; empty if it did not.
        ended_ns: when the storm that ended it began (wall clock, ns); else 0.
    """

    __slots__ = ("_transport", "ended_ns", "why")

    def __init__(self, transport: Transport) -> None:
        self.why: EndReason = ""
        self.ended_ns = 0
        self._transport = transport

    def end(self, why: EndReason, at_ns: int) -> None:
        """End the session from this side; once."""
        if not self.why:
            self.why, self.ended_ns = why, at_ns
            self._transport.leave()


class Churn:
    """Ends the sessions of a process.

    Args:
        session_length_s: mean length of a session, in seconds; 0 for the whole run.
    """

    def __init__(self, session_length_s: float = 0.0) -> None:
        self._length_s = session_length_s
        self._holds: dict[Hold, None] = {}

    @contextmanager
    def holding(self, transport: Transport) -> Iterator[Hold]:
        """Hold this while a session is open."""
        hold = Hold(transport)
        timer = None
        if self._length_s:
            # Independent visitors: the remaining time does not depend on the age, so that
            # sessions that began together do not end together.
            lifetime_s = random.expovariate(1 / self._length_s)
            timer = gevent.spawn_later(lifetime_s, hold.end, "over", 0)
        self._holds[hold] = None
        try:
            yield hold
        finally:
            del self._holds[hold]
            if timer is not None and timer is not gevent.getcurrent():
                timer.kill(block=False)

    def storm(self, at_ns: int) -> int:
        """End all sessions at once.

        Args:
            at_ns: the time (wall clock, ns).

        Returns:
            How many there were.
        """
        holds = [each for each in self._holds if not each.why]
        for each in holds:
            each.end("storm", at_ns)
        return len(holds)
