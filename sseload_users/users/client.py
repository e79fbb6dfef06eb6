"""One simulated client: its sessions, one after the other, and what it receives."""

from __future__ import annotations

import random
from collections.abc import Callable

import gevent
from gevent.event import Event
from locust.env import Environment

from sseload_users.core.clock import wall_ns
from sseload_users.core.sessions import Session
from sseload_users.run.churn import Hold
from sseload_users.run.code_finder import CodeFinder
from sseload_users.run.connection_plan import Part
from sseload_users.run.emitters import HeldSession
from sseload_users.run.locust_stats import fire
from sseload_users.run.worker_run import WorkerRun
from sseload_users.targets import Identity, Target
from sseload_users.targets.hosts import split_node
from sseload_users.transports import Closed, StayAway
from sseload_users.users.client_calls import ClientCalls
from sseload_users.users.connector import Attempt, Connector
from sseload_users.users.membership import Membership, Watch

#: The cause with which a session ends that this side ended.
LEFT = "left"
_LEFT = Closed("client", LEFT)


class SessionEnded(Exception):  # noqa: N818 - its name stands in Locust's table of failures
    """A session that the server or the network ended."""


class SimulatedClient:
    """Connects, subscribes, listens, and returns when the run or the protocol says so.

    Args:
        environment: Locust's.
        run: this process's part in the run.
        host: the server's URL.
        profile: name or path of the target profile; None for the run's.
        username: user that it connects as; None for the one whose turn it is.
        calls: what it calls as it goes on.
    """

    def __init__(
        self,
        environment: Environment,
        run: WorkerRun,
        host: str | None,
        profile: str | None,
        username: str | None,
        calls: ClientCalls,
    ) -> None:
        self._environment = environment
        self._worker_run = run
        self._profile = profile
        self._username = username
        self._calls = calls
        self._on_copy = calls.on_message
        self._connection = run.ledger.add_connection()
        self._membership = Membership(run, self._connection.number, self._watch)
        self._membership.identity = Identity(username or "")
        target = self._target_at(host)
        self._connector = Connector(
            environment,
            run,
            self._connection,
            target,
            self._membership,
            calls,
            self._on_message,
            self._on_open,
        )
        self._aim_at(target)
        self._session: Session | None = None
        # The first attempt to connect; and the session that is open, if it began without a
        # greenlet, with what starts that.
        self._attempt: Attempt | None = None
        self._held: tuple[HeldSession, Hold] | None = None
        self._start: Callable[[], object] | None = None
        self._resumes = target.profile.spec.guarantee == "resume"
        # When its latest session was dropped (wall clock, ns).
        self._dropped_ns = 0

    @property
    def membership(self) -> Membership:
        """Its channels."""
        return self._membership

    @property
    def finder(self) -> CodeFinder:
        """What finds the codes in its messages."""
        return self._finder

    @property
    def sleeps(self) -> bool:
        """Whether it has begun without a greenlet, and `live` has not been called since."""
        return self._start is not None

    def begin(self, start: Callable[[], object]) -> None:
        """Connect and hold the first session without a greenlet of its own.

        A greenlet takes memory, and time to start: most clients need none until their session
        ends.

        Args:
            start: starts the greenlet that calls `live`. It is called as soon as there is
                something to do for it, and possibly more than once.
        """
        self._start = start
        self._count_in()
        self._worker_run.connections.ask(self._connection.number, self._username, self._begin_as)

    def live(self) -> None:
        """Connect and listen for as long as there is a session to follow."""
        run = self._worker_run
        slept, self._start = self._start is not None, None
        if not slept:
            self._count_in()
        try:
            if slept and self._attempt is None:
                # It has a session; or else it is stopped before it was its turn.
                connected = self._held is not None
                run.users.pending.value -= int(not connected)
            else:
                connected = self._connect_first()
            while connected:
                connected = self._follow(*self._hold_session())
            # Locust keeps the number of users: it would start another one instead.
            Event().wait()
        finally:
            run.users.listening.value -= 1
            run.connections.give_back(self._connection.number)
            # If the user is stopped, nobody waits for its connection.
            self._connection.away_ns = None

    def _count_in(self) -> None:
        users = self._worker_run.users
        users.listening.value += 1
        users.pending.value += 1

    def _connect_first(self) -> bool:
        """Start the first session; return whether there is one."""
        run, number = self._worker_run, self._connection.number
        try:
            if self._attempt is None:
                self._play(run.connections.take_part(number, self._username))
                run.may_connect.wait()
            connected = self._connector.connect_first(self._attempt)
        finally:
            run.users.pending.value -= 1
            self._attempt = None
        if not connected and not run.finished:
            run.operations.count_never_connected()
        return connected

    def _begin_as(self, part: Part) -> None:
        """Ask for the first attempt, unless the client is stopped meanwhile."""
        if self._start is not None:
            self._play(part)
            self._worker_run.once_connectable(self._ask)

    def _ask(self) -> None:
        if self._start is None:
            return
        if self._worker_run.finished:
            self._start()
        else:
            self._attempt = self._connector.ask_first(self._on_attempt)

    def _on_attempt(self, attempt: Attempt) -> None:
        """Hold the session that the first attempt has started; `live` does all else."""
        assert self._start is not None  # noqa: S101
        if not attempt.has_succeeded:
            self._start()
            return
        self._worker_run.users.pending.value -= 1
        self._attempt = None
        held, _ = self._held = self._hold()
        held.transport.begin_to_listen(self._start)

    def _play(self, part: Part) -> None:
        """Take on what this connection is in the run."""
        self._membership.identity, self._connector.slow = part.identity, bool(part.slow)
        self._connection.username = part.identity.username
        self._connection.slow = part.slow
        if part.slow:
            self._worker_run.operations.count_slow_connection()
        if part.node is not None:
            self._connection.node = part.node
            run = self._worker_run
            target = self._target_at(split_node(run.options.nodes[part.node])[0])
            self._connector.aim_at(target, run.before_at(part.node))
            self._aim_at(target)

    def _target_at(self, host: str | None) -> Target:
        return self._worker_run.targets.target(self._profile, host)

    def _aim_at(self, target: Target) -> None:
        """Find codes as the profile of a target says."""
        parse = self._connector.transport_type.parse
        self._finder = self._worker_run.targets.finder(target, parse, self._calls.find_codes)
        self._known = self._finder.known

    def _follow(self, closed: Closed, hold: Hold) -> bool:
        """Start the session that follows one that ended; return whether there is one."""
        run = self._worker_run
        if hold.why:
            run.operations.count_replaced()
        if hold.why == "over" and not self._resumes:
            # The next session is another client's, which has no last event ID.
            self._connector.transport = None
            return self._connector.connect(None)
        if hold.why:
            return self._return(hold)
        if self._is_planned(closed):
            self._connector.back_off(0)
            if not self._connector.connect(1, again=True):
                return self._return_late(closed)
            self._count_gap()
            return True
        if closed.cause == LEFT or closed.final or not run.options.reconnect:
            return False
        return self._reconnect(0)

    def _return_late(self, closed: Closed) -> bool:
        """Start the session that follows a planned end, though not within the retry time.

        Args:
            closed: how the session ended, which now counts as a drop.

        Returns:
            Whether there is one.
        """
        run, failed = self._worker_run, self._connector.failed
        if run.finished or isinstance(failed, StayAway):
            self._connection.away_ns = None
            return False
        run.operations.withdraw_planned_end(self._connection)
        self._count_drop(closed.cause, self._connector.redacted(closed.reason))
        if not run.options.reconnect or failed is None or failed.final:
            return False
        return self._reconnect(1)

    def _reconnect(self, failed_attempts: int) -> bool:
        """Start the session that follows a drop; return whether there is one."""
        self._connector.back_off(failed_attempts)
        connected = self._connector.connect(None, again=True)
        if connected:
            self._recovered()
        return connected

    def _return(self, hold: Hold) -> bool:
        """Start the session that follows one that sseload ended; return whether there is one."""
        operations, at_once = self._worker_run.operations, hold.why != "over"
        late_us, wait_s = 0, 0.0
        if at_once:
            wait_s = random.uniform(0, self._worker_run.options.storm_jitter)
            gevent.sleep(wait_s)
            late_us = max((wall_ns() - hold.ended_ns) // 1000 - round(wait_s * 1e6), 0)
        self._connector.stormed_ns = hold.ended_ns if hold.why == "storm" else 0
        connected = self._connector.connect(None, queued=not at_once, again=True)
        self._connector.stormed_ns = 0
        if at_once and connected and self._connector.transport is not None:
            back_us = max(self._connector.transport.subscribed_ns - hold.ended_ns, 0) // 1000
            if hold.why == "storm":
                times = self._connector.transport.times
                assert times is not None  # noqa: S101
                # What passed after the arrival of what confirmed the session delayed nobody.
                spare_us = back_us - round(wait_s * 1e6) - times.connect_ns // 1000
                own_us = min(late_us + self._connector.own_us, max(spare_us, 0))
                operations.count_storm_reconnect(back_us, own_us)
            else:
                operations.count_flap_reconnect(back_us)
        return connected

    def _recovered(self) -> None:
        self._worker_run.operations.count_reconnect(self._count_gap())

    def _count_gap(self) -> int:
        """Count the gap before the session that has begun, for its node; return it in µs."""
        assert self._connector.transport is not None  # noqa: S101
        down_us = max(self._connector.transport.subscribed_ns - self._dropped_ns, 0) // 1000
        self._connection.away_ns = None
        self._worker_run.operations.count_node_gap(self._connection.node, down_us)
        return down_us

    def _on_open(self, session: Session, messages: tuple[tuple[bytes, int], ...]) -> None:
        """Take a session, and the codes that came with its confirmation: what it had missed."""
        self._session = session
        for payload, arrived_ns in messages:
            if self._finder.find(payload):
                self._on_message(payload, arrived_ns)

    def _hold(self) -> tuple[HeldSession, Hold]:
        """Take the session that has begun; `_hold_session` has to be called."""
        run, connector = self._worker_run, self._connector
        transport, session = connector.take()
        identity, target = self._membership.identity, connector.target
        held = HeldSession(transport, session, identity, target, connector.captured)
        hold = run.churn.hold(transport, session)
        run.emitters.add(held)
        self._membership.begin(held)
        # Its hook may change channels.
        self._calls.on_connected()
        return held, hold

    def _hold_session(self) -> tuple[Closed, Hold]:
        """Listen until the session ends; return how it ended."""
        run, connector = self._worker_run, self._connector
        (held, hold), self._held = self._held or self._hold(), None
        transport, session = held.transport, held.session
        closed, cause = _LEFT, LEFT
        try:
            closed = transport.listen()
        finally:
            self._membership.end()
            run.emitters.remove(held)
            hold.release()
            server_text = connector.redacted(closed.reason)
            if connector.requests is not None:
                connector.requests.end()
            dropped = closed.cause != LEFT
            ended_ns = transport.ended_ns or wall_ns()
            planned = self._is_planned(closed)
            may_return = run.options.reconnect and not closed.final
            returns = bool(hold.why) or planned or (dropped and may_return)
            end = run.ledger.pause_session if returns else run.ledger.close_session
            end(session, ended_ns, released=not dropped, planned=planned)
            if not dropped:
                run.operations.count_at_node(self._connection.node, "left")
            elif not run.finished:
                self._dropped_ns = self._connector.lost_ns = ended_ns
                if planned:
                    cause = closed.cause
                    run.operations.count_planned_end(self._connection, ended_ns)
                else:
                    cause = self._count_drop(closed.cause, server_text)
            self._calls.on_closed(cause)
        return closed, hold

    def _is_planned(self, closed: Closed) -> bool:
        planned_ends = self._connector.target.profile.spec.planned_ends
        return planned_ends and closed.is_orderly and not closed.final

    def _count_drop(self, cause: str, server_text: str) -> str:
        """Count the end of a session as a drop; return the cause under which it is counted."""
        operations = self._worker_run.operations
        cause = operations.count_drop(cause, server_text)
        operations.count_at_node(self._connection.node, "dropped")
        self._connection.drops += 1
        self._connection.last_cause = f"session: {cause}"
        kind = self._connector.transport_type.kind
        fire(self._environment, kind, "session", None, error=SessionEnded(cause))
        return cause

    def _watch(self, watch: Watch | None) -> None:
        """Hand each message to a function, too, or to none."""
        on_message = self._calls.on_message
        if watch is None:
            self._on_copy = on_message
            return

        def on_copy(payload: bytes, arrived_ns: int, session: Session, number: int) -> None:
            watch(payload, arrived_ns)
            if on_message is not None:
                on_message(payload, arrived_ns, session, number)

        self._on_copy = on_copy

    def _on_message(self, payload: bytes, arrived_ns: int) -> None:
        """Take a message, in the hub. The hot path: once for each message."""
        session = self._session
        assert session is not None  # noqa: S101
        code = self._known.get(payload)
        if code is not None:
            session.receive(code, arrived_ns)
        else:
            for each in self._finder.codes_in(payload):
                session.receive(each, arrived_ns)
        if self._on_copy is not None:
            self._on_copy(payload, arrived_ns, session, self._connection.sessions)
