"""The leader's exchange of messages with the workers of one run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

import gevent
from gevent.event import Event

from sseload_users.core.clock import host_id, wall_ns
from sseload_users.core.sightings import Sighting, Sightings
from sseload_users.core.totals import Totals
from sseload_users.run.link import Link
from sseload_users.run.messages import (
    AccountReport,
    BroadcastDone,
    BroadcastOrder,
    CancelBroadcast,
    ClockReply,
    ClockRequest,
    ClockStepped,
    CloseAccount,
    CodeOutcome,
    CodeSent,
    CodesNumbered,
    CodesSighted,
    CodeStatus,
    Flap,
    Hello,
    JoinRequest,
    Leaving,
    PhaseEntered,
    PlaceAssigned,
    PlaceRequest,
    PlaceReturned,
    PublisherLost,
    PublishingFailed,
    PublishingStopped,
    StopPublishing,
    Storm,
    ToLeader,
    ToWorker,
    Welcome,
    WorkerFailed,
)
from sseload_users.run.places import Places
from sseload_users.run.run_log import RunLog
from sseload_users.run.worker_registry import WorkerRegistry

#: Seconds between two checks of a condition.
_POLL_S = 0.1
#: Seconds for which workers may take to close their accounts when the run ends.
_CLOSE_S = 10.0
#: Seconds after which a worker that quits by itself is told to close its account. If the whole
#: run ends, as with Ctrl-C, it is told in the order that loses nothing.
_LEAVE_S = 0.3


#: The phases of a step in which no worker may join any more.
_LATE_PHASES = ("settle", "broadcast", "observe", "drain")


class RunProtocol:
    """Enters what workers report into the account, and sends them what they have to know.

    Args:
        link: the link to the workers.
        totals: the account.
        registry: the workers.
        log: the run's log.
        refuse: ends the run, for a reason in one sentence.
        sightings: the messages that others send; None in a run that sends its own codes.

    Attributes:
        broadcast_done: whether all codes of the latest order have an outcome, as far as they
            were sent.
        ending: whether the run is ending, so that a worker which joins is late.
        publisher_losses: losses of the publisher's connection, by cause.
    """

    def __init__(
        self,
        link: Link,
        totals: Totals,
        registry: WorkerRegistry,
        log: RunLog,
        refuse: Callable[[str], None],
        sightings: Sightings | None = None,
    ) -> None:
        self._sightings = sightings
        self.broadcast_done = False
        self.ending = False
        self.publisher_losses: Counter[str] = Counter()
        self._link = link
        self._totals = totals
        self._flaps = 0
        self._registry = registry
        self._log = log
        self._refuse = refuse
        # Codes whose outcome has not been reported.
        self._open: set[int] = set()
        self._first_ordered = 0
        self._places = Places()
        self._closing = False
        self._publishing_stopped = False
        self._received = Event()

    # From workers

    def from_worker(self, worker: str, message: ToLeader) -> None:
        """Take a message of this run from a worker."""
        self._registry.note_message(worker)
        match message:
            case CodeSent(sequence, sent_ns):
                self._totals.announce(sequence, sent_ns, message.slip_us, message.node)
                self._open.add(sequence)
                self._send_all(message, but=worker)
            case CodeOutcome():
                self._add_outcome(message, sender=worker)
            case CodesSighted(sightings):
                self._add_sightings(worker, sightings)
            case AccountReport(report):
                self._totals.add_report(worker, report)
            case BroadcastDone(first):
                # A worker that was lost may report an earlier order.
                self.broadcast_done = self.broadcast_done or first == self._first_ordered
            case PublishingStopped():
                self._publishing_stopped = True
            case PublishingFailed(sentence):
                self._refuse(sentence)
            case PlaceRequest(number):
                self._send(worker, PlaceAssigned(number, self._places.take(worker, number)))
            case PlaceReturned(number):
                self._places.give_back(worker, number)
            case PublisherLost(cause):
                self._add_publisher_loss(cause)
            case _:
                self._take_lifecycle_message(worker, message)
        self._received.set()

    def _take_lifecycle_message(
        self,
        worker: str,
        message: JoinRequest | Hello | ClockRequest | ClockStepped | Leaving | WorkerFailed,
    ) -> None:
        match message:
            case Hello(region):
                self._welcome(worker, region)
            case ClockRequest(asked_ns):
                self._send(worker, ClockReply(asked_ns, wall_ns()))
            case ClockStepped(host, step_ns):
                local = self._link.role == "local"
                owner = "" if local else self._totals.worker(worker).name
                self._log.add_clock_step(host, step_ns, owner)
            case Leaving():
                gevent.spawn_later(_LEAVE_S, self._send, worker, CloseAccount(self._slowest_us()))
            case WorkerFailed(sentence):
                # It has nothing to report.
                self._totals.worker(worker).final = True
                self._refuse(f"{self._registry.name(worker)}: {sentence}")
            case JoinRequest():
                # The leader replies, whether or not there is a run.
                pass

    def _welcome(self, worker: str, region: str) -> None:
        phase = self._log.phase
        late = "disconnect" if self.ending else phase if phase in _LATE_PHASES else ""
        self._registry.add(worker, region, late=late)
        self._send(worker, Welcome(self._log.phase, self._log.phase_number, host_id()))
        if self._closing:
            self._send(worker, CloseAccount(self._slowest_us()))

    def _add_outcome(self, outcome: CodeOutcome, *, sender: str) -> None:
        sequence, status = outcome.sequence, outcome.status
        self._open.discard(sequence)
        self._totals.set_status(
            sequence,
            status,
            outcome.ingest_us,
            outcome.cause,
            wall_ns(),
            server_text=outcome.server_text,
        )
        self._send_all(CodeStatus(sequence, status, outcome.overtakable_by), but=sender)

    def _add_publisher_loss(self, cause: str) -> None:
        if not self.publisher_losses:
            self._log.show(f"The publisher's connection was lost ({cause}); reconnecting.")
        self.publisher_losses[cause] += 1

    def _add_sightings(self, worker: str, sightings: Iterable[Sighting]) -> None:
        if self._sightings is None:
            return
        now = wall_ns()
        known = [new for each in sightings if (new := self._sightings.add(each, now)) is not None]
        if known:
            self._send(worker, CodesNumbered(known))

    # To workers

    def number_sightings(self, *, final: bool = False) -> None:
        """Number the messages that others sent, and tell all workers.

        Args:
            final: the observation is over: wait for no earlier sightings.
        """
        if self._sightings is None:
            return
        numbered = self._sightings.number_due(wall_ns(), final=final)
        for each in numbered:
            self._totals.announce(each.sequence, each.sent_ns)
            self._totals.set_status(each.sequence, "seen")
            self._totals.ids[each.sequence] = each.id
        if numbered:
            self._send_all(CodesNumbered(numbered))

    def announce_phase(self) -> None:
        """Tell all workers which phase the run has entered."""
        self._send_all(PhaseEntered(self._log.phase, self._log.phase_number))

    def order_broadcast(self, broadcaster: str, order: BroadcastOrder) -> None:
        """Make the worker that has the broadcaster send codes."""
        self.broadcast_done = False
        self._first_ordered = order.first
        self._send(broadcaster, order)

    def storm(self) -> None:
        """Make all workers end all sessions at once and reconnect."""
        self._send_all(Storm(self._slowest_us()))

    def flap(self) -> None:
        """Make the worker whose turn it is lose one connection, which returns."""
        workers = self._registry.open_sessions()
        connections = sum(opened for _, opened in workers)
        if not connections:
            return
        turn, self._flaps = self._flaps % connections, self._flaps + 1
        for worker, opened in workers:
            if turn < opened:
                self._send(worker, Flap(self._slowest_us()))
                return
            turn -= opened

    def abandon_broadcast(self, broadcaster: str) -> None:
        """Expect no further codes, as the worker that has the broadcaster is lost.

        The outcomes of its codes are unknown until the worker comes back and reports them.

        Args:
            broadcaster: id of the worker.
        """
        self._send(broadcaster, CancelBroadcast())
        self._give_up_codes(broadcaster)

    def stop_publishing(self, broadcaster: str) -> None:
        """Stop the broadcaster, and wait until all codes that it sent are announced."""
        self._send(broadcaster, StopPublishing())
        self._wait_for_replies(
            lambda: self._publishing_stopped or self._registry.broadcaster() != broadcaster
        )
        if not self._publishing_stopped:
            self._give_up_codes(broadcaster)

    def _give_up_codes(self, broadcaster: str) -> None:
        for sequence in sorted(self._open):
            self._totals.set_status(sequence, "unknown")
            # Its sender learns the outcome itself, if it goes on.
            self._send_all(CodeStatus(sequence, "unknown", 0), but=broadcaster)

    def close_accounts(self) -> None:
        """Make all workers close their accounts, and wait for the final reports."""
        self._closing = True
        self._send_all(CloseAccount(self._slowest_us()))
        self._wait_for_replies(self._registry.is_closed)
        self._registry.give_up()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Wait until a condition holds, or the timeout has passed; notice lost workers."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not condition() and (deadline is None or time.monotonic() < deadline):
            gevent.sleep(_POLL_S)
            self._registry.update(ending=False)

    def _wait_for_replies(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds at the end of the run, for a limited time."""
        deadline = time.monotonic() + _CLOSE_S
        while not condition() and time.monotonic() < deadline:
            self._received.wait(0.2)
            self._received.clear()
            self._registry.update(ending=True)

    def _slowest_us(self) -> int:
        """Return the duration of the slowest delivery so far, in microseconds."""
        return self._totals.delivery().max_us

    def _send(self, worker: str, message: ToWorker) -> None:
        self._link.to_workers([worker], self._log.run.run_id, message)

    def _send_all(self, message: ToWorker, *, but: str | None = None) -> None:
        self._link.to_workers(self._registry.recipients(but), self._log.run.run_id, message)
