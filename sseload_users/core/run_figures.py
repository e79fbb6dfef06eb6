"""The figures that only a whole run has: what it did beside its codes, and what it found.

As in `figures`, annotations and the docstrings below the fields are the report's JSON Schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, with_config

from sseload_users.core.figure_types import FIGURES, Amount, Count, LatencySummary, Name, Timestamp
from sseload_users.core.figures import FailureCause
from sseload_users.core.loss_kind import LossKind


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class PaceFigures:
    """Connections that read slowly on purpose, or the others of the same run.

    owed = delivered + late + recovered + interrupted + missing.
    """

    slow: bool
    """Whether these read slowly."""
    owed: Count
    """Pairs of a code and a session that was subscribed when the code was sent."""
    delivered: Count
    """Owed pairs whose first copy arrived within the delivery timeout."""
    late: Count
    """Owed pairs whose first copy arrived after the delivery timeout and before the end."""
    recovered: Count
    """Owed pairs whose first copy arrived in a later session of the connection."""
    interrupted: Count
    """Owed pairs whose session closed before the code arrived and before the timeout."""
    missing: Count
    """Owed pairs whose code never arrived."""
    delivery_ms: LatencySummary
    """Delivery latency of what was delivered."""

    @property
    def received(self) -> int:
        """Owed pairs that came in time or were recovered."""
        return self.delivered + self.recovered


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class StormRecovery:
    """How soon the connections were back that --storm-after ended all at once."""

    started_at: list[Timestamp]
    """When each storm began; there is one in each step. RFC 3339, in UTC, ending in Z."""
    ended: Count
    """Sessions that were ended."""
    back: Count
    """How many of their connections were subscribed again by the end of the run."""
    back_50_s: Amount
    """Seconds from a storm's beginning until 50 % of them were subscribed again; null if so many
    never were."""
    back_95_s: Amount
    """Seconds from a storm's beginning until 95 % of them were subscribed again; null if so many
    never were."""
    back_100_s: Amount
    """Seconds from a storm's beginning until 100 % of them were subscribed again; null if so many
    never were."""
    own_ms: LatencySummary
    """How much of the time of each connection that was back was a delay of the generator."""
    limited_by: Literal["generator", "server"] | None
    """What most of the time beyond --storm-jitter went to. If it is the generator, the times say
    how fast that is, and the server may be faster. Null if no connection was back."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class FlapRecovery:
    """How soon the connections were back that --flap lost one by one."""

    how: LossKind
    """What the server noticed of it."""
    ended: Count
    """Connections that were lost; each time counts."""
    back: Count
    """How many times the connection was subscribed again by the end of the run."""
    back_ms: LatencySummary
    """From the loss to the next subscription of the same connection."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class HealthFigures:
    """The target's health checks during the run, once a second (--watch-health)."""

    checks: Count
    """Health checks that were made."""
    failed: Count
    """Those that got no response, or not the one of a healthy server."""
    causes: list[FailureCause]
    """Why they failed, the most common cause first; the operation is health."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class VitalsSeries:
    """One series of figures on the server's condition."""

    source: Literal["process", "metrics", "health"]
    """Where it was read: process (--watch-process), metrics (--watch-metrics) or health
    (--watch-health)."""
    name: Name
    """cpu, rss, threads, open files, health, or the metric's own name."""
    unit: str
    """%, of one core; MiB; ms; or empty."""
    values: list[float | None]
    """A figure for each interval of the timeline, the highest in it; null where there was none."""


@with_config(FIGURES)
@dataclass(frozen=True, slots=True)
class Probe:
    """One size that a search tried."""

    size: Annotated[int, Field(ge=1)]
    """Connections, or codes per second."""
    held: bool
    """Whether the objective was met."""
    broken: list[str]
    """The conditions that were not met, in words."""
    cause: str
    """The cause of most failures, "handshake: HTTP 503", where failures broke the objective; empty
    otherwise."""
    saturated: bool
    """Whether the generator was at its own limit, so that the probe proves nothing."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class SearchResult:
    """What a search found."""

    over: Literal["connections", "rate"]
    """What was searched."""
    objective: list[str]
    """The conditions that had to be met, in words: "delivery >= 99.9 %"."""
    largest: Count | None
    """The answer; null without one, because the generator reached its limit before the server or
    the run ended too early."""
    held: Count
    """The largest size that held."""
    broke_at: Annotated[int, Field(ge=1)] | None
    """The smallest size that did not; null if all did."""
    limited_by: Literal["server", "generator", "limit", "end"]
    """What ended the search: the server's limit; the generator's, which came first; the largest
    size to try; or the end of the run, before there was an answer."""
    first_broken: list[str]
    """What broke first, just above the answer, in words."""
    cause: str
    """The cause of most failures, "handshake: HTTP 503", where failures broke the objective; empty
    otherwise."""
    probes: list[Probe]
    """All sizes that were tried, in order."""
