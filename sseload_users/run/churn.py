"""Sessions that sseload itself ends during a run, and that new ones follow.

With churn, each session leaves after a random time, as visitors come and go: it is owed no
further codes, and is closed once it has those that it is owed or they have timed out. In a
storm, all sessions are cut off at once and reconnect, as if a proxy had restarted. Flapping
connections are lost one after the other, as those of mobile clients are, and return.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Literal

import gevent

from sseload_users.core.clock import wall_ns
from sseload_users.core.ledger import Ledger
from sseload_users.core.loss_kind import LossKind
from sseload_users.core.sessions import Session
from sseload_users.transports.transport import Transport

#: Why sseload ended a session; empty if it did not.
EndReason = Literal["", "over", "storm", "flap"]
#: Seconds from one check of the leaving sessions to the next.
_CHECK_S = 0.1


class Hold:
    """An open session, from `Churn.hold` to `release`.

    Attributes:
        why: why sseload ended it; empty if it did not.
        ended_ns: when sseload ended it (wall clock, ns): in a storm the same for all; 0 if it
            did not.
        session: its account.
    """

    __slots__ = ("_churn", "_timer", "_transport", "ended_ns", "session", "why")

    def __init__(self, churn: Churn, transport: Transport, session: Session) -> None:
        self._churn = churn
        # Will end it; None if nothing will.
        self._timer: gevent.Greenlet[..., None] | None = None
        self.why: EndReason = ""
        self.ended_ns = 0
        self.session = session
        self._transport = transport

    def end_after(self, seconds: float, action: Callable[[Hold], None]) -> None:
        """Have a function called that ends the session, unless it is released before."""
        self._timer = gevent.spawn_later(seconds, action, self)

    def release(self) -> None:
        """Note that the session has ended."""
        self._churn.forget(self)
        if self._timer is not None and self._timer is not gevent.getcurrent():
            self._timer.kill(block=False)

    def end(self, why: EndReason, at_ns: int, how: LossKind | None = None) -> None:
        """End the session from this side; once.

        Args:
            why: why it ends.
            at_ns: the time (wall clock, ns).
            how: how its connection is lost; None to say goodbye.
        """
        if self.why:
            return
        self.why, self.ended_ns = why, at_ns
        if how is None:
            self._transport.leave()
        else:
            self._transport.lose(how)


class Churn:
    """Ends the sessions of a process.

    Args:
        ledger: the account.
        session_length_s: mean time after which a session leaves, in seconds; 0 for never.
        announced_s: seconds after its sending within which a code is normally announced here.
        returns: the same client returns after its session, and is owed what was sent meanwhile.
    """

    def __init__(
        self, ledger: Ledger, session_length_s: float, announced_s: float, *, returns: bool = False
    ) -> None:
        self._ledger = ledger
        self._length_s = session_length_s
        self._announced_s = announced_s
        self._returns = returns
        # A server forgets a client that says goodbye, and restores nothing when it returns.
        self._how: LossKind | None = "fin" if returns else None
        self._holds: dict[Hold, None] = {}
        # Until when each of those that leave stays at least (monotonic clock, s).
        self._leaving: dict[Hold, float] = {}
        self._checker: gevent.Greenlet[..., None] | None = None

    def hold(self, transport: Transport, session: Session) -> Hold:
        """Take a session that is open; release it once it has ended."""
        hold = Hold(self, transport, session)
        self._holds[hold] = None
        if self._length_s:
            # Independent visitors: the remaining time does not depend on the age, so that
            # sessions that began together do not end together.
            hold.end_after(random.expovariate(1 / self._length_s), self._leave)
        return hold

    def forget(self, hold: Hold) -> None:
        """Forget a session that has ended."""
        del self._holds[hold]
        self._leaving.pop(hold, None)

    def storm(self, at_ns: int) -> int:
        """Cut off all sessions at once.

        Args:
            at_ns: the time (wall clock, ns).

        Returns:
            How many there were.
        """
        holds = [each for each in self._holds if not each.why]
        for each in holds:
            each.end("storm", at_ns, self._how)
        return len(holds)

    def flap(self, how: LossKind, at_ns: int) -> bool:
        """Lose the connection whose turn it is: the one that has been open the longest.

        Args:
            how: what the server notices of it.
            at_ns: the time (wall clock, ns).

        Returns:
            Whether there was one.
        """
        open_ones = (each for each in self._holds if not each.why and each not in self._leaving)
        hold = next(open_ones, None)
        if hold is not None:
            hold.end("flap", at_ns, how)
        return hold is not None

    def _leave(self, hold: Hold) -> None:
        """Let a session leave as soon as it awaits no code; at once if it returns."""
        if self._returns:
            hold.end("over", wall_ns(), self._how)
            return
        self._ledger.begin_leaving(hold.session, wall_ns())
        self._leaving[hold] = time.monotonic() + self._announced_s
        self._end_if_complete(hold)
        if self._leaving and not self._checker:
            self._checker = gevent.spawn(self._check)

    def _check(self) -> None:
        while self._leaving:
            gevent.sleep(_CHECK_S)
            for hold in list(self._leaving):
                self._end_if_complete(hold)

    def _end_if_complete(self, hold: Hold) -> None:
        now_ns = wall_ns()
        at_least_s = self._leaving[hold]
        if time.monotonic() >= at_least_s and not self._ledger.awaits(hold.session, now_ns):
            del self._leaving[hold]
            hold.end("over", now_ns)
