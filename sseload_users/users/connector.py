"""The attempts of one client to connect, and what they count."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeAlias

import gevent
from locust.env import Environment

from sseload_users.core.backoff import back_off_s
from sseload_users.core.clock import wall_ns
from sseload_users.core.formatting import clean
from sseload_users.core.sessions import Connection, Session
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.run.connect_turns import Turn
from sseload_users.run.locust_stats import fire
from sseload_users.run.worker_run import WorkerRun
from sseload_users.targets import Target
from sseload_users.transports import ConnectFailed, OnMessage, StayAway
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.engine_transport import EngineTransport, Passage
from sseload_users.transports.registry import transport_for
from sseload_users.transports.transport import Transport
from sseload_users.users.client_calls import ClientCalls
from sseload_users.users.hooks import log_once
from sseload_users.users.membership import Membership
from sseload_users.users.resumption import Resumption
from sseload_users.users.session_requests import SessionRequests

_logger = logging.getLogger(__name__)

#: Takes a session that was opened, and the messages, with their arrivals, that came while it
#: subscribed.
OnOpen: TypeAlias = Callable[[Session, tuple[tuple[bytes, int], ...]], None]


#: An attempt to connect, which returns why it failed; None if it did not.
Attempt: TypeAlias = Turn[ConnectFailed | None]


@cache
def _has_passages(transport_type: type[Transport]) -> bool:
    """Whether sessions of a transport go over to another one, or are resumed."""
    return issubclass(transport_type, EngineTransport)


class Connector:
    """Connects one client, each time that it is to have a session.

    Args:
        environment: Locust's.
        run: this process's part in the run.
        connection: the connection's account.
        target: where it connects.
        membership: its user and channels.
        calls: what the client calls as it goes on.
        on_message: gets the messages of all sessions, in the hub.
        on_open: called with each session, in the greenlet that has connected.

    Attributes:
        target: as given; see `aim_at`.
        transport: the latest session's, or that of a later attempt; None before.
        transport_type: the class of the transports.
        session: the latest session; None before.
        requests: the requests of the latest attempt; None before.
        failed: why the latest attempt failed; None if it did not.
        slow: whether to read slowly.
        own_us: what delays of this process took of the latest connect, in microseconds.
        stormed_ns: when a storm ended the session, until the client is back; 0 otherwise (wall
            clock, ns).
        lost_ns: the same for a drop.
    """

    __slots__ = (
        "_before",
        "_calls",
        "_connection",
        "_due_ns",
        "_environment",
        "_membership",
        "_on_message",
        "_on_open",
        "_queue_us",
        "_resumption",
        "_retry_s",
        "_turn",
        "_unheld",
        "_worker_run",
        "failed",
        "lost_ns",
        "own_us",
        "requests",
        "session",
        "slow",
        "stormed_ns",
        "target",
        "transport",
        "transport_type",
    )

    def __init__(
        self,
        environment: Environment,
        run: WorkerRun,
        connection: Connection,
        target: Target,
        membership: Membership,
        calls: ClientCalls,
        on_message: OnMessage,
        on_open: OnOpen,
    ) -> None:
        self._environment = environment
        self._worker_run = run
        self._connection = connection
        self._membership = membership
        self._calls = calls
        self._on_message = on_message
        self._on_open = on_open
        self._turn = run.connections.turn(connection.number)
        self._resumption = Resumption(target)
        self.aim_at(target, run.before_at(None))
        self.transport: Transport | None = None
        self.session: Session | None = None
        # The session that is open, until it is held.
        self._unheld: Session | None = None
        self.requests: SessionRequests | None = None
        self.slow = False
        self.failed: ConnectFailed | None = None
        self._retry_s = 0.0
        # When the first connect was due; 0 once that has succeeded. And how long the latest attempt
        # waited for its turn, in microseconds.
        self._due_ns = 0
        self._queue_us: int | None = None
        self.own_us = 0
        self.stormed_ns = self.lost_ns = 0

    def aim_at(self, target: Target, before: BeforeRequests) -> None:
        """Connect to a target, or to a node, from now on.

        Args:
            target: the target.
            before: makes the requests before connecting.
        """
        self.target, self._before = target, before
        self.transport_type = transport_for(target.profile.transport)

    def ask_first(self, notify: Callable[[Attempt], None] | None = None) -> Attempt:
        """Have the first attempt made when it is due; `connect_first` has to be called.

        Args:
            notify: called once there is something to do; see `ConnectTurns.ask`.
        """
        turns = self._worker_run.connect_turns
        due_s, self._due_ns = turns.next_due()
        return turns.ask(self._attempt, due_s, notify=notify)

    def connect_first(self, asked: Attempt | None) -> bool:
        """Start the first session; return whether there is one.

        Args:
            asked: its first attempt, from `ask_first`; None if it has not been asked for.
        """
        run = self._worker_run
        if asked is None and not run.finished:
            asked = self.ask_first()
        return self.connect(run.options.connect_attempts, asked=asked)

    def take(self) -> tuple[Transport, Session]:
        """Return the transport and the session that was started, to hold it until it ends."""
        self._unheld = None
        assert self.transport is not None  # noqa: S101
        assert self.session is not None  # noqa: S101
        return self.transport, self.session

    @property
    def captured(self) -> Mapping[str, str]:
        """The values captured from the server, by name."""
        return {} if self.requests is None else self.requests.captured

    def connect(
        self,
        attempts: int | None,
        *,
        queued: bool = True,
        again: bool = False,
        asked: Attempt | None = None,
    ) -> bool:
        """Start a session; return whether there is one.

        Args:
            attempts: number of attempts before giving up; None for no limit.
            queued: whether to wait for one of the slots that limit how many connect at a time.
            again: whether the client reconnects by itself; then an answer after which the
                protocol's client does not reconnect ends the attempts.
            asked: the first attempt, if it has been asked for.
        """
        run, attempt = self._worker_run, 0
        turns = run.connect_turns
        make = self._attempt if queued else self._attempt_at_once
        while asked is not None or not run.finished:
            if attempt:
                self.back_off(attempt)
            attempt += 1
            try:
                turn = asked or turns.ask(make, limited=queued)
                asked = None
                failed = self.failed = turns.wait(turn)
            except BaseException:
                self._leave_unheld()
                raise
            if failed is None:
                return True
            if attempt == attempts or (failed.final and again) or isinstance(failed, StayAway):
                break
        return False

    def _leave_unheld(self) -> None:
        """End a session that was opened for a user that was stopped meanwhile."""
        transport, session = self.transport, self._unheld
        if transport is None or session is None:
            return
        self._unheld = None
        transport.leave()
        if self.requests is not None:
            self.requests.end()
        self._worker_run.ledger.close_session(session, wall_ns(), released=True)
        self._worker_run.operations.count_at_node(self._connection.node, "left")

    def back_off(self, attempt: int) -> None:
        """Wait before an attempt.

        Args:
            attempt: how many attempts have failed in a row.
        """
        # The retry time of an event stream is the shortest delay; it applies until the server
        # sends another.
        retry_ms = None if self.transport is None else self.transport.retry_ms
        if retry_ms is not None:
            self._retry_s = retry_ms / 1000
        gevent.sleep(self._retry_s + back_off_s(attempt))

    def redacted(self, server_text: str) -> str:
        """Return a text of the server's without secrets."""
        return server_text if self.requests is None else self.requests.redact(server_text)

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

    def _try_to_connect(self) -> ConnectFailed | None:
        """Make one attempt; return why it failed, None if it did not."""
        run, connection = self._worker_run, self._connection
        run.operations.count_attempt()
        began_ns = wall_ns()
        codes, spec = run.ledger.codes, self.target.profile.spec
        meant_since_ns = codes.oldest_unreceived_ns(began_ns) or began_ns
        requests = self.requests = self._new_requests()
        try:
            last_event_id = "" if self.transport is None else self.transport.last_event_id
            requests.add_values(self._values_before())
            transport = requests.connect(self._make_transport, last_event_id)
        except ConnectFailed as error:
            if self.transport is not None:
                self.transport.leave()
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
        connect_us, self.own_us = times.connect_ns // 1000, times.own_ns // 1000
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
        self._due_ns = self.lost_ns = 0
        run.operations.count_at_node(connection.node, "connected")
        # Another worker's codes may have been announced meanwhile.
        meant_since_ns = min(meant_since_ns, codes.oldest_unreceived_ns(began_ns) or began_ns)
        # What it gets of what was sent before, it recovers.
        returns = spec.guarantee == "resume" and connection.sessions
        since_ns = began_ns if returns else meant_since_ns
        before = self.session if last_event_id else None
        # A client that returns is owed what it missed in any case.
        effect_s = 0.0 if returns else spec.subscribes_within
        connection.source = transport.source
        self.session = self._unheld = run.ledger.open_session(
            connection,
            min(since_ns, began_ns),
            transport.subscribed_ns + round(effect_s * 1e9),
            self._membership.identity.channels,
            None if before is None else before.closed_ns,
        )
        self._on_open(self.session, self._resumption.take())
        run.receipts.connected(connect_us)
        return None

    def _new_requests(self) -> SessionRequests:
        run = self._worker_run
        return SessionRequests(
            self.target,
            self._membership.identity,
            self._before,
            on_upkeep=run.count_upkeep,
            turn=self._turn,
            slow=self.slow,
            resumption=self._resumption,
        )

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
        if self.stormed_ns:
            operations.count_storm_failure((wall_ns() - self.stormed_ns) // 1000)
        elif self.lost_ns:
            operations.count_failed_return((wall_ns() - self.lost_ns) // 1000)
        operations.count_at_node(connection.node, "failed")
        failed = ConnectFailed(error.operation, cause)
        _logger.debug("%s: %s", failed, clean(requests.redact(error.detail)))
        connection.last_cause = str(failed)
        kind, passed_ms = self.transport_type.kind, (wall_ns() - began_ns) / 1e6
        fire(self._environment, kind, "connect", passed_ms, error=failed)

    def _make_transport(self, endpoint: Endpoint) -> Transport:
        self.transport = self.transport_type(
            endpoint,
            self._before.network,
            self._resumption.taking(self._on_message),
            self._worker_run.count_malformed,
        )
        if _has_passages(self.transport_type):
            self.transport.on_passage = self._on_passage  # type: ignore[attr-defined]
        return self.transport

    def _on_passage(self, passage: Passage, cause: str, server_text: str) -> None:
        cause, server_text = map(self.redacted, (cause, server_text))
        compression = "" if self.transport is None else self.transport.compression
        self._worker_run.operations.count_passage(
            passage, cause, server_text, compression=compression
        )
