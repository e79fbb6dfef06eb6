"""Counters of operations, and of things found in messages."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from sseload_users.core.field_values import field_values


@dataclass(slots=True)
class Counters:
    """Numbers that add up over time and over workers.

    Attributes:
        attempted: connect attempts.
        succeeded: connect attempts that ended in a subscription.
        failed: connect attempts that failed.
        ever_connected: connections that were subscribed at least once.
        never_connected: connections that gave up, as all their connect attempts failed.
        ended: connections that the server told not to come again.
        dropped: sessions that the server or the network ended.
        reconnected: further connect attempts of a connection.
        replaced: sessions that churn ended and a new one follows.
        stormed: sessions that a storm ended.
        flapped: sessions whose connection was lost on purpose.
        planned_ends: sessions that the server ended as planned.
        resumed: sessions whose state the server restored.
        over_http2: sessions of event streams that came over HTTP/2.
        polled: sessions that began by long polling.
        upgraded: those of them that went over to WebSocket.
        upgrade_failed: those of them that could not.
        slow: connections that read slowly on purpose.
        upkeep: requests and messages that keep sessions alive.
        upkeep_failed: those of them that failed.
        channel_changes: requests to join or to leave a channel during a session.
        channel_changes_failed: those of them that failed.
        out_of_order: first copies that came after a code which was sent when their own had been
            answered.
        foreign: messages without a code of this run.
        malformed: frames, packets and messages that cannot be decoded.
        in_doubt: deliveries that came in time, or late by less than the stamp error.
        imprecise: deliveries whose stamp may be late by a tenth of a second or more.
        before_sent: first copies that arrived before they were sent, by more than the clock
            error.
        overlapping: codes sent while another one was unanswered.
        compressed_bytes: bytes of compressed messages and streams, as they came.
        inflated_bytes: bytes that they became.
        flushes: how many times compressed event streams were flushed.
        hook_errors: exceptions that hooks of the user classes raised.
        logins_renewed: logins that were repeated because the server refused an earlier one.
    """

    attempted: int = 0
    succeeded: int = 0
    failed: int = 0
    ever_connected: int = 0
    never_connected: int = 0
    ended: int = 0
    dropped: int = 0
    reconnected: int = 0
    replaced: int = 0
    stormed: int = 0
    flapped: int = 0
    planned_ends: int = 0
    resumed: int = 0
    over_http2: int = 0
    polled: int = 0
    upgraded: int = 0
    upgrade_failed: int = 0
    slow: int = 0
    upkeep: int = 0
    upkeep_failed: int = 0
    channel_changes: int = 0
    channel_changes_failed: int = 0
    out_of_order: int = 0
    foreign: int = 0
    malformed: int = 0
    in_doubt: int = 0
    imprecise: int = 0
    before_sent: int = 0
    overlapping: int = 0
    compressed_bytes: int = 0
    inflated_bytes: int = 0
    flushes: int = 0
    hook_errors: int = 0
    logins_renewed: int = 0

    def __add__(self, other: Counters) -> Counters:
        """Return the sums of both."""
        return Counters(*map(operator.add, self.pack(), other.pack()))

    def pack(self) -> tuple[int, ...]:
        """Return the counts as plain data, for `unpack`."""
        return field_values(self)

    @classmethod
    def unpack(cls, data: tuple[int, ...]) -> Counters:
        """Return the counters that were packed."""
        return cls(*data)
