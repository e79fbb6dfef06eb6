"""The account of one connection, as a line of connections.csv."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sseload_users.core.sessions import Connection


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One line of connections.csv.

    Attributes:
        connection: number of the connection, from 1; unique within its worker, and within the
            run once the leader has numbered all rows.
        worker: name of the worker that held it; "local" without workers; empty on the worker.
        username: user it connected as; empty if the target has no user names.
        connected: whether it was ever subscribed.
        connect_ms: duration of its first successful connect; None if there was none.
        sessions: number of its sessions.
        drops: number of sessions that the server or the network ended.
        channels: channels that it has subscribed to, separated by commas; empty without channels.
        node: number of the node that it connects to, from 1; None in a run without nodes.
        owed: deliveries owed to it: the sum of the next five.
        delivered: deliveries that came in time.
        late: deliveries that came after the delivery timeout.
        recovered: deliveries that came in a later session than the one, or the gap after it, in
            which their codes were sent, if the server promises that.
        missing: deliveries that never came although the session stayed up.
        interrupted: deliveries that the session's end prevented.
        duplicate: further copies of codes that it was owed.
        last_cause: cause of its last failure or drop; empty if there was none.
    """

    connection: int
    worker: str
    username: str
    connected: bool
    connect_ms: float | None
    sessions: int
    drops: int
    channels: str
    node: int | None
    owed: int
    delivered: int
    late: int
    recovered: int
    missing: int
    interrupted: int
    duplicate: int
    last_cause: str


def connection_row(connection: Connection) -> ConnectionRow:
    """Return the row of a connection, without the name of its worker."""
    connect_us = connection.connect_us
    return ConnectionRow(
        connection=connection.number,
        worker="",  # the leader knows what each worker is called
        username=connection.username,
        connected=connection.sessions > 0,
        connect_ms=None if connect_us is None else connect_us / 1000,
        sessions=connection.sessions,
        drops=connection.drops,
        channels=", ".join(connection.channels),
        node=None if connection.node is None else connection.node + 1,
        owed=connection.owed,
        delivered=connection.delivered,
        late=connection.late,
        recovered=connection.recovered,
        missing=connection.missing,
        interrupted=connection.interrupted,
        duplicate=connection.duplicate,
        last_cause=connection.last_cause,
    )


def received_per_connection(connections: Iterable[Connection]) -> Counter[int]:
    """Return the number of connections, of those that ever connected, by codes received.

    Those are the codes that came in time or were recovered.
    """
    return Counter(each.delivered + each.recovered for each in connections if each.sessions)
