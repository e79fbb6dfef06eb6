"""report.json, schema 1, as types: what is built, rendered, written and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, with_config

from sseload_users.core.figure_types import (
    FIGURES,
    Amount,
    Count,
    LatencySummary,
    Name,
    Percent,
    Timestamp,
)
from sseload_users.core.figures import Account
from sseload_users.core.node_figures import NodeFigures, NodePairFigures
from sseload_users.core.run_figures import (
    FlapRecovery,
    HealthFigures,
    PaceFigures,
    SearchResult,
    StormRecovery,
    VitalsSeries,
)
from sseload_users.verdict.reasons import StepReport, Verdict
from sseload_users.verdict.symptoms import Finding

#: The version of the report's schema.
SCHEMA = 1

#: What became of a code's request.
CodeStatus: TypeAlias = Literal["accepted", "seen", "rejected", "unanswered", "unknown", "unsent"]


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class RunInfo:
    """The run itself."""

    id: Name
    """The run's identity, which its codes carry."""
    started_at: Timestamp
    """When it started. RFC 3339, in UTC, ending in Z."""
    finished_at: Timestamp
    """When its last figure was taken. RFC 3339, in UTC, ending in Z."""
    target: str
    """The server under test: scheme, host and port."""
    transport: Name
    """How codes reached the listeners: websocket, socketio or sse."""
    ingest: Name
    """How codes were handed in: a request's method and path, or a message over a connection."""
    workers: Annotated[int, Field(ge=1)]
    """Processes that held the connections."""
    options: Mapping[str, Any]
    """The options of the run, by name; no secrets."""
    versions: Mapping[str, str]
    """The versions of the software, by name: sseload, locust, python and more."""
    complete: bool
    """Whether the run went to its end and every worker's account is included."""
    notes: list[str]
    """What else one should know about the run, each a sentence; of an incomplete run, the reasons
    come first."""
    reasons: Count
    """How many of the notes, from the first on, say why the run is incomplete."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class Phase:
    """One phase of the run."""

    name: Name
    """connect, settle, broadcast, drain, disconnect and so on."""
    started_at: Timestamp
    """When it began. RFC 3339, in UTC, ending in Z."""
    seconds: Annotated[float, Field(ge=0)]
    """How long it took, in seconds."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class CodeRow:
    """One code.

    owed = delivered + late + recovered + interrupted + missing.
    """

    seq: Annotated[int, Field(ge=1)]
    """Its sequence number in the run."""
    id: str
    """What identifies it, in an observation; empty in a run that sends its own codes."""
    sent_at: Timestamp | None
    """When its request was written; null if it was not sent. RFC 3339, in UTC, ending in Z."""
    status: CodeStatus
    """The outcome of its request: answered with 2xx, answered otherwise, not answered in time, or
    never written. In an observation, which sends nothing: seen."""
    channel: str
    """The channel that it was sent to; empty in a run without channels."""
    payload_bytes: Count | None
    """Bytes to which the payload that carries it was padded; null without padding."""
    owed: Count
    """Sessions that were subscribed when it was sent."""
    delivered: Count
    """Owed sessions whose first copy arrived within the delivery timeout."""
    late: Count
    """Owed sessions whose first copy arrived after the delivery timeout and before the end."""
    recovered: Count
    """Owed sessions whose first copy arrived after a reconnect, where the server promises that."""
    interrupted: Count
    """Owed sessions that closed before the code arrived and before the timeout."""
    missing: Count
    """Owed sessions that stayed open while the code never arrived."""
    duplicate: Count
    """Further copies of it in the same session."""
    leaked: Count
    """Copies that reached sessions outside its channel."""
    first_ms: float | None
    """Delivery latency of its first arrival, in milliseconds; null without arrivals."""
    p50_ms: float | None
    """Median of its delivery latencies, in milliseconds; null without arrivals."""
    p95_ms: float | None
    """95th percentile of its delivery latencies, in milliseconds; null without arrivals."""
    p99_ms: float | None
    """99th percentile of its delivery latencies, in milliseconds; null without arrivals."""
    last_ms: float | None
    """Delivery latency of its last arrival, in milliseconds; null without arrivals."""

    @property
    def received(self) -> int:
        """Owed sessions that received it in time or recovered it."""
        return self.delivered + self.recovered


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class CodeReach:
    """How soon one code reached the sessions that it was owed to."""

    seq: Annotated[int, Field(ge=1)]
    """Its sequence number in the run."""
    owed: Count
    """Sessions that were subscribed when it was sent."""
    delivery_ms: LatencySummary
    """Delivery latency of what was delivered of it."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class TimelinePoint:
    """One interval of the run."""

    t: Annotated[float, Field(ge=0)]
    """Its end, in seconds since the run started."""
    open: Count
    """Connections that were subscribed at its end."""
    connecting: Count
    """Connections that were connecting at its end."""
    connected: Count
    """Connect attempts that succeeded in it."""
    failed: Count
    """Connect attempts that failed in it."""
    dropped: Count
    """Sessions that the server or the network ended in it."""
    ended: Count | None
    """The same with planned ends; a planned end that is found to be a drop later counts here in the
    interval in which the session ended. Null in an older report."""
    sent: Count
    """Codes sent in it."""
    received: Count
    """Codes received in it, over all connections."""
    p50_ms: float | None
    """Median delivery latency of what was received in it, in milliseconds; null if nothing was."""
    p90_ms: float | None
    """90th percentile of the delivery latency of what was received in it, in milliseconds; null if
    nothing was."""
    p95_ms: float | None
    """95th percentile of the delivery latency of what was received in it, in milliseconds; null if
    nothing was."""
    p99_ms: float | None
    """99th percentile of the delivery latency of what was received in it, in milliseconds; null if
    nothing was."""
    max_ms: float | None
    """The highest delivery latency of what was received in it, in milliseconds; null if nothing
    was."""
    latencies: list[Count]
    """How many of its delivery latencies were in which range: its lowest value in microseconds, the
    number, the next range's lowest value and so on. Each power of two has two ranges, the second
    of which begins at one and a half times it."""
    errors: Count
    """Failed operations in it."""
    lag_p99_ms: float | None
    """99th percentile of the generator lag in it, in milliseconds; null if nothing was read."""
    stall_ms: Amount
    """The longest that a generator process stood still, of what ended in it or lasted through it,
    in milliseconds; null in an older report."""
    cpu_percent: Amount
    """CPU use of the busiest generator process in it, 100 for one whole core; null if unknown."""
    waited_percent: Percent
    """The longest that a generator process waited for a core in it, in percent of a second; null
    if unknown."""
    rss_mib: Amount
    """Resident memory of all generator processes in it, in MiB; null if unknown."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class CompressionFigures:
    """What was negotiated about compression, and what it saved."""

    negotiated: Mapping[Name, Count]
    """How many sessions have which compression: permessage-deflate with its parameters, the
    content coding of an event stream, or none. Together they are all that were subscribed."""
    wire_bytes: Count
    """Bytes of compressed messages and streams, as they came."""
    inflated_bytes: Count
    """Bytes that they became."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class AddressFigures:
    """The connections to one address of a name.

    With reconnects, a connection of the run is several TCP connections. Those of a publisher
    that has a connection of its own count as well; single HTTP requests do not.
    """

    name: Name
    """The name and port that were connected to."""
    address: Name
    """One of the name's IP addresses; or the proxy's name and port."""
    proxy: bool
    """Whether this is a proxy, through which the name was reached."""
    connections: Count
    """TCP connections that were made to it."""
    failed: Count
    """Connections that it did not accept; they tried the name's next address."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class LossMap:
    """Which connections of the sample lacked which codes.

    Rows are groups of connections, columns are groups of codes in their order. Connections that
    lacked the same codes are side by side.
    """

    connections: list[Count]
    """The number of connections in each row."""
    codes: list[Count]
    """The number of codes in each column."""
    first_codes: list[Count]
    """The first code of each column."""
    owed: list[list[Count]]
    """For each row, for each column: pairs that were owed."""
    lost: list[list[Count]]
    """The same of those that did not come in time."""


