"""The figures of a run's nodes, as the report and its tables have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, with_config

from sseload_users.core.figure_types import FIGURES, Amount, Count, LatencySummary, Name


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class NodeOutage:
    """A time in which most of a node's sessions were away.

    It or the network ended at least half of them within a few seconds.
    """

    from_s: Annotated[float, Field(ge=0)]
    """When the first of them ended, in seconds since the run began, rounded down to a second of
    the clock."""
    to_s: Amount
    """When half of them were back, rounded up; null if they never were."""


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class NodeFigures:
    """One node: what became of its connections."""

    node: Count
    """Its number, from 1, in the order of --nodes."""
    url: Name
    """The node's URL."""
    attempted: Count
    """Connect attempts that succeeded or failed, reconnects included."""
    succeeded: Count
    """Connect attempts that led to a subscribed session."""
    failed: Count
    """Connect attempts that failed."""
    dropped: Count
    """Sessions that the server or the network ended, without planned ends."""
    planned_ends: Count
    """Sessions that it ended in order and that the client followed up within its retry time,
    where the profile says that this is planned."""
    returned: Count
    """How many times a connection was subscribed again after such an end or a drop."""
    gap_p50_ms: Amount
    """Median time between the two sessions, in milliseconds; null if none was subscribed again."""
    gap_max_ms: Amount
    """The longest time between the two sessions, in milliseconds; null if none was subscribed
    again."""
    codes: Count
    """Codes that were sent to it."""
    diverted: Count
    """Codes whose turn it was, and which were sent to another node, as it accepted no connection
    and the profile says that its sessions end as planned."""
    owed: Count
    """Pairs of a code and a session at this node that was subscribed when the code was sent. The
    next five add up to it."""
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
    outages: list[NodeOutage]
    """When most of its sessions were away, in order."""

    @property
    def has_gaps(self) -> bool:
        """Whether sessions ended as planned or returned, or codes were sent to other nodes."""
        return bool(self.planned_ends or self.returned or self.diverted)


@with_config(FIGURES)
@dataclass(slots=True, kw_only=True)
class NodePairFigures:
    """What sessions at one node received of the codes that were sent to one node.

    owed = delivered + late + recovered + interrupted + missing.
    """

    sent_to: Name
    """URL of the node that the codes were sent to."""
    received_at: Name
    """URL of the node that the sessions were at."""
    owed: Count
    """Pairs of such a code and such a session that was subscribed when the code was sent."""
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
