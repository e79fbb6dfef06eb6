"""One simulated client: its connection, through all its sessions."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from functools import cache

import gevent
from gevent.event import Event
from locust.env import Environment

from sseload_users.core.backoff import back_off_s
from sseload_users.core.clock import wall_ns
from sseload_users.core.formatting import clean
from sseload_users.core.sessions import Session
from sseload_users.run.churn import Hold
from sseload_users.run.code_finder import CodeFinder
from sseload_users.run.connection_plan import Part
from sseload_users.run.emitters import Emitter
from sseload_users.run.locust_stats import fire
from sseload_users.run.worker_run import WorkerRun
from sseload_users.targets import Identity, Target
from sseload_users.targets.hosts import split_node
from sseload_users.transports import Closed, ConnectFailed, StayAway
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.engine_transport import EngineTransport, Passage
from sseload_users.transports.registry import transport_for
from sseload_users.transports.transport import Transport
from sseload_users.users.client_calls import ClientCalls
from sseload_users.users.hooks import log_once
from sseload_users.users.membership import HeldSession, Membership, Watch
from sseload_users.users.resumption import Resumption
from sseload_users.users.session_requests import SessionRequests

_logger = logging.getLogger(__name__)

#: The cause with which a session ends that this side ended.
LEFT = "left"
_LEFT = Closed("client", LEFT)


@cache
def _has_passages(transport_type: type[Transport]) -> bool:
    """Whether sessions of a transport go over to another one, or are resumed."""
    return issubclass(transport_type, EngineTransport)


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
        self._before = run.before_at(None)
        self._aim_at(host)
        self._transport: Transport | None = None
        self._session: Session | None = None
        # The session that is open, until it is held.
        self._unheld: Session | None = None
        self._requests: SessionRequests | None = None
        self._slow = False
        self._turn = run.connections.turn(self._connection.number)
        spec = self._target.profile.spec
        self._resumes = spec.guarantee == "resume"
        self._effect_s = spec.subscribes_within
        self._resumption = Resumption(self._target)
        self._failed: ConnectFailed | None = None
        self._retry_s = 0.0
        self._dropped_ns = 0
        # When the first connect was due; 0 once that has succeeded. And how long the latest attempt
        # waited for its turn, and what delays of this process took of it, in microseconds.
        self._due_ns = 0
        self._queue_us: int | None = None
        self._own_us = 0
        # When a storm, or else a drop, ended its session, until it is back; 0 otherwise.
        self._stormed_ns = self._lost_ns = 0

    @property
    def membership(self) -> Membership:
        """Its channels."""
        return self._membership

    @property
    def finder(self) -> CodeFinder:
        """What finds the codes in its messages."""
        return self._finder

    def live(self) -> None:
        """Connect and listen for as long as there is a session to follow."""
        run = self._worker_run
        number = self._connection.number
        with run.users.listening:
            try:
                with run.users.pending:
                    self._play(run.connections.take_part(number, self._username))
                    run.may_connect.wait()
                    due_s, self._due_ns = run.connect_turns.next_due()
                    connected = self._connect(run.options.connect_attempts, due_s=due_s)
                if not connected and not run.finished:
                    run.operations.count_never_connected()
                while connected:
                    connected = self._follow(*self._hold_session())
                # Locust keeps the number of users: it would start another one instead.
                Event().wait()
            finally:
                run.connections.give_back(number)
                # If the user is stopped, nobody waits for its connection.
                self._connection.away_ns = None

    def _play(self, part: Part) -> None:
        """Take on what this connection is in the run."""
        self._membership.identity, self._slow = part.identity, bool(part.slow)
        self._connection.username = part.identity.username
        self._connection.slow = part.slow
        if part.slow:
            self._worker_run.operations.count_slow_connection()
        if part.node is not None:
            self._connection.node = part.node
            self._before = self._worker_run.before_at(part.node)
            self._aim_at(split_node(self._worker_run.options.nodes[part.node])[0])

    def _aim_at(self, host: str | None) -> None:
        """Set the server, or the node, to connect to."""
        targets = self._worker_run.targets
        self._target: Target = targets.target(self._profile, host)
        self._transport_type = transport_for(self._target.profile.transport)
        parse = self._transport_type.parse
        self._finder = targets.finder(self._target, parse, self._calls.find_codes)
        self._known = self._finder.known

    def _follow(self, closed: Closed, hold: Hold) -> bool:
        """Start the session that follows one that ended; return whether there is one."""
        run = self._worker_run
        if hold.why:
            run.operations.count_replaced()
        if hold.why == "over" and not self._resumes:
            # The next session is another client's, which has no last event ID.
            self._transport = None
            return self._connect(None)
        if hold.why:
            return self._return(hold)
        if self._is_planned(closed):
            self._back_off(0)
            if not self._connect(1, again=True):
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
        run, failed = self._worker_run, self._failed
        if run.finished or isinstance(failed, StayAway):
            self._connection.away_ns = None
            return False
        run.operations.withdraw_planned_end(self._connection)
        self._count_drop(closed.cause, self._redacted(closed.reason))
        if not run.options.reconnect or failed is None or failed.final:
            return False
        return self._reconnect(1)

    def _reconnect(self, failed_attempts: int) -> bool:
        """Start the session that follows a drop; return whether there is one."""
        self._back_off(failed_attempts)
        connected = self._connect(None, again=True)
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
        self._stormed_ns = hold.ended_ns if hold.why == "storm" else 0
        connected = self._connect(None, queued=not at_once, again=True)
        self._stormed_ns = 0
        if at_once and connected and self._transport is not None:
            back_us = max(self._transport.subscribed_ns - hold.ended_ns, 0) // 1000
            if hold.why == "storm":
                times = self._transport.times
                assert times is not None  # noqa: S101
                # What passed after the arrival of what confirmed the session delayed nobody.
                spare_us = back_us - round(wait_s * 1e6) - times.connect_ns // 1000
                own_us = min(late_us + self._own_us, max(spare_us, 0))
                operations.count_storm_reconnect(back_us, own_us)
            else:
                operations.count_flap_reconnect(back_us)
        return connected

    def _connect(
        self,
        attempts: int | None,
        *,
        queued: bool = True,
        again: bool = False,
        due_s: float = 0.0,
    ) -> bool:
        """Start a session; return whether there is one.

        Args:
            attempts: number of attempts before giving up; None for no limit.
            queued: whether to wait for one of the slots that limit how many connect at a time.
            again: whether the client reconnects by itself; then an answer after which the
                protocol's client does not reconnect ends the attempts.
            due_s: when the first attempt is due, from `ConnectTurns.next_due`; 0 for now.
        """
        run, attempt = self._worker_run, 0
        make = self._attempt if queued else self._attempt_at_once
        while not run.finished:
            if attempt:
                self._back_off(attempt)
            attempt += 1
            try:
                failed = self._failed = run.connect_turns.call(make, due_s, limited=queued)
            except BaseException:
                self._leave_unheld()
                raise
            due_s = 0.0
            if failed is None:
                return True
            if attempt == attempts or (failed.final and again) or isinstance(failed, StayAway):
                break
        return False

    def _attempt_at_once(self, waited_us: int) -> ConnectFailed | None:
        """Make one attempt for which there was no queue; see `_try_to_connect`."""
        del waited_us
        return self._attempt(None)

    def _attempt(self, queue_us: int | None) -> ConnectFailed | None:
        """Make one attempt, as one of those that connect; see `_try_to_connect`.

        Args:
            queue_us: how long it waited for its turn, in microseconds; None if it needed none.
        """
        self._queue_us = queue_us
        self._worker_run.users.grow()
        # Not for as long as this connection waits for the call to return: the account may be
        # closed between, and would take back an attempt that has succeeded.
        with self._worker_run.users.connecting:
            return self._try_to_connect()

    def _leave_unheld(self) -> None:
        """End a session that was opened for a user that was stopped meanwhile."""
        transport, session = self._transport, self._unheld
        if transport is None or session is None:
            return
        self._unheld = None
        transport.leave()
        if self._requests is not None:
            self._requests.end()
        self._worker_run.ledger.close_session(session, wall_ns(), released=True)
        self._worker_run.operations.count_at_node(self._connection.node, "left")

    def _recovered(self) -> None:
        self._worker_run.operations.count_reconnect(self._count_gap())

    def _count_gap(self) -> int:
        """Count the gap before the session that has begun, for its node; return it in µs."""
        assert self._transport is not None  # noqa: S101
        down_us = max(self._transport.subscribed_ns - self._dropped_ns, 0) // 1000
        self._connection.away_ns = None
        self._worker_run.operations.count_node_gap(self._connection.node, down_us)
        return down_us

    def _back_off(self, attempt: int) -> None:
        # The retry time of an event stream is the shortest delay; it applies until the server
        # sends another.
        retry_ms = None if self._transport is None else self._transport.retry_ms
        if retry_ms is not None:
            self._retry_s = retry_ms / 1000
        gevent.sleep(self._retry_s + back_off_s(attempt))

    def _try_to_connect(self) -> ConnectFailed | None:
        """Make one attempt; return why it failed, None if it did not."""
        run, connection = self._worker_run, self._connection
        run.operations.count_attempt()
        began_ns = wall_ns()
        codes = run.ledger.codes
        meant_since_ns = codes.oldest_unreceived_ns(began_ns) or began_ns
        requests = self._requests = self._new_requests()
        try:
            last_event_id = "" if self._transport is None else self._transport.last_event_id
            requests.add_values(self._values_before())
            transport = requests.connect(self._make_transport, last_event_id)
        except ConnectFailed as error:
            if self._transport is not None:
                self._transport.leave()
            if isinstance(error, StayAway) and connection.sessions:
                run.operations.count_ended()
                connection.last_cause = f"ended by the server: {error.cause}"
            elif not run.finished:
                self._count_failed_attempt(error, requests, began_ns)
            return error
        except BaseException:
            # The user was stopped while it connected: the attempt neither succeeded nor failed.
            run.operations.withdraw_attempt()
            raise
        times = transport.times
        assert times is not None  # noqa: S101
        connect_us, self._own_us = times.connect_ns // 1000, times.own_ns // 1000
        if connection.connect_us is None:
            connection.connect_us = connect_us
        run.operations.count_connected(
            times,
            transport.subscribed_ns,
            due_ns=self._due_ns,
            queue_us=self._queue_us,
            compression=transport.compression,
            http_version=transport.http_version,
        )
        self._due_ns = self._lost_ns = 0
        run.operations.count_at_node(connection.node, "connected")
        # Another worker's codes may have been announced meanwhile.
        meant_since_ns = min(meant_since_ns, codes.oldest_unreceived_ns(began_ns) or began_ns)
        # What it gets of what was sent before, it recovers.
        since_ns = began_ns if self._resumes and connection.sessions else meant_since_ns
        before = self._session if last_event_id else None
        # A client that returns is owed what it missed in any case.
        effect_s = 0.0 if self._resumes and connection.sessions else self._effect_s
        connection.source = transport.source
        self._session = self._unheld = run.ledger.open_session(
            connection,
            min(since_ns, began_ns),
            transport.subscribed_ns + round(effect_s * 1e9),
            self._membership.identity.channels,
            None if before is None else before.closed_ns,
        )
        self._take_confirmation()
        run.receipts.connected(connect_us)
        return None

    def _new_requests(self) -> SessionRequests:
        run = self._worker_run
        return SessionRequests(
            self._target,
            self._membership.identity,
            self._before,
            on_upkeep=run.count_upkeep,
            turn=self._turn,
            slow=self._slow,
            resumption=self._resumption,
        )

    def _take_confirmation(self) -> None:
        """Take the codes that came with the confirmation: what the connection had missed."""
        for payload, arrived_ns in self._resumption.take():
            if self._finder.find(payload):
                self._on_message(payload, arrived_ns)

    def _values_before(self) -> Mapping[str, str]:
        try:
            return dict(self._calls.before_connect() or {})
        except Exception as error:
            log_once(self._calls.before_connect, error)
            cause = f"before_connect raised {type(error).__name__}"
            raise ConnectFailed("before", cause) from error

    def _count_failed_attempt(
        self, error: ConnectFailed, requests: SessionRequests, began_ns: int
    ) -> None:
        operations, connection = self._worker_run.operations, self._connection
        # The server's text may repeat secrets that it was sent.
        cause, text = map(requests.redact, (error.cause, error.server_text))
        cause = operations.count_connect_failure(error.operation, cause, text)
        if self._stormed_ns:
            operations.count_storm_failure((wall_ns() - self._stormed_ns) // 1000)
        elif self._lost_ns:
            operations.count_failed_return((wall_ns() - self._lost_ns) // 1000)
        operations.count_at_node(connection.node, "failed")
        failed = ConnectFailed(error.operation, cause)
        _logger.debug("%s: %s", failed, clean(requests.redact(error.detail)))
        connection.last_cause = str(failed)
        kind, passed_ms = self._transport_type.kind, (wall_ns() - began_ns) / 1e6
        fire(self._environment, kind, "connect", passed_ms, error=failed)

    def _make_transport(self, endpoint: Endpoint) -> Transport:
        self._transport = self._transport_type(
            endpoint,
            self._before.network,
            self._resumption.taking(self._on_message),
            self._worker_run.count_malformed,
        )
        if _has_passages(self._transport_type):
            self._transport.on_passage = self._on_passage  # type: ignore[attr-defined]
        return self._transport

    def _on_passage(self, passage: Passage, cause: str, server_text: str) -> None:
        if self._requests is not None:
            cause, server_text = map(self._requests.redact, (cause, server_text))
        compression = "" if self._transport is None else self._transport.compression
        self._worker_run.operations.count_passage(
            passage, cause, server_text, compression=compression
        )

    def _hold_session(self) -> tuple[Closed, Hold]:
        """Listen until the session ends; return how it ended."""
        transport, session, run = self._transport, self._session, self._worker_run
        assert transport is not None  # noqa: S101
        assert session is not None  # noqa: S101
        closed, cause = _LEFT, LEFT
        self._unheld = None
        try:
            captured = {} if self._requests is None else self._requests.captured
            emitter = Emitter(transport, session, self._membership.identity, captured)
            # As many of these wait as there are connections: generators would take a kilobyte.
            with run.churn.holding(transport, session) as hold:
                run.emitters.add(emitter)
                self._membership.begin(HeldSession(transport, session, self._target, captured))
                try:
                    # Its hook may change channels.
                    self._calls.on_connected()
                    closed = transport.listen()
                finally:
                    self._membership.end()
                    run.emitters.remove(emitter)
        finally:
            server_text = self._redacted(closed.reason)
            if self._requests is not None:
                self._requests.end()
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
                self._dropped_ns = self._lost_ns = ended_ns
                if planned:
                    cause = closed.cause
                    run.operations.count_planned_end(self._connection, ended_ns)
                else:
                    cause = self._count_drop(closed.cause, server_text)
            self._calls.on_closed(cause)
        return closed, hold

    def _redacted(self, server_text: str) -> str:
        return server_text if self._requests is None else self._requests.redact(server_text)

    def _is_planned(self, closed: Closed) -> bool:
        planned_ends = self._target.profile.spec.planned_ends
        return planned_ends and closed.is_orderly and not closed.final

    def _count_drop(self, cause: str, server_text: str) -> str:
        """Count the end of a session as a drop; return the cause under which it is counted."""
        operations = self._worker_run.operations
        cause = operations.count_drop(cause, server_text)
        operations.count_at_node(self._connection.node, "dropped")
        self._connection.drops += 1
        self._connection.last_cause = f"session: {cause}"
        kind = self._transport_type.kind
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