@with_config(FIGURES)
@dataclass(kw_only=True)
class _ShareFigures:
    """The figures of one worker or region."""

    attempted: Count
    """Connect attempts, reconnects included."""
    succeeded: Count
    """Connect attempts that led to a subscribed session."""
    failed: Count
    """Connect attempts that failed."""
    dropped: Count
    """Sessions that the server or the network ended."""
    owed: Count
    """Pairs of a code and a session that was subscribed when it was sent; the sum of the next
    five."""
    delivered: Count
    """Owed pairs whose first copy arrived in time."""
    late: Count
    """Owed pairs whose first copy arrived after the delivery timeout."""
    recovered: Count
    """Owed pairs whose first copy arrived after a reconnect, where the server promises that."""
    interrupted: Count
    """Owed pairs whose session ended before the code arrived."""
    missing: Count
    """Owed pairs whose session stayed open while the code never arrived."""
    leaked: Count
    """Copies of codes that reached sessions outside the codes' channels."""
    connect_ms: LatencySummary
    """How long successful connects took."""
    delivery_ms: LatencySummary
    """Delivery latency of what was delivered."""
    clock_error_ms: Amount
    """How wrong its times can be on the master's clock, in milliseconds; 0 for the same host, null
    if unknown."""
    cpu_percent: Amount
    """The highest CPU use of a process, 100 for one whole core; null if unknown."""
    waited_percent: Percent
    """The highest share of a second, in percent, in which a process waited for a core; null if
    unknown."""
    rss_mib: Amount
    """Peak resident memory, in MiB; null if unknown."""


