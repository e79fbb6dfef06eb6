"""The user that listens: what a locustfile can set and override of a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, ClassVar

from gevent.pool import Group
from locust import User, task
from locust.env import Environment

from sseload_users.core.sessions import Session
from sseload_users.run.worker_run import worker_run_of
from sseload_users.users.client import SimulatedClient
from sseload_users.users.client_calls import NO_CALLS, ClientCalls
from sseload_users.users.delivery import Delivery
from sseload_users.users.hooks import HookCalls
from sseload_users.users.user_greenlet import SleepingGreenlet, UserGreenlet

#: What a subclass may override; what it does not costs nothing.
_HOOKS = ("before_connect", "on_connected", "on_code", "on_closed", "find_codes")


@cache
def _overridden(users: type[CodeListener]) -> frozenset[str]:
    """Return which hooks a class of users overrides."""
    return frozenset(
        each for each in _HOOKS if getattr(users, each) is not getattr(CodeListener, each)
    )


@cache
def _only_listens(users: type[CodeListener]) -> bool:
    """Whether a class of users overrides nothing that Locust or a hook would call."""
    return users.on_start is CodeListener.on_start and not _overridden(users)


class CodeListener(User):
    """One simulated client: connects, subscribes, listens and leaves.

    Subclass it to set in code what the options set; an attribute that is None leaves the
    choice to its option. Override the hooks `on_connected`, `on_code` and `on_closed` to do
    something at these events. Hooks of one connection are called in a greenlet of their own,
    in the order of events, and may block. An exception in a hook is logged and counted, and
    the next call is made all the same. A hook that is not overridden costs nothing.
    """

    abstract = False

    target: ClassVar[str | None] = None
    """Target profile: a built-in name or the path of a .toml file. One for the whole run;
    `--target` if None."""

    username: ClassVar[str | None] = None
    """User that this class's connections connect as. Per class; `--username` or the users file
    if None."""

    connect_timeout: ClassVar[float | None] = None
    """Seconds within which a connection must be subscribed. One for the whole run;
    `--connect-timeout` if None."""

    delivery_timeout: ClassVar[float | None] = None
    """Seconds after sending within which a code counts as delivered. One for the whole run;
    `--delivery-timeout` if None."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._worker_run = worker_run_of(environment)
        self._worker_run.users.grow()
        self._hooks: HookCalls | None = None
        self._received: tuple[Session, set[int]] | None = None
        self._client = SimulatedClient(
            environment,
            self._worker_run,
            self.host,
            self.target,
            self.username,
            self._calls() if _overridden(type(self)) else NO_CALLS,
        )

    def _calls(self) -> ClientCalls:
        return ClientCalls(
            before_connect=self.before_connect,
            on_connected=self._on_connected,
            on_closed=self._on_closed,
            on_message=self._on_message if self._overrides("on_code") else None,
            find_codes=self.find_codes if self._overrides("find_codes") else None,
        )

    def before_connect(self) -> Mapping[str, str] | None:
        """Called before each connect attempt, and before the profile's `[[before]]` requests.

        It may block. Its time does not count as time to connect. If it raises an exception, the
        attempt has failed.

        Returns:
            Values for names of the profile; they replace those of `[values]` and the users file.
        """
        return None

    def find_codes(self, message: bytes) -> list[str]:
        """Find the codes in a message, instead of where the profile's `[code]` describes.

        It is called in the event loop, so it must not block. The result is remembered for all
        connections that receive the same bytes.

        Args:
            message: a WebSocket message, a Socket.IO packet, or the lines of an event.

        Returns:
            The texts of the codes, in their order.
        """
        raise NotImplementedError

    def on_connected(self) -> None:
        """Called each time the connection is subscribed: at first and after a reconnect."""

    def on_code(self, delivery: Delivery) -> None:
        """Called for each copy of one of this run's codes, in the order of arrival.

        Args:
            delivery: the code and how it arrived.
        """

    def on_closed(self, cause: str) -> None:
        """Called each time a session ends.

        Args:
            cause: why: "left" if sseload ended it, otherwise the cause as the report counts it,
                such as "closed by server: 1001".
        """

    def join_channel(self, channel: str) -> bool:
        """Join a further channel, as the profile's `[audience]` says, and wait until it is done.

        For hooks, which may block: the codes of that channel are owed from its confirmation on.

        Args:
            channel: the channel.

        Returns:
            Whether the connection is in it: not if it was refused, or if the session ended.
        """
        return self._client.membership.join(channel)

    def leave_channel(self, channel: str) -> bool:
        """Leave a channel once all codes that are owed there have arrived or timed out.

        For hooks, like `join_channel`.

        Args:
            channel: the channel.

        Returns:
            Whether the connection has left it.
        """
        return self._client.membership.leave(channel)

    @task
    def listen(self) -> None:
        """Connect and listen until the run ends: the only task, and it never returns."""
        if any(map(self._overrides, ("on_connected", "on_code", "on_closed"))):
            self._hooks = HookCalls(self._worker_run.operations.count_hook_error)
        # Locust's queue of tasks takes as much memory as a session's account, and is needed only
        # if this one ends by an error.
        self._set_task_queue(())
        try:
            self._client.live()
        finally:
            self._set_task_queue(deque())
            if self._hooks is not None:
                self._hooks.close()

    def start(self, group: Group) -> UserGreenlet:
        """Start the user, as Locust does, in less memory; return its greenlet.

        If the class overrides nothing, the greenlet begins to run when there is something to do
        for it.
        """
        sleeps = _only_listens(type(self))
        greenlet = (SleepingGreenlet if sleeps else UserGreenlet)(self)
        self._greenlet, self._group = greenlet, group
        group.add(greenlet)
        if sleeps:
            self._set_task_queue(())
            self._client.begin(greenlet.start)
        else:
            greenlet.start()
        return greenlet

    @property
    def sleeps(self) -> bool:
        """Whether its greenlet must begin to run before it can be stopped."""
        return self._client.sleeps

    def _set_task_queue(self, queue: Sequence[object]) -> None:
        taskset: Any = self._taskset_instance
        if taskset is not None:
            taskset._task_queue = queue  # noqa: SLF001

    def stop(self, force: bool = False) -> bool:
        """Stop at once: with --stop-timeout, Locust would wait for a task that only waits."""
        del force
        return bool(super().stop(force=True))

    def _overrides(self, hook: str) -> bool:
        return hook in _overridden(type(self))

    def _on_connected(self) -> None:
        if self._hooks is not None:
            self._hooks.put(self.on_connected)

    def _on_closed(self, cause: str) -> None:
        if self._hooks is not None:
            self._hooks.put(partial(self.on_closed, cause))

    def _on_message(self, payload: bytes, arrived_ns: int, session: Session, number: int) -> None:
        if self._hooks is not None:
            self._hooks.put(partial(self._deliver, payload, arrived_ns, session, number))

    def _deliver(self, payload: bytes, arrived_ns: int, session: Session, number: int) -> None:
        """Call `on_code` for each code of this run in a message."""
        if self._received is None or self._received[0] is not session:
            self._received = (session, set())
        received = self._received[1]
        for text, code in self._client.finder.find(payload):
            duplicate = code.sequence in received
            received.add(code.sequence)
            self.on_code(Delivery(text, code.sequence, code.sent_ns, arrived_ns, number, duplicate))
