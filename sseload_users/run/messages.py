"""The messages between the leader of a run and its workers.

Each kind of message is a dataclass, whose fields are packed as plain data (see `encoding`). All
times are nanoseconds since the Unix epoch, on the leader's clock unless a field says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from sseload_users.core.code_tally import Status
from sseload_users.core.field_values import field_values
from sseload_users.core.sightings import Numbered, Sighting
from sseload_users.core.worker_report import WorkerReport


class Message:
    """Base of all messages, whose fields are plain data unless it says how they are packed."""

    __slots__ = ()

    def pack(self) -> tuple[Any, ...]:
        """Return the fields as plain data, for `unpack`."""
        return field_values(self)

    @classmethod
    def unpack(cls, fields: Sequence[Any]) -> Self:
        """Return the message that was packed."""
        return cls(*fields)


# From a worker to the leader


@dataclass(frozen=True, slots=True)
class JoinRequest(Message):
    """Locust has started a test on a worker, which asks what run that is.

    Attributes:
        number: number of the worker's request, returned in the reply.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """A worker takes part in the run.

    Attributes:
        region: region that it is in; empty if unknown.
    """

    region: str


@dataclass(frozen=True, slots=True)
class PlaceRequest(Message):
    """A new connection asks for its place among those of all workers.

    Attributes:
        number: number of the connection in its worker.
    """

    number: int


@dataclass(frozen=True, slots=True)
class PlaceReturned(Message):
    """A connection has ended, and its place is free.

    Attributes:
        number: number of the connection in its worker.
    """

    number: int


@dataclass(frozen=True, slots=True)
class ClockRequest(Message):
    """A worker asks for the leader's time.

    Attributes:
        asked_ns: when it asks, on its own clock.
    """

    asked_ns: int


@dataclass(frozen=True, slots=True)
class CodeSent(Message):
    """A code was sent; the leader passes the message on to the other workers.

    Attributes:
        sequence: the code's sequence number.
        sent_ns: when it was sent.
        clock_error_ns: largest error of that time, from the conversion between clocks.
        text_ns: time in the code's text, on the sender's clock; None if it has none.
        slip_us: delay behind the schedule, in microseconds.
        node: index of the node that it was sent to; None for the one whose turn it was.
    """

    sequence: int
    sent_ns: int
    clock_error_ns: int
    text_ns: int | None
    slip_us: int
    node: int | None = None


@dataclass(frozen=True, slots=True)
class CodeOutcome(Message):
    """The outcome of a code's request.

    Attributes:
        sequence: the code's sequence number.
        status: its status.
        ingest_us: time from its sending to the response, in microseconds; None if unknown.
        cause: why it failed; None if it did not.
        server_text: the server's own words if it failed, without secrets.
        overtakable_by: highest sequence number that had been sent by then.
    """

    sequence: int
    status: Status
    ingest_us: int | None
    cause: str | None
    server_text: str = ""
    overtakable_by: int = 0


@dataclass(frozen=True, slots=True)
class CodesSighted(Message):
    """A worker has seen messages that others sent, for the first time.

    Attributes:
        sightings: the sightings.
    """

    sightings: Sequence[Sighting]

    def pack(self) -> tuple[Any, ...]:
        """Return the fields as plain data, for `unpack`."""
        return ([*map(field_values, self.sightings)],)

    @classmethod
    def unpack(cls, fields: Sequence[Any]) -> Self:
        """Return the message that was packed."""
        (sightings,) = fields
        return cls([Sighting(*each) for each in sightings])


@dataclass(frozen=True, slots=True)
class AccountReport(Message):
    """A worker's report.

    Attributes:
        report: what it has counted since the last one, and its state.
    """

    report: WorkerReport

    def pack(self) -> tuple[Any, ...]:
        """Return the fields as plain data, for `unpack`."""
        return (self.report.pack(),)

    @classmethod
    def unpack(cls, fields: Sequence[Any]) -> Self:
        """Return the message that was packed."""
        (report,) = fields
        return cls(WorkerReport.unpack(report))


@dataclass(frozen=True, slots=True)
class BroadcastDone(Message):
    """All codes of an order that were to be sent have been, and each has an outcome.

    Attributes:
        first: sequence number of the order's first code.
    """

    first: int


@dataclass(frozen=True, slots=True)
class PublishingStopped(Message):
    """The reply to `StopPublishing`: all codes that were sent have been announced."""


@dataclass(frozen=True, slots=True)
class PublishingFailed(Message):
    """No code can be handed in.

    Attributes:
        sentence: the reason.
    """

    sentence: str


@dataclass(frozen=True, slots=True)
class PublisherLost(Message):
    """The connection over which codes are handed in was lost.

    Attributes:
        cause: the cause.
    """

    cause: str


@dataclass(frozen=True, slots=True)
class ClockStepped(Message):
    """A worker's clock was set.

    Attributes:
        host: identity of the host that has the clock.
        step_ns: by how much it was set forward.
    """

    host: str
    step_ns: int


@dataclass(frozen=True, slots=True)
class Leaving(Message):
    """A worker ends by itself, and waits for `CloseAccount`."""


@dataclass(frozen=True, slots=True)
class WorkerFailed(Message):
    """A worker cannot take part in the run, or cannot continue.

    Attributes:
        sentence: the reason.
    """

    sentence: str


# From the leader to workers


@dataclass(frozen=True, slots=True)
class RunAssigned(Message):
    """The reply to `JoinRequest`: the run that is in progress.

    Attributes:
        number: number of the request.
        run_id: identity of the run, which its codes carry.
        workers: number of workers at its beginning.
        users: number of Locust users on all workers.
        listeners: number of connections on all workers by which codes are dealt to channels.
        rate: users that start per second, on all workers; 0 if that is not known.
    """

    number: int
    run_id: str
    workers: int
    users: int
    listeners: int
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class NoRun(Message):
    """The reply to `JoinRequest` if no run is in progress.

    Attributes:
        number: number of the request.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """The reply to `Hello`.

    Attributes:
        phase: name of the current phase; empty if there is none yet.
        number: number of that phase.
        host: identity of the leader's host.
    """

    phase: str
    number: int
    host: str