@with_config(FIGURES)
@dataclass(kw_only=True)
class _WorkerName:
    """The fields that report.json has first of a worker."""

    name: Name
    """Its number, which it keeps as long as the master runs, and its host; local without
    workers."""
    region: str
    """Its --region; empty without one."""
    lost: bool
    """Whether it went away without closing its account: what came after its last report is in no
    figure."""


@with_config(FIGURES)
@dataclass(kw_only=True)
class _RegionName:
    """The fields that report.json has first of a region."""

    name: str
    """The region's name; empty for workers without one."""
    workers: Annotated[int, Field(ge=1)]
    """How many workers are there."""
    lost: Count
    """How many of them went away without closing their accounts."""


# Bases are in this order so that the fields are in the order of report.json.
@with_config(FIGURES)
@dataclass(kw_only=True)
class WorkerShare(_ShareFigures, _WorkerName):
    """One worker's share of the run."""


@with_config(FIGURES)
@dataclass(kw_only=True)
class RegionShare(_ShareFigures, _RegionName):
    """One region's share of the run."""


@with_config(FIGURES)
@dataclass(kw_only=True)
class _Head:
    """The fields that report.json has first."""

    schema: Annotated[int, Field(json_schema_extra={"const": SCHEMA})]
    """The version of this schema."""
    run: RunInfo
    """The run itself."""
    phases: list[Phase]
    """The run's phases, in order."""


@with_config(FIGURES)
@dataclass(kw_only=True)
class Report(Account, _Head):
    """The account of one run.

    Times are in the units that the fields' names or descriptions say; counts are exact.
    """

    received_per_connection: Mapping[Annotated[str, Field(pattern="^(0|[1-9][0-9]*)$")], Count]
    """How many connections received how many codes, in time or recovered: the number of codes (as a
    text) to the number of connections."""
    per_code: list[CodeRow]
    """Every code, in order of sequence."""
    reach: list[CodeReach]
    """How soon the latest codes that were owed reached their sessions: at most five of them, in
    order of sequence."""
    timeline: list[TimelinePoint]
    """The run over time, in order."""
    compression: CompressionFigures
    """What was negotiated about compression, and what it saved."""
    storm: StormRecovery | None
    """How soon the connections were back that --storm-after ended all at once; null without a
    storm."""
    flap: FlapRecovery | None
    """How soon the connections were back that --flap lost one by one; null without it."""
    vitals: list[VitalsSeries]
    """The server's condition, as far as it was watched."""
    paces: list[PaceFigures]
    """Connections that read slowly on purpose (--slow-share), and the others; empty without
    such."""
    health: HealthFigures | None
    """The target's health checks during the run; null where --watch-health was not given."""
    addresses: list[AddressFigures]
    """The addresses that connections were made to."""
    nodes: list[NodeFigures]
    """The server's nodes, in the order of --nodes; empty without that option."""
    node_pairs: list[NodePairFigures]
    """What the sessions at each node received of the codes that were sent to each node; empty
    without --nodes."""
    workers: list[WorkerShare]
    """Each worker's share of the run."""
    regions: list[RegionShare]
    """The same by region, in the order of their names; empty where no worker names one."""
    steps: list[StepReport]
    """The steps of a ladder or a search, in order; empty for a run of one step."""
    search: SearchResult | None
    """What a search found; null for other runs."""
    losses: LossMap | None
    """Which connections of the sample lacked which codes; null if the sample lacked none."""
    diagnosis: list[Finding]
    """Patterns that explain what went wrong."""
    verdict: Verdict
    """The grade of the run, and why."""
