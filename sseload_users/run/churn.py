"""Sessions that sseload itself ends in the course of a run, for others to follow.

Two ways: each session lives for a while and is replaced, as visitors come and go; or all of
them end at once, as they do when a proxy restarts, and come back in a storm.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import gevent

from sseload_users.transports.transport import Transport

#: Why a session was ended by sseload; empty for one that was not.
Why = Literal["", "over", "storm"]


class Hold:
    """A session that is held for now.

    Attributes:
        why: it was ended by sseload, if it was.
        ended_ns: when that was due (wall clock, ns): in a storm the same for all.
    """

    __slots__ = ("_transport", "ended_ns", "why")

    def __init__(self, transport: Transport) -> None:
        self.why: Why = ""
        self.ended_ns = 0
        self._transport = transport

    def end(self, why: Why, at_ns: int) -> None:
        """End the session from this side; once."""
        if not self.why:
            self.why, self.ended_ns = why, at_ns
            self._transport.leave()


class Churn:
    """The sessions that a process holds, and their ends.

    Args:
        session_length_s: how long sessions live, on average; 0 for as long as the run.
    """

    def __init__(self, session_length_s: float = 0.0) -> None:
        self._length_s = session_length_s
        self._holds: dict[Hold, None] = {}

    @contextmanager
    def holding(self, transport: Transport) -> Iterator[Hold]:
        """While a session is open."""
        hold = Hold(transport)
        timer = None
        if self._length_s:
            # Independent visitors: however long one has been there, the next moment may be
            # its last, so that sessions of one age never end together.
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
        """End all sessions at once; how many there were.

        Args:
            at_ns: the time (wall clock, ns).
        """
        holds = [each for each in self._holds if not each.why]
        for each in holds:
            each.end("storm", at_ns)
        return len(holds)
