"""The base of all push connections, and the state that a server's parts share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sseload_users.core.clock import wall_ns
from sseload_users.demo.broadcast import Subscription
from sseload_users.demo.client_socket import PushSocket, SlowClientError
from sseload_users.demo.faults import FaultPlan
from sseload_users.demo.hub import Hub
from sseload_users.demo.messages import Format
from sseload_users.demo.options import Settings
from sseload_users.demo.record import Recorder
from sseload_users.demo.subscriptions import EVERYBODY

#: Close code of a connection whose user has connected again.
_REPLACED = 4409


@dataclass(slots=True)
class Counts:
    """What is counted across all nodes, and not from zero when one restarts.

    Attributes:
        handshakes: handshakes so far; the next ordinal is one more.
        listeners: connections that have ever subscribed.
        ingests: codes that were handed in.
    """

    handshakes: int = 0
    listeners: int = 0
    ingests: int = 0


@dataclass(eq=False, slots=True)
class Context:
    """The state that the parts of one node share, from its start to its stop.

    Attributes:
        kill: kill the process; takes the reason for the record.
        counts: of all nodes.
        node: the node's number, from 1.
        open: the push connections that have not ended.
    """

    settings: Settings
    plan: FaultPlan
    recorder: Recorder
    hub: Hub
    kill: Callable[[str], None]
    counts: Counts
    node: int
    open: dict[PushConnection, None] = field(default_factory=dict)

    def user_id(self, username: str) -> int | None:
        """Return a user's number, from 1; None if unknown."""
        users = self.settings.users
        return users.index(username) + 1 if username in users else None


class PushConnection:
    """A connection that codes are pushed to, from its answered handshake on.

    Args:
        context: the server's shared state.
        socket: the client's.
        ordinal: its number in the record.
        username: as given by the client.

    Attributes:
        username: as given by the client.
        silent: it stays open but gets no more codes.
        drop_due: it is dropped after ``--drop-after`` codes.
    """

    #: The transport's name in the record.
    transport = ""

    def __init__(self, context: Context, socket: PushSocket, ordinal: int, username: str) -> None:
        self.context = context
        self.socket = socket
        self.ordinal = ordinal
        self.username = username
        self.silent = False
        self.drop_due = False
        self._listens = False
        self._by = ""
        self._code: int | None = None
        self._subscriptions: dict[str, Subscription] = {}
        # Joins that are confirmed and not carried out, by channel.
        self._joining: dict[str, asyncio.TimerHandle] = {}
        self._changes = 0
        context.open[self] = None
        context.recorder.write(
            "opened",
            connection=ordinal,
            node=context.node,
            transport=self.transport,
            username=username,
            ns=wall_ns(),
        )
        socket.on_end = self._on_end

    def subscribe(
        self,
        form: Format,
        namespace: str = "",
        *,
        channels: tuple[str, ...] = (EVERYBODY,),
        after: int | None = None,
    ) -> None:
        """Subscribe to channels from now on; see ``Hub.subscribe``."""
        if not self._listens:
            self._listens = True
            self.context.counts.listeners += 1
            self.drop_due = self.context.plan.drops(self.context.counts.listeners)
        self._subscriptions[namespace] = self.context.hub.subscribe(
            self, form, namespace, channels=channels, after=after
        )

    def unsubscribe(self, namespace: str = "") -> None:
        """End the subscription of a namespace."""
        subscription = self._subscriptions.pop(namespace, None)
        if subscription is not None:
            self.context.hub.unsubscribe(subscription)

    def join_channel(self, form: Format, channel: str) -> None:
        """Join a further channel, as far as the faults let it; the caller confirms it."""
        self._changes += 1
        plan, change = self.context.plan, (self._changes, self.ordinal)
        if plan.ignores_join(*change):
            self._record_change(channel, "ignored", joins=True)
        elif plan.joins_late(*change):
            self._record_change(channel, "late", joins=True)
            self._joining[channel] = asyncio.get_running_loop().call_later(
                plan.faults.late_join_seconds, self._join_now, form, channel
            )
        else:
            self._record_change(channel, joins=True)
            self._join_now(form, channel)

    def leave_channel(self, channel: str) -> None:
        """Leave a channel, unless a fault prevents that; the caller confirms it."""
        self._changes += 1
        if self.context.plan.ignores_leave(self._changes, self.ordinal):
            self._record_change(channel, "ignored", joins=False)
            return
        self._record_change(channel, joins=False)
        if timer := self._joining.pop(channel, None):
            timer.cancel()
        self._leave_now(channel)

    def _leave_now(self, channel: str) -> None:
        for namespace, subscription in list(self._subscriptions.items()):
            if subscription.channels == (channel,):
                del self._subscriptions[namespace]
            if channel in subscription.channels:
                self.context.hub.leave(subscription, channel)

    def _join_now(self, form: Format, channel: str) -> None:
        self._joining.pop(channel, None)
        # It may be in the channel still, as an earlier leave was not carried out.
        self._leave_now(channel)
        self.subscribe(form, channel, channels=(channel,))

    def _record_change(self, channel: str, fault: str = "", *, joins: bool) -> None:
        self.context.recorder.write(
            "change",
            connection=self.ordinal,
            channel=channel,
            joins=joins,
            ns=wall_ns(),
            fault=fault,
        )

    def drop(self) -> None:
        """End or silence the connection, as ``--drop-how`` says."""
        how = self.context.plan.faults.drop_how
        self._record_drop(how)
        if how == "silent":
            self.silent = True
        elif how == "reset":
            self._reset()
        else:
            self.close(self.context.plan.faults.drop_code)

    def leave(self, how: Literal["close", "reset"], code: int) -> None:
        """End the connection because the node stops for a restart.

        Args:
            how: in order, or by a TCP reset.
            code: the close code, if it is closed in order.
        """
        self._record_drop("restart")
        if how == "reset":
            self._reset()
        else:
            self.close(code)

    def end_others(self) -> None:
        """End all other connections of this user."""
        for each in list(self.context.open):
            if each is not self and each.username == self.username:
                each._record_drop("replaced")  # noqa: SLF001
                each.close(_REPLACED)

    def close(self, code: int) -> None:
        """Close in order, with a close code if the transport has one."""
        raise NotImplementedError

    def stop(self) -> None:
        """Cancel all timers; called once, when the connection has ended."""

    def mark_ended(self, by: str, code: int | None = None) -> None:
        """Record who ended the connection, first call only, and end its subscriptions.

        Args:
            by: "client", "server" or "network".
            code: the WebSocket close code, if any.
        """
        if not self._by:
            self._by, self._code = by, code
        for namespace in list(self._subscriptions):
            self.unsubscribe(namespace)
        for timer in self._joining.values():
            timer.cancel()
        self._joining.clear()

    def _reset(self) -> None:
        self.mark_ended("server")
        self.socket.reset()

    def _record_drop(self, how: str) -> None:
        self.context.recorder.write("dropped", connection=self.ordinal, how=how, ns=wall_ns())

    def _on_end(self, error: Exception | None) -> None:
        if isinstance(error, SlowClientError):
            self._record_drop("too far behind")
            self.mark_ended("server")
        self.mark_ended("network" if error is not None else "client")
        self.stop()
        self.context.hub.forget(self)
        self.context.open.pop(self, None)
        self.context.recorder.write(
            "closed", connection=self.ordinal, by=self._by, code=self._code, ns=wall_ns()
        )
