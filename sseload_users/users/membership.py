"""The channels of one connection, which it joins and leaves while it listens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeAlias

import gevent
from gevent.event import AsyncResult
from gevent.lock import RLock

from sseload_users.core.clock import wall_ns
from sseload_users.core.errors import ConfigError
from sseload_users.run.emitters import HeldSession
from sseload_users.run.worker_run import WorkerRun
from sseload_users.targets.channel_changes import ChannelChanges, ChannelRequest
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed

#: Time for which the server may still send codes of a channel after it has confirmed that a
#: connection left, and that it is given to carry out what it does not confirm.
_GRACE_NS = 1_000_000_000
#: Seconds from one check of what a connection awaits to the next.
_CHECK_S = 0.1

#: Takes a message and its arrival (wall clock, ns), in the hub.
Watch: TypeAlias = Callable[[bytes, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    """A request that is not confirmed.

    Attributes:
        request: the request.
        on_confirmed: called in the hub with the time of the confirmation (wall clock, ns).
        failure: None once it is confirmed; the cause if it is refused; empty if the session ended.
    """

    request: ChannelRequest
    on_confirmed: Callable[[int], None]
    failure: AsyncResult[str | None] = field(default_factory=AsyncResult)


class Membership:
    """Joins and leaves channels for one connection.

    The session is owed the codes of a channel from the confirmation of its join until it is about
    to leave. It asks to leave once it has what it is owed, or that has timed out: so what is in
    flight then is decided like all else.

    Args:
        run: this process's part in the run.
        number: number of the connection.
        watch: has messages handed to a function, or to none; nothing may cost time otherwise.

    Attributes:
        identity: the user, with its channels at present.
    """

    __slots__ = (
        "_chance",
        "_held",
        "_lock",
        "_moving",
        "_number",
        "_pending",
        "_run",
        "_watch",
        "identity",
    )

    def __init__(self, run: WorkerRun, number: int, watch: Callable[[Watch | None], None]) -> None:
        self.identity = Identity("")
        self._run = run
        self._watch = watch
        self._held: HeldSession | None = None
        self._pending: tuple[_Pending, ...] = ()
        self._moving: gevent.Greenlet[..., None] | None = None
        self._number = number
        # These take kilobytes, and most runs move no connection.
        self._chance: Random | None = None
        self._lock: RLock | None = None

    @property
    def _one_at_a_time(self) -> RLock:
        """Held while it joins or leaves a channel."""
        if self._lock is None:
            self._lock = RLock()
        return self._lock

    def begin(self, held: HeldSession) -> None:
        """Take a session that begins to listen."""
        self._held = held
        if self._run.channel_churn:
            self._moving = gevent.spawn(self._move_about, held)

    def end(self) -> None:
        """Leave the session, which has ended."""
        self._held = None
        if self._moving is not None:
            self._moving.kill(block=False)
            self._moving = None
        for each in self._pending:
            each.failure.set("")
        self._done()

    def join(self, channel: str) -> bool:
        """Join a channel; return whether the server has confirmed that.

        Where a connection leaves a channel by joining another, it leaves its first one.

        Raises:
            ConfigError: the profile does not say how, or the run has no channels.
            ConnectFailed: the server did not give a value that the message needs.
        """
        with self._one_at_a_time:
            held, own = self._held, self.identity.channels
            if held is None:
                return False
            if held.session.channels is None:
                raise ConfigError("a run without channels has none to join; use --channels.")
            if held.session.is_in(channel):
                return True
            changes = ChannelChanges(held.target)
            leaves = None if changes.can_leave or not own else own[0]
            if leaves is not None and not self._await_codes(held, leaves):
                return False
            return self._join(held, changes, channel, leaves)

    def leave(self, channel: str) -> bool:
        """Leave a channel; return whether the server has confirmed that. See `join`."""
        with self._one_at_a_time:
            held = self._held
            if held is None:
                return False
            if not held.session.is_in(channel):
                return True
            return self._leave(held, ChannelChanges(held.target), channel, None)

    def _move_about(self, held: HeldSession) -> None:
        churn = self._run.channel_churn
        chance = self._chance = self._chance or churn.chance_of(self._number)
        while True:
            gevent.sleep(churn.wait_s(chance))
            move = churn.move(self.identity.channels, chance)
            if move is None:
                continue
            leaves, joins = move
            try:
                self._move(held, leaves, joins)
            except ConnectFailed as error:
                self._run.operations.count_channel_change(error.cause, error.server_text)

    def _move(self, held: HeldSession, leaves: str | None, joins: str) -> None:
        with self._one_at_a_time:
            changes = ChannelChanges(held.target)
            if leaves is not None and changes.can_leave:
                self._leave(held, changes, leaves, joins)
                leaves = None
            if leaves is None or self._await_codes(held, leaves):
                self._join(held, changes, joins, leaves)

    def _leave(
        self, held: HeldSession, changes: ChannelChanges, channel: str, joins: str | None
    ) -> bool:
        """Leave a channel; return whether that succeeded.

        Args:
            held: the session.
            changes: makes the message.
            channel: the channel.
            joins: the channel that it joins next; None if it joins none.
        """
        request = changes.leave(channel, self.identity, held.captured)
        if not self._await_codes(held, channel):
            return False
        self._set_channels(leaves=channel, joins=joins)
        return self._ask(held, "leave", request, lambda at_ns: self._left(held, channel, at_ns))

    def _join(
        self, held: HeldSession, changes: ChannelChanges, channel: str, leaves: str | None
    ) -> bool:
        request = changes.join(channel, self.identity, held.captured)
        if self._held is not held:
            return False
        ledger, now_ns = self._run.ledger, wall_ns()
        since_ns = ledger.codes.oldest_unreceived_ns(now_ns, channel)
        ledger.ask_to_join(held.session, channel, now_ns, since_ns)
        self._set_channels(joins=channel, leaves=leaves)

        def joined(at_ns: int) -> None:
            since_ns = at_ns if request.confirm is not None else at_ns + _GRACE_NS
            ledger.confirm_join(held.session, channel, since_ns)
            if leaves is not None:
                self._left(held, leaves, at_ns)

        return self._ask(held, "join", request, joined)

    def _left(self, held: HeldSession, channel: str, at_ns: int) -> None:
        self._run.ledger.leave_channel(held.session, channel, at_ns + _GRACE_NS)

    def _set_channels(self, joins: str | None = None, leaves: str | None = None) -> None:
        """Note what a connection that returns will subscribe to: at least what it had last."""
        own = list(self.identity.channels)
        if joins is not None and leaves in own:
            own[own.index(leaves)] = joins
        elif joins is not None:
            own.append(joins)
        elif leaves is not None and leaves in own and len(own) > 1:
            own.remove(leaves)
        self.identity = replace(self.identity, channels=tuple(dict.fromkeys(own)))

    def _await_codes(self, held: HeldSession, channel: str) -> bool:
        """Stop being owed a channel's codes, and wait for those in flight.

        Returns:
            Whether the session is still there.
        """
        ledger, session = self._run.ledger, held.session
        ledger.begin_leaving(session, wall_ns(), channel)
        announced_s = time.monotonic() + self._run.announced_s
        while time.monotonic() < announced_s or ledger.awaits(session, wall_ns(), channel):
            gevent.sleep(_CHECK_S)
            if self._held is not held:
                return False
        return True

    def _ask(
        self,
        held: HeldSession,
        what: str,
        request: ChannelRequest,
        on_confirmed: Callable[[int], None],
    ) -> bool:
        """Send a request and wait for its confirmation; return whether it succeeded."""
        if self._held is not held:
            return False
        cause = self._send(held, request, on_confirmed)
        if cause == "":
            return False  # The session ended, which is counted.
        self._run.operations.count_channel_change(cause and f"{what}: {cause}")
        return cause is None

    def _send(
        self, held: HeldSession, request: ChannelRequest, on_confirmed: Callable[[int], None]
    ) -> str | None:
        """Send a request; return why it failed, None if it did not; empty if the session ended."""
        if request.confirm is None:
            failure = self._sent(held, request)
            if failure is None:
                on_confirmed(wall_ns())
            return failure
        pending = _Pending(request, on_confirmed)
        self._pending = (*self._pending, pending)
        self._watch(self._take)
        try:
            failure = self._sent(held, request)
            if failure is not None:
                return failure
            return pending.failure.get(timeout=self._run.options.connect_timeout)
        except gevent.Timeout:
            return "not confirmed in time"
        finally:
            self._done()

    @staticmethod
    def _sent(held: HeldSession, request: ChannelRequest) -> str | None:
        if held.transport.send(request.frame):
            return None
        return "" if held.transport.ended_ns else "could not be sent"

    def _done(self) -> None:
        self._pending = ()
        self._watch(None)

    def _take(self, payload: bytes, arrived_ns: int) -> None:
        """Look for a confirmation or a refusal in a message; in the hub."""
        held = self._held
        for each in self._pending if held is not None else ():
            assert held is not None  # noqa: S101
            if each.failure.ready():
                continue
            refuse = held.transport.endpoint.refuse
            if each.request.is_confirmed_in(payload, held.target.reader):
                each.on_confirmed(arrived_ns)
                each.failure.set(None)
            elif refuse is not None and (cause := refuse(payload)) is not None:
                each.failure.set(cause)
