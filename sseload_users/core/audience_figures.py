"""The figures of channels, of leaks between them, and of what was recovered after gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, with_config

from sseload_users.core.figure_types import FIGURES, Count, LatencySummary, Name


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class ChannelFigures:
    """What became of the codes of one channel.

    owed = delivered + late + recovered + interrupted + missing.
    """

    name: Name
    """The channel's name."""
    connections: Count
    """Connections that subscribe to it, once the run has all its connections and before any of them
    moves."""
    codes: Count
    """Codes that were sent to it."""
    owed: Count
    """Pairs of one of its codes and a session that was subscribed when the code was sent."""
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
    leaked: Count
    """Copies of its codes that reached sessions outside it."""
    p50: float | None
    """Median delivery latency, in milliseconds; null where delivered is 0."""
    p95: float | None
    """95th percentile of the delivery latency, in milliseconds; null where delivered is 0."""
    p99: float | None
    """99th percentile of the delivery latency, in milliseconds; null where delivered is 0."""
    max: float | None
    """Highest delivery latency, in milliseconds; null where delivered is 0."""

    @property
    def received(self) -> int:
        """Owed pairs that came in time or were recovered."""
        return self.delivered + self.recovered


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class LeakExample:
    """A code that reached a session outside its channel."""

    code: Annotated[int, Field(ge=1)]
    """The code's sequence number."""
    channel: Name
    """The channel that it was sent to."""
    worker: str
    """The worker that holds the connection."""
    connection: Annotated[int, Field(ge=1)]
    """The connection that received it: its number in connections.csv, or within its worker if that
    file was not asked for."""
    username: str
    """The user that the connection connected as; empty if the target has no user names."""
    own_channels: list[str]
    """The channels that its session belonged to when the code was sent, three at most."""
    had_left: bool
    """Whether it had belonged to the code's channel before, and left it."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class ResumeFigures:
    """What the server sent again or later, where it promises that reconnects lose nothing."""

    guarantee: Literal["resume"]
    """What the target profile says that the server promises."""
    recovered: Count
    """Owed pairs whose first copy arrived in a later session of the connection than the one, or
    the gap after it, in which the code was sent."""
    replayed: Count
    """Further copies in a later session than the first one."""
    recovery_ms: LatencySummary
    """From a connection's return to the arrival of the last code that it recovered, for each return
    after which it recovered any."""
