"""The figures that a run, and each of its steps, is judged and reported by.

Plain dataclasses: constructing one validates nothing, so no odd figure can lose a report.
Their annotations and the docstrings below their fields are the report's JSON Schema, see
`report.serialization`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, with_config

from sseload_users.core.audience_figures import ChannelFigures, LeakExample, ResumeFigures
from sseload_users.core.figure_types import (
    FIGURES,
    Amount,
    Count,
    LatencySummary,
    Name,
    Percent,
    Share,
)


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class FailureCause:
    """One cause of failure, and how often it occurred."""

    operation: Name
    """The operation that failed: before, resolve, connect, tls, handshake or subscribe while
    connecting; session for a dropped one; message for one that cannot be decoded; ingest for a
    code's request; upkeep for a request that keeps a connection alive; channel for a request to
    join or to leave a channel."""
    cause: Name
    """The cause, in a few words that do not differ between connections."""
    count: Annotated[int, Field(ge=1)]
    """How often it occurred."""
    share: Annotated[float, Field(ge=0, le=1)]
    """Its share of all failures in the same list, from 0 to 1."""
    said: str
    """The server's own words in one of these failures; empty if they add nothing to the cause."""
    hint: str
    """Where to look first; empty for an unknown cause."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class PollingFigures:
    """What became of the sessions that began by long polling, as Socket.IO's clients do."""

    sessions: Count
    """Sessions that began by long polling."""
    upgraded: Count
    """Those that went over to WebSocket; the others stayed on polling."""
    failed: Count
    """Those that stayed because the way over to WebSocket failed."""
    causes: list[FailureCause]
    """Why it failed, the most common cause first; the sessions themselves go on."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class ConnectParts:
    """What the connect times consist of, and what is apart from them; of successful connects."""

    tcp_ms: LatencySummary
    """From the first SYN to the connection; a proxy's tunnel included."""
    tls_ms: LatencySummary
    """The TLS handshake, of connects with TLS."""
    handshake_ms: LatencySummary
    """From the request to the response that accepts. With long polling, and for event streams on a
    connection that was there before, all that comes before that response as well."""
    subscription_ms: LatencySummary
    """From there to the message that confirms the subscription, where there is one."""
    own_ms: LatencySummary
    """Delays of the generator while a connection connected. They are not part of connect_ms."""
    queue_ms: LatencySummary
    """How long connections waited because --connect-concurrency others were connecting. It is not
    part of connect_ms."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class RampFigures:
    """How fast the connections were opened; their first connects, as far as they succeeded."""

    offered_per_s: Amount
    """Connects per second that were due, by --spawn-rate; null if all were due at once."""
    achieved_per_s: Amount
    """Connects per second that succeeded; null with fewer than two."""
    limited_by: Literal["generator", "server"] | None
    """What most of the time went to where the second rate is less than 90 % of the first: delays
    of the generator, or waiting for the server, for --connect-concurrency connections at a time.
    Null if the connections were opened as fast as they were due."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class ConnectionFigures:
    """How connecting went."""

    attempted: Count
    """Connect attempts, reconnects included; of a step, the connections that were asked for."""
    succeeded: Count
    """Connect attempts that led to a subscribed session; of a step, the connections that were open
    when its first code was sent."""
    success_rate: Share
    """succeeded / attempted. From 0 to 1; null without attempts."""
    ever_connected: Count
    """Connections that were subscribed at least once."""
    never_connected: Count
    """Connections that gave up: all their connect attempts failed."""
    ended: Count
    """Connections that the server told not to come again, after a session: by HTTP 204 in answer to
    the request for an event stream."""
    failed: Count
    """Connect attempts that failed."""
    dropped: Count
    """Sessions that the server or the network ended."""
    reconnected: Count
    """Sessions that followed a dropped one of the same connection."""
    replaced: Count
    """Sessions that sseload itself ended during the run so that another one of the same connection
    would follow: by --session-length, in a storm, or by --flap."""
    planned_ends: Count
    """Sessions that the server ended in order and that the client resumed within its retry time,
    where the profile says that this is planned; they are not among those dropped."""
    resumed: Count
    """Sessions in which the server restored the state of the one before (Socket.IO's connection
    state recovery)."""
    over_http2: Count
    """Sessions of event streams that came over HTTP/2; the others came over HTTP/1.1."""
    polling: PollingFigures | None
    """What became of the sessions that began by long polling; null if none did."""
    peak_open: Count
    """The most connections that were subscribed at once."""
    connect_ms: LatencySummary
    """Connect times: TCP, TLS, handshake and subscription, without queueing in the generator."""
    connect_parts: ConnectParts
    """What the connect times consist of, and what is apart from them."""
    ramp: RampFigures | None
    """How fast the connections were opened; null without any, and in a run of several steps."""
    recovery_ms: LatencySummary
    """From a session's drop to the subscription of the next one of the same connection."""
    causes: list[FailureCause]
    """Why connect attempts failed and sessions were dropped, the most common cause first."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class CodeFigures:
    """The outcomes of the codes' requests.

    sent = accepted + rejected + unanswered + unknown, and scheduled = sent + unsent.
    """

    scheduled: Count
    """Codes that were due by the end of the run."""
    sent: Count
    """Codes whose request was written."""
    accepted: Count
    """Codes that the server answered with success."""
    rejected: Count
    """Codes that the server answered otherwise; they are not owed to anybody."""
    unanswered: Count
    """Codes that the server did not answer in time; they are owed nevertheless."""
    unknown: Count
    """Codes whose worker was lost as it sent them, so that it is unknown whether the server got
    them; they are owed only where they arrived, and are not judged."""
    unsent: Count
    """Codes for which no request could be written."""
    unowed: Count
    """Codes that went out while no session was subscribed, so that they were owed to nobody."""
    overlapping: Count
    """Codes that were sent before another one was answered, or after one that was due later: the
    server may take these in any order."""
    schedule_slip_ms: LatencySummary
    """How much later than scheduled codes were sent."""
    ingest_ms: LatencySummary
    """From sending a code to the server's answer."""

    @property
    def judged(self) -> int:
        """Codes whose outcome is known."""
        return self.scheduled - self.unknown


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class ObservationFigures:
    """The messages of an observation, which others sent."""

    seen: Count
    """Messages that any connection got, for the first time during the observation."""
    holes: Count | None
    """Numbers between the lowest and the highest that no connection got; null where the target
    profile does not say that the ids are numbers in a row."""
    skipped: Count
    """Messages that did not count, because their numbers were far from all others."""
    since: Literal["first sighting", "message"]
    """What latencies count from: a message's first sighting, or the time in it."""