@dataclass(frozen=True, slots=True)
class PlaceAssigned(Message):
    """The reply to `PlaceRequest`.

    Attributes:
        number: as in the request.
        place: the place, from 0.
    """

    number: int
    place: int


@dataclass(frozen=True, slots=True)
class PhaseEntered(Message):
    """The run has entered a phase.

    Attributes:
        phase: name of the phase.
        number: its number, from 1.
    """

    phase: str
    number: int


@dataclass(frozen=True, slots=True)
class ClockReply(Message):
    """The reply to `ClockRequest`.

    Attributes:
        asked_ns: as in the request.
        leader_ns: the leader's time.
    """

    asked_ns: int
    leader_ns: int


@dataclass(frozen=True, slots=True)
class BroadcastOrder(Message):
    """Send codes on a schedule.

    Attributes:
        first: sequence number of the first code.
        codes: number of codes.
        interval_s: seconds from one code to the next.
    """

    first: int
    codes: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class CancelBroadcast(Message):
    """Send no further codes of the order in progress; those that were sent get their answers."""


@dataclass(frozen=True, slots=True)
class CodeStatus(Message):
    """The status of a code.

    Attributes:
        sequence: the code's sequence number.
        status: its status.
        overtakable_by: see `CodeOutcome`.
    """

    sequence: int
    status: Status
    overtakable_by: int


@dataclass(frozen=True, slots=True)
class CodesNumbered(Message):
    """Messages that others sent have their sequence numbers, and are owed.

    Attributes:
        numbered: the messages.
    """

    numbered: Sequence[Numbered]

    def pack(self) -> tuple[Any, ...]:
        """Return the fields as plain data, for `unpack`."""
        return ([*map(field_values, self.numbered)],)

    @classmethod
    def unpack(cls, fields: Sequence[Any]) -> Self:
        """Return the message that was packed."""
        (numbered,) = fields
        return cls([Numbered(*each) for each in numbered])


@dataclass(frozen=True, slots=True)
class StopPublishing(Message):
    """Send no further codes."""


@dataclass(frozen=True, slots=True)
class Storm(Message):
    """End all sessions at once and reconnect.

    `slowest_us` is the duration of the slowest delivery on any worker, in microseconds.
    """

    slowest_us: int


@dataclass(frozen=True, slots=True)
class Flap(Message):
    """Lose one connection, which returns; `slowest_us` is as in `Storm`."""

    slowest_us: int


@dataclass(frozen=True, slots=True)
class CloseAccount(Message):
    """Close the account and send the final report; `slowest_us` is as in `Storm`."""

    slowest_us: int


#: What a worker sends to the leader.
ToLeader: TypeAlias = (
    JoinRequest
    | Hello
    | PlaceRequest
    | PlaceReturned
    | ClockRequest
    | CodeSent
    | CodeOutcome
    | CodesSighted
    | AccountReport
    | BroadcastDone
    | PublishingStopped
    | PublishingFailed
    | PublisherLost
    | ClockStepped
    | Leaving
    | WorkerFailed
)

#: What the leader sends to workers.
ToWorker: TypeAlias = (
    RunAssigned
    | NoRun
    | Welcome
    | PlaceAssigned
    | PhaseEntered
    | ClockReply
    | BroadcastOrder
    | CancelBroadcast
    | CodeSent
    | CodeStatus
    | CodesNumbered
    | StopPublishing
    | Storm
    | Flap
    | CloseAccount
)
