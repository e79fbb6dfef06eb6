"""Codes that other workers have sent, for the account of this one."""

from __future__ import annotations

from sseload_users.core.ledger import Ledger
from sseload_users.run.messages import CodeSent, CodeStatus
from sseload_users.run.run_clock import RunClock


class Announcements:
    """Enters other workers' codes into the account, once the leader's time is known.

    Args:
        ledger: the account.
        clock: converts the leader's time.
    """

    def __init__(self, ledger: Ledger, clock: RunClock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._waiting: list[CodeSent | CodeStatus] = []

    def add(self, message: CodeSent | CodeStatus) -> None:
        """Take an announcement; they stay in order."""
        self._waiting.append(message)
        self.apply()

    def apply(self) -> None:
        """Enter what is waiting, if the leader's time is known."""
        clock = self._clock
        if not clock.clocks.known:
            return
        for each in self._waiting:
            if isinstance(each, CodeStatus):
                self._ledger.set_status(each.sequence, each.status, each.overtakable_by)
            else:
                clock.sender_error_ns = max(clock.sender_error_ns, each.clock_error_ns)
                sent_ns = clock.clocks.to_here(each.sent_ns)
                self._ledger.announce(each.sequence, sent_ns, each.text_ns)
                self._ledger.audience.admit_newcomers(self._ledger.code(each.sequence))
        self._waiting.clear()