def went_out(codes: CodeFigures, observed: ObservationFigures | None) -> int:
    """Return how many codes the server may have broadcast, or how many it was seen to send."""
    return codes.accepted + codes.unanswered if observed is None else observed.seen


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class DeliveryFigures:
    """The outcomes of the pairs of code and session.

    owed = delivered + late + recovered + interrupted + missing.
    """

    owed: Count
    """Pairs of a code and a session that was subscribed when the code was sent."""
    delivered: Count
    """Owed pairs whose first copy arrived within the delivery timeout."""
    late: Count
    """Owed pairs whose first copy arrived after the delivery timeout and before the end."""
    recovered: Count
    """Owed pairs whose first copy arrived in a later session of the connection, where the server
    promises that."""
    interrupted: Count
    """Owed pairs whose session closed before the code arrived and before the timeout."""
    missing: Count
    """Owed pairs whose code never arrived, although the session stayed open, or was open for much
    longer than any delivery of the run took until sseload cut it off."""
    overlooked: Count
    """Missing pairs whose code was seen where the profile does not look, so that nothing is
    known about their delivery."""
    released: Count
    """Pairs that are not owed, because sseload itself cut the session off soon after the code was
    sent, because the code was sent while the session was leaving and arrived nevertheless, or
    because it is unknown whether the code was sent."""
    duplicate: Count
    """Further copies of a code in the same session."""
    replayed: Count
    """Further copies of a code in a later session than the first one, where the server promises
    that reconnects lose nothing."""
    leaked: Count
    """Copies of codes that reached sessions outside the codes' channels."""
    unexpected: Count
    """Codes of this run that arrived at a session that was not owed them."""
    history: Count
    """Codes that were sent before the connection first subscribed, and arrived, where the target
    profile says that the server sends them."""
    out_of_order: Count
    """Codes that arrived after one that was sent when their own request had been answered, in the
    same session."""
    foreign: Count
    """Messages that are not codes of this run; counted, never judged."""
    malformed: Count
    """Frames, packets or messages that cannot be decoded."""
    delivery_rate: Share
    """(delivered + recovered) / owed. From 0 to 1; null if nothing was owed."""

    @property
    def received(self) -> int:
        """Owed pairs that came in time or were recovered."""
        return self.delivered + self.recovered

    @property
    def judged(self) -> int:
        """Owed pairs whose delivery is known."""
        return self.owed - self.overlooked


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class ErrorFigures:
    """What failed.

    failed = failed connects + drops + malformed messages + failed codes + failed upkeep + failed
    changes of channels.
    """

    operations: Count
    """Connect attempts, scheduled codes, upkeep requests and changes of channels, without codes
    whose outcome is unknown."""
    failed: Count
    """Failures of all kinds."""
    upkeep: Count
    """Requests and messages that keep sessions alive."""
    upkeep_failed: Count
    """Those of them that failed."""
    channel_changes: Count
    """Requests to join or to leave a channel during a session."""
    channel_changes_failed: Count
    """Those of them that failed."""
    error_rate: Amount
    """failed / operations. From 0, and above 1 where one operation failed in more than one way;
    null without operations."""
    causes: list[FailureCause]
    """The causes, the most common one first."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class GeneratorFigures:
    """The load generator's own condition, and how accurate its figures are."""

    timestamps: Literal["kernel", "userspace"]
    """What stamped arrivals: the kernel, so that the generator's lag is in no latency, or this
    program after reading."""
    lag_ms: LatencySummary
    """From the kernel's timestamp to the read."""
    stamp_error_ms: LatencySummary
    """By how much the timestamp of a message can be too late at most: of messages that were read
    together with later ones and share the newest one's timestamp, and of all messages where the
    kernel gives none; one value for each such read."""
    in_doubt: Count
    """How many of the delivered may have been late, by less than stamp_error_ms; their latency
    counts as the delivery timeout."""
    imprecise: Count
    """How many of the delivered have a latency that may be too long by 100 ms or more, within
    stamp_error_ms: they waited, with others, in a process that stood still."""
    stall_ms: LatencySummary
    """How much later than asked for the generator's event loops resumed: their own stalls."""
    stalled_ms: Amount
    """The longest of these stalls while codes were in flight, in milliseconds; null if unknown."""
    cpu_percent_max: Amount
    """The highest CPU use of a generator process, 100 for one whole core; null if unknown."""
    waited_percent_max: Percent
    """The highest share of a second, in percent, in which a generator process was ready to run and
    waited for a core, because others used it or a CPU limit applied; null if unknown."""
    rss_mib: Amount
    """Peak resident memory of all generator processes, in MiB; null if unknown."""
    clock_error_ms: Amount
    """How wrong a latency between two machines can be because of their clocks, in milliseconds;
    null if unknown."""
    saturated: bool
    """Whether the generator was too busy for the load it was to make."""


@with_config(FIGURES)
@dataclass(kw_only=True)
class Account:
    """What a run, or one step of it, is judged by."""

    connections: ConnectionFigures
    """How connecting went."""
    codes: CodeFigures
    """The outcomes of the codes' requests."""
    observed: ObservationFigures | None
    """The messages of an observation; null for a run that sends its own codes."""
    deliveries: DeliveryFigures
    """The outcomes of the pairs of code and session."""
    delivery_ms: LatencySummary
    """Delivery latency: from sending a code to its first arrival at a session, of delivered
    pairs."""
    spread_ms: LatencySummary
    """For each code, from its first arrival to its last."""
    channels: list[ChannelFigures]
    """The channels, those with leaks first, then those with most that was not received, then the
    slowest; while the run goes on, only the first of them; empty without channels."""
    leaks: list[LeakExample]
    """The first examples of codes that reached sessions outside their channels, ten at most."""
    resume: ResumeFigures | None
    """What was sent again or later after reconnects; null where the target profile does not say
    that the server promises that."""
    errors: ErrorFigures
    """What failed."""
    generator: GeneratorFigures
    """The load generator's own condition, and how accurate its figures are."""
