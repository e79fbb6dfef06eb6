"""The codes that a process's broadcaster sends."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator

from gevent.queue import Queue

from sseload_users.core.channels import ChannelPlan
from sseload_users.core.code_tally import Status
from sseload_users.core.ledger import Ledger
from sseload_users.core.overlap import OverlapDetector
from sseload_users.core.schedule import Schedule
from sseload_users.core.sessions import Session
from sseload_users.core.streams import StreamPlan
from sseload_users.run.messages import (
    BroadcastDone,
    CodeOutcome,
    CodeSent,
    PublisherLost,
    PublishingFailed,
    ToLeader,
)
from sseload_users.run.operation_counters import OperationCounters, reported_text
from sseload_users.run.run_clock import RunClock
from sseload_users.run.sender_pool import SenderPool


class Publication:
    """The codes that one process's broadcaster sends in a run.

    The leader counts codes and their outcomes: what this process counted would be lost with it.

    Args:
        ledger: the account.
        channels: deals codes to channels; None for a run without channels.
        streams: deals codes to publishers and nodes.
        operations: counts overlapping codes, and bounds the causes of failures.
        clock: converts times to the leader's clock.
        send: sends a message to the leader.
        is_closed: returns whether the account is closed.

    Attributes:
        orders: first sequence number and schedule of the codes to send.
        cancelled: no further code of the order in progress may be sent.
        stopped: no further code may be sent.
    """

    def __init__(
        self,
        ledger: Ledger,
        channels: ChannelPlan | None,
        streams: StreamPlan,
        operations: OperationCounters,
        clock: RunClock,
        send: Callable[[ToLeader], None],
        is_closed: Callable[[], bool],
    ) -> None:
        self.orders: Queue[tuple[int, Schedule]] = Queue()
        self.cancelled = self.stopped = False
        self._ledger = ledger
        self._channels = channels
        self._streams = streams
        self._operations = operations
        self._clock = clock
        self._send = send
        self._is_closed = is_closed
        self._in_flight: dict[int, OverlapDetector] = defaultdict(OverlapDetector)
        self._requests: SenderPool | None = None

    @contextlib.contextmanager
    def in_progress(self, requests: SenderPool) -> Iterator[None]:
        """Hold this while there is a broadcaster.

        Args:
            requests: its requests in flight. They are killed at the end: what was sent gets no
                response any more.
        """
        self._requests = requests
        try:
            yield
        finally:
            requests.kill(block=False)

    def channel_of(self, sequence: int) -> str | None:
        """Return the channel that a code goes to; None in a run without channels."""
        return None if self._channels is None else self._channels.channel_of(sequence)

    def record_sent(
        self,
        sequence: int,
        sent_ns: int,
        slip_us: int,
        text_ns: int | None,
        exempt: Session | None = None,
        node: int | None = None,
    ) -> None:
        """Record that a code's request has been written.

        Args:
            sequence: the code's sequence number.
            sent_ns: when it was written (wall clock, ns).
            slip_us: delay behind the schedule, in microseconds.
            text_ns: time in the code's text; None if it has none.
            exempt: the session that sent it, if what it receives of it does not count.
            node: index of the node that it was sent to; None for the one whose turn it was.
        """
        if self._is_closed():
            return
        clocks = self._clock.clocks
        self._operations.counters.overlapping += int(self._in_flight_with(sequence).sent(sequence))
        self._ledger.announce(sequence, sent_ns, text_ns)
        if exempt is not None:
            self._ledger.code(sequence, text_ns).set_exempt(exempt)
        leader_ns = clocks.to_leader(sent_ns)
        self._send(CodeSent(sequence, leader_ns, clocks.error_ns, text_ns, slip_us, node))

    def record_outcome(
        self,
        sequence: int,
        status: Status,
        ingest_us: int,
        cause: str | None,
        server_text: str = "",
    ) -> str | None:
        """Record the outcome of a code's request.

        Args:
            sequence: the code's sequence number.
            status: its status.
            ingest_us: time from its sending to the response, in microseconds.
            cause: why it failed; None if it did not.
            server_text: the server's own words if it failed, without secrets.

        Returns:
            The cause under which it is counted.
        """
        overtakable_by = self._in_flight_with(sequence).answered(sequence)
        if cause is not None:
            cause = self._operations.bounded("ingest", cause)
        if not self._is_closed():
            self._ledger.set_status(sequence, status, overtakable_by)
            text = "" if cause is None else reported_text(cause, server_text)
            self._send(CodeOutcome(sequence, status, ingest_us, cause, text, overtakable_by))
        return cause

    def _in_flight_with(self, sequence: int) -> OverlapDetector:
        """Return the codes in flight of a code's stream."""
        return self._in_flight[self._streams.stream_of(sequence)]

    def next_order(self) -> tuple[int, Schedule]:
        """Wait for an order; return its first sequence number and its schedule."""
        order = self.orders.get()
        self.cancelled = False
        return order

    def report_done(self, first: int) -> None:
        """Report that each code of an order has an outcome, or is not sent any more.

        Args:
            first: sequence number of the order's first code.
        """
        self._send(BroadcastDone(first))

    def report_failure(self, sentence: str) -> None:
        """Report that no code can be handed in, which ends the run."""
        self._send(PublishingFailed(sentence))

    def report_lost_connection(self, cause: str) -> None:
        """Report the loss of the connection over which codes are handed in."""
        self._send(PublisherLost(self._operations.bounded("ingest", cause)))

    def stop(self) -> None:
        """Send no further codes; none is announced after this."""
        self.stopped = True
        if self._requests is not None:
            self._requests.kill(timeout=1)
