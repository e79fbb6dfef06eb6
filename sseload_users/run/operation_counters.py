"""Counts of what a process's users do: connect, lose sessions, keep them alive."""

from __future__ import annotations

from collections.abc import Callable

from sseload_users.core.causes import UPGRADE, Cause, bounded_cause
from sseload_users.core.clock import wall_ns
from sseload_users.core.counters import Counters
from sseload_users.core.formatting import clean, shorten
from sseload_users.core.ledger import Ledger
from sseload_users.core.node_counts import NodeEvent
from sseload_users.core.sessions import Connection
from sseload_users.transports.connect_times import ConnectTimes
from sseload_users.transports.engine_transport import Passage
from sseload_users.transports.server_text import MAX_TEXT, text_beyond


class OperationCounters:
    """Counts the operations of one process until its account is closed; later ones are ignored.

    Args:
        ledger: the account.
        is_closed: returns whether it is closed.
    """

    def __init__(self, ledger: Ledger, is_closed: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._is_closed = is_closed
        self._causes: set[Cause] = set()

    @property
    def counters(self) -> Counters:
        """The counters to add to now."""
        return Counters() if self._is_closed() else self._ledger.tally.counters

    def count_slow_connection(self) -> None:
        """Count a connection that reads slowly on purpose."""
        self.counters.slow += 1

    def count_attempt(self) -> None:
        """Count the beginning of a connect attempt."""
        self.counters.attempted += 1

    def withdraw_attempt(self) -> None:
        """Take back an attempt that sseload itself interrupted."""
        self.counters.attempted -= 1

    def count_at_node(self, node: int | None, event: NodeEvent) -> None:
        """Count what became of a connect attempt, or of a session, for its node, if there is one.

        Args:
            node: index of the node; None in a run without nodes.
            event: what became of it.
        """
        if node is not None:
            self._add_at_node(node, event, 1)

    def count_node_gap(self, node: int | None, down_us: int) -> None:
        """Count the time that a connection to a node was without a session; see `count_at_node`.

        Args:
            node: index of the node; None in a run without nodes.
            down_us: from the end of a session that was not sseload's to the next one, in
                microseconds.
        """
        if node is not None and not self._is_closed():
            self._ledger.tally.gaps_of(node).add(down_us)

    def count_connected(
        self,
        times: ConnectTimes,
        subscribed_ns: int,
        *,
        due_ns: int = 0,
        queue_us: int | None = None,
        compression: str = "",
        http_version: str = "",
    ) -> None:
        """Count an attempt that succeeded.

        Args:
            times: what it took.
            subscribed_ns: when it had succeeded (wall clock, ns).
            due_ns: when the first connect of the connection was due (wall clock, ns); 0 for a
                later one.
            queue_us: how long it waited for its turn, in microseconds; None if it needed none.
            compression: the compression that was negotiated; empty for none.
            http_version: the version of HTTP that carries an event stream; empty for none.
        """
        counters = self.counters
        counters.succeeded += 1
        counters.over_http2 += int(http_version == "2")
        counters.ever_connected += int(due_ns > 0)
        if self._is_closed():
            return
        tally, connect_us, own_us = (
            self._ledger.tally, times.connect_ns // 1000, times.own_ns // 1000,
        )  # fmt: skip
        tally.add_connect(
            connect_us,
            times.tcp_ns // 1000,
            times.tls_ns // 1000 if times.tls_ns else None,
            times.handshake_ns // 1000,
            times.subscription_ns // 1000 if times.subscription_ns else None,
            own_us,
            queue_us,
        )
        tally.second(subscribed_ns).connected += 1
        if due_ns:
            tally.ramp.add(due_ns, subscribed_ns, own_us, connect_us)
        tally.compression[compression or "none"] += 1

    def count_connect_failure(self, operation: str, cause: str, server_text: str = "") -> str:
        """Count an attempt that failed.

        Args:
            operation: the operation that failed.
            cause: why it failed.
            server_text: the server's own words, without secrets.

        Returns:
            The cause under which it is counted.
        """
        self.counters.failed += 1
        if not self._is_closed():
            self._ledger.tally.second(wall_ns()).failed += 1
        return self._count_failure(operation, cause, server_text)

    def count_never_connected(self) -> None:
        """Count a connection that gave up, as all its attempts failed."""
        self.counters.never_connected += 1

    def count_ended(self) -> None:
        """Count a connection that the server told not to come again, instead of its attempt."""
        self.withdraw_attempt()
        self.counters.ended += 1

    def count_reconnect(self, down_us: int) -> None:
        """Count a session that follows one that was dropped.

        Args:
            down_us: time without a session, in microseconds.
        """
        self.counters.reconnected += 1
        if not self._is_closed():
            self._ledger.tally.recovery.add(down_us)

    def count_replaced(self) -> None:
        """Count a session that sseload ended and that another one follows."""
        self.counters.replaced += 1

    def count_passage(
        self, passage: Passage, cause: str = "", server_text: str = "", *, compression: str = ""
    ) -> None:
        """Count what became of a session that began by long polling, or that was resumed.

        Args:
            passage: what became of it.
            cause: why it could not go over to WebSocket, if that failed.
            server_text: the server's own words, without secrets.
            compression: the compression that was negotiated where it went; empty for none.
        """
        counters = self.counters
        match passage:
            case "polling":
                counters.polled += 1
            case "upgraded":
                counters.upgraded += 1
                if compression and not self._is_closed():
                    agreed = self._ledger.tally.compression
                    agreed["none"] -= 1
                    agreed[compression] += 1
            case "resumed":
                counters.resumed += 1
            case "failed":
                counters.upgrade_failed += 1
                cause = self.bounded(UPGRADE, cause)
                if not self._is_closed():
                    text = reported_text(cause, server_text)
                    self._ledger.tally.note_cause(UPGRADE, cause, text)

    def count_storm_reconnect(self, down_us: int, own_us: int) -> None:
        """Count a session that follows one which a storm ended.

        Args:
            down_us: time since the storm, in microseconds.
            own_us: how much of it was a delay of this process.
        """
        if not self._is_closed():
            self._ledger.tally.storm.add(down_us)
            self._ledger.tally.storm_own.add(own_us)

    def count_storm_failure(self, after_us: int) -> None:
        """Note that a failed attempt was one to return after a storm.

        Args:
            after_us: time since the storm, in microseconds.
        """
        if not self._is_closed():
            self._ledger.tally.herd.add(after_us)

    def count_failed_return(self, after_us: int) -> None:
        """Note that a failed attempt was one to return after a drop.

        Args:
            after_us: time since the drop, in microseconds.
        """
        if not self._is_closed():
            self._ledger.tally.failed_returns.add(after_us)

    def count_flap_reconnect(self, down_us: int) -> None:
        """Count a session that follows one whose connection flapped.

        Args:
            down_us: time since it was lost, in microseconds.
        """
        if not self._is_closed():
            self._ledger.tally.flap.add(down_us)

    def count_planned_end(self, connection: Connection, at_ns: int) -> None:
        """Count a session that the server ended as planned; the connection is away from then on.

        Args:
            connection: whose session it was.
            at_ns: when it ended (wall clock, ns).
        """
        connection.away_ns = at_ns
        self.counters.planned_ends += 1
        if not self._is_closed():
            self._ledger.tally.second(at_ns).planned += 1
        self.count_at_node(connection.node, "planned")

    def withdraw_planned_end(self, connection: Connection) -> None:
        """Take back a planned end: the client could not return at once, so it was a drop."""
        connection.away_ns = None
        self.counters.planned_ends -= 1
        if not self._is_closed():
            # Not when it ended: what is counted as a drop now has ended then.
            self._ledger.tally.second(wall_ns()).planned -= 1
        self._add_at_node(connection.node, "planned", -1)

    def drop_absent(self, before_ns: int) -> None:
        """Count as dropped the connections that are still away after a planned end.

        Args:
            before_ns: when it was, at the latest (wall clock, ns).
        """
        for each in self._ledger.connections:
            if each.away_ns is not None and each.away_ns < before_ns:
                self.withdraw_planned_end(each)
                cause = self.count_drop("away at the end of the run")
                self.count_at_node(each.node, "dropped")
                each.drops += 1
                each.last_cause = f"session: {cause}"

    def count_drop(self, cause: str, server_text: str = "") -> str:
        """Count a session that the server or the network ended; see `count_connect_failure`."""
        self.counters.dropped += 1
        if not self._is_closed():
            self._ledger.tally.second(wall_ns()).dropped += 1
        return self._count_failure("session", cause, server_text)

    def count_upkeep(self, cause: str | None, server_text: str = "") -> None:
        """Count a request that keeps a session alive.

        Args:
            cause: why it failed; None if it did not.
            server_text: the server's own words, without secrets.
        """
        self.counters.upkeep += 1
        if cause is not None:
            self.counters.upkeep_failed += 1
            self._count_failure("upkeep", cause, server_text)

    def count_channel_change(self, cause: str | None, server_text: str = "") -> None:
        """Count a request of a connection to join or to leave a channel.

        Args:
            cause: why it failed; None if it did not.
            server_text: the server's own words, without secrets.
        """
        self.counters.channel_changes += 1
        if cause is not None:
            self.counters.channel_changes_failed += 1
            self._count_failure("channel", cause, server_text)

    def count_malformed(self, cause: str) -> None:
        """Count a frame, packet or message that cannot be decoded."""
        self.counters.malformed += 1
        self._count_failure("message", cause)

    def count_hook_error(self) -> None:
        """Count an exception that a hook of a user class raised."""
        self.counters.hook_errors += 1

    def count_renewed_login(self) -> None:
        """Count a login that is repeated because the server refused an earlier one."""
        self.counters.logins_renewed += 1

    def bounded(self, operation: str, cause: str) -> str:
        """Return the cause under which a failure is counted; the number of causes is bounded."""
        # Causes can contain the server's words; Locust keeps and shows each as it is.
        found = bounded_cause((operation, clean(cause)), self._causes)
        self._causes.add(found)
        return found[1]

    def _add_at_node(self, node: int | None, event: NodeEvent, many: int) -> None:
        if node is not None and not self._is_closed():
            self._ledger.tally.count_at_node(node, event, wall_ns(), many)

    def _count_failure(self, operation: str, cause: str, server_text: str = "") -> str:
        cause = self.bounded(operation, cause)
        if not self._is_closed():
            text = reported_text(cause, server_text)
            self._ledger.tally.count_failure(operation, cause, wall_ns(), text)
        return cause


def reported_text(cause: str, server_text: str) -> str:
    """Return the server's words as the report has them: empty if the cause says as much."""
    return text_beyond(cause, shorten(clean(server_text).strip(), MAX_TEXT))
