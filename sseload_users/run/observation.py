"""A worker's observation: it reports first sightings, and enters the numbers it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import gevent

from sseload_users.core.clock import wall_ns
from sseload_users.core.ledger import Ledger
from sseload_users.core.observed_codes import ObservedCodes
from sseload_users.core.sightings import Numbered
from sseload_users.run.messages import CodesSighted, ToLeader
from sseload_users.run.run_clock import RunClock

#: Seconds between two reports of first sightings.
_REPORT_S = 0.25


class Observation:
    """A worker's observation of messages that others send.

    Args:
        ledger: the account.
        clock: converts times to the leader's clock.
        send: sends a message to the leader.
        in_row: the ids are numbers in a row.

    Attributes:
        codes: the messages.
    """

    def __init__(
        self, ledger: Ledger, clock: RunClock, send: Callable[[ToLeader], None], *, in_row: bool
    ) -> None:
        self.codes = ObservedCodes(ledger, in_row=in_row)
        self._clock = clock
        self._send = send
        self._waiting: list[Numbered] = []
        self._ticker = gevent.spawn(self._tick)

    def add(self, numbered: Iterable[Numbered]) -> None:
        """Enter the numbers of messages, once the leader's time is known."""
        self._waiting += numbered
        clocks = self._clock.clocks
        if clocks.known:
            for each in self._waiting:
                self.codes.number(replace(each, sent_ns=clocks.to_here(each.sent_ns)))
            self._waiting.clear()

    def close(self) -> None:
        """Report nothing any more."""
        self._ticker.kill(block=False)

    def _tick(self) -> None:
        while True:
            gevent.sleep(_REPORT_S)
            clocks = self._clock.clocks
            if not clocks.known:
                continue
            self.add(())
            taken = self.codes.take_new(wall_ns())
            if taken:
                self._send(
                    CodesSighted(
                        [replace(each, seen_ns=clocks.to_leader(each.seen_ns)) for each in taken]
                    )
                )
