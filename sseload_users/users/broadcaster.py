"""The user that broadcasts: codes go in on a schedule, whatever became of the ones before."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import gevent
from gevent.event import Event
from locust import FastHttpUser, task
from locust.env import Environment

from sseload_users.core.clock import wall_ns
from sseload_users.core.code_tally import Status
from sseload_users.core.codes import CodeShape
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten
from sseload_users.core.payload_sizes import PayloadSizes
from sseload_users.core.sessions import Session
from sseload_users.run.locust_stats import fire
from sseload_users.run.operation_counters import reported_text
from sseload_users.run.publication import Publication
from sseload_users.run.sender_pool import SenderPool
from sseload_users.run.worker_run import worker_run_of
from sseload_users.targets import Emitting, Identity, Publishing, Target
from sseload_users.targets.hosts import split_node
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.users.ingest_client import IngestClient
from sseload_users.users.login import Login
from sseload_users.users.publishers import NAME, IngestFailed, Publisher
from sseload_users.users.publishers.connection import ConnectionPublisher
from sseload_users.users.publishers.emitting import EmittingPublisher
from sseload_users.users.publishers.hook import HookPublisher
from sseload_users.users.publishers.http import HttpPublisher
from sseload_users.verdict import hints

_logger = logging.getLogger(__name__)

#: Most codes in flight of one publisher at one node. With as many unanswered, codes go out late,
#: and that is recorded.
_IN_FLIGHT = 256
#: Most characters of a cause that an exception gives.
_MAX_CAUSE = 120


class CodeBroadcaster(FastHttpUser):
    """Sends the run's codes on an open-loop schedule. A run has exactly one.

    Subclass it to set in code what the options set; an attribute that is None leaves the
    choice to its option.
    """

    abstract = False
    fixed_count = 1

    target: ClassVar[str | None] = None
    """Target profile: a built-in name or the path of a .toml file. One for the whole run;
    `--target` if None."""

    username: ClassVar[str | None] = None
    """User that codes are sent as. `--sender` if None."""

    codes: ClassVar[int | None] = None
    """Number of codes to send. One for the whole run; `--codes` if None."""

    duration: ClassVar[float | None] = None
    """Seconds over which the codes are spread evenly. One for the whole run; `--duration` if
    None."""

    ingest_timeout: ClassVar[float | None] = None
    """Seconds within which the server must respond to a code. One for the whole run;
    `--ingest-timeout` if None."""

    def __init__(self, environment: Environment) -> None:
        self._worker_run = run = worker_run_of(environment)
        super().__init__(environment)
        self._streams = run.options.streams
        # An observation sends nothing, and its profile need not say how.
        streams = () if run.options.observe else range(self._streams.count)
        self._lines = [self._make_line(stream) for stream in streams]
        targets = [each.target for each in self._lines]
        self._shape = run.targets.shape(
            targets[0] if targets else run.targets.target(self.target, self.host)
        )
        self._sizes = PayloadSizes.parse(run.options.payload_bytes)
        # If nodes restart as planned, a code whose turn comes meanwhile goes to another one; but
        # not if a node has never taken any.
        planned = bool(targets) and targets[0].profile.spec.planned_ends
        self._ways = max(len(run.options.nodes), 1) if planned else 1
        self._used: set[int] = set()
        # Types of exceptions that are logged already.
        self._logged: set[type[Exception]] = set()

    @task
    def broadcast(self) -> None:
        """Send codes when their time comes: the only task, and it never returns.

        In an observation there are no orders, so it sends nothing.
        """
        run, requests = self._worker_run, SenderPool(_IN_FLIGHT * self._streams.count)
        with run.users.broadcasting, run.publication.in_progress(requests):
            try:
                self._open()
                while True:
                    first, schedule = run.publication.next_order()
                    start = time.monotonic()
                    for sequence, offset in schedule:
                        gevent.sleep(max(start + offset - time.monotonic(), 0))
                        if run.publication.cancelled:
                            break
                        number, due = first - 1 + sequence, start + offset
                        requests.call(partial(self._send, number, due))
                    requests.join()
                    run.finish_broadcast(first)
            finally:
                for line in self._lines:
                    line.publisher.close()

    def publish(self, code: str) -> None:
        """Hand in a code, instead of what the profile's `[ingest]` describes.

        Override it to hand codes in by other means: Redis, MQTT, a queue, a database. Return when
        the code is sent, or the other side has accepted it; raise an exception if it was not
        sent. It may block: each code has a greenlet of its own.

        Args:
            code: the text to broadcast, which contains the time of this call.
        """
        raise NotImplementedError

    @classmethod
    def ingest_way(cls) -> str:
        """Return how codes are handed in, if that is by `publish`; else an empty text."""
        if cls.publish is CodeBroadcaster.publish:
            return ""
        return f"Python: {cls.__name__}.publish"

    def stop(self, force: bool = False) -> bool:
        """Stop at once: with --stop-timeout, Locust would wait for a task that only waits."""
        del force
        return bool(super().stop(force=True))

    def _make_line(self, stream: int) -> _Line:
        """Return what hands in the codes of a stream."""
        run, nodes = self._worker_run, self._worker_run.options.nodes
        identity = run.senders[self._streams.publisher(stream)]
        node = self._streams.node(stream) if nodes else None
        host = self.host if node is None else split_node(nodes[node])[0]
        target = run.targets.target(self.target, host)
        return _Line(self._make_publisher(target, identity, node), target, identity)

    def _make_publisher(self, target: Target, identity: Identity, node: int | None) -> Publisher:
        run = self._worker_run
        before = run.before_at(node)
        if self.ingest_way():
            return HookPublisher(self.environment, self.publish, run.options.ingest_timeout)
        publishing = Publishing.of(target)
        if publishing is not None:
            return ConnectionPublisher(self.environment, run, publishing, identity, before)
        emitting = Emitting.of(target)
        if emitting is not None:
            return EmittingPublisher(self.environment, run, emitting, node)
        login = Login(target, identity, before)
        timeout_s = run.options.ingest_timeout
        client = IngestClient(before.network, timeout_s)
        return HttpPublisher(
            self.environment, client, target, identity, login, timeout_s, self.context
        )

    def _open(self) -> None:
        """Open all publishers. If one fails, have the run ended and wait for its end."""
        run = self._worker_run
        with run.users.pending:
            run.may_connect.wait()
            for line in self._lines:
                try:
                    line.publisher.open()
                except ConnectFailed as error:
                    self._refuse(line.target, error)
                except ConfigError as error:
                    # Locust would begin this task again and again.
                    run.publication.report_failure(f"Codes cannot be handed in: {error}")
                    Event().wait()

    def _refuse(self, target: Target, error: ConnectFailed) -> None:
        """Have the run ended, as codes cannot be handed in, and wait for its end."""
        why = (error.operation, error.cause, error.server_text)
        hint = target.profile.advice(*why) or hints.hint(*why)
        text = reported_text(error.cause, error.server_text)
        quoted = f" ({text})" if text else ""
        at = f" at {target.host}" if self._worker_run.options.nodes else ""
        self._worker_run.publication.report_failure(
            f"Codes cannot be handed in{at}: {target.public()['ingest']}: "
            f"{error.operation}: {error.cause}{quoted}. {hint}".rstrip()
        )
        Event().wait()

    def _send(self, sequence: int, due: float) -> None:
        """Publish one code; it has an outcome whatever happens."""
        if self._worker_run.publication.stopped:
            return
        size = 0 if self._sizes is None else self._sizes.size_of(sequence)
        draft = _Draft(self._worker_run.publication, self._shape, sequence, due, size)
        stream = self._streams.stream_of(sequence)
        for diverted in range(self._ways if stream in self._used else 1):
            # Successive streams are at successive nodes.
            at = (stream + diverted) % self._streams.count
            line = self._lines[at]
            draft.node = self._streams.node(at) if diverted else None
            draft.may_divert = stream in self._used and diverted + 1 < self._ways
            try:
                line.publisher.publish(draft)
            except Exception as error:  # noqa: BLE001 - the code stays in the account
                self._fail(draft, error, line)
            if draft.sent:
                self._used.add(at)
            if draft.finished:
                return

    def _fail(self, draft: _Draft, error: Exception, line: _Line) -> None:
        """Record the outcome of a code whose publisher raised an exception."""
        if draft.finished:
            return
        if isinstance(error, OSError):
            cause = cause_of(error)
        elif isinstance(error, ConnectFailed):
            cause = f"{error.operation}: {error.cause}"
        elif isinstance(error, ConfigError):
            cause = str(error)
        else:
            cause = shorten(f"{type(error).__name__}: {clean(error)}".rstrip(" :"), _MAX_CAUSE)
            if type(error) not in self._logged:
                self._logged.add(type(error))
                _logger.exception("A code was not sent (logged once for its type)")
        status: Status = "unanswered" if draft.sent else "unsent"
        counted = draft.record_outcome(status, 0, line.target.redact(cause, line.identity), "")
        failed = IngestFailed(f"{status}: {counted}")
        fire(self.environment, "CODE", NAME, None, error=failed)


@dataclass(frozen=True, slots=True)
class _Line:
    """What hands in the codes of one stream.

    Attributes:
        publisher: hands them in.
        target: the server, or the node.
        identity: the user that sends them.
    """

    publisher: Publisher
    target: Target
    identity: Identity


class _Draft:
    """A code that is due; see `publishers.Draft`.

    Args:
        publication: records its outcome.
        shape: shape of the run's codes.
        sequence: its sequence number.
        due: when it should be sent (monotonic clock, s).
        payload_bytes: size to which the payload that carries it is padded; 0 for no padding.

    Attributes:
        channel: the channel that it goes to; None in a run without channels.
        payload_bytes: as given.
        sent: whether its bytes were handed to the kernel.
        finished: whether its outcome is recorded.
        node: index of the node that it goes to; None for the one whose turn it is.
        may_divert: whether it goes to another node if it is not sent.
    """

    __slots__ = (
        "_begun_ns",
        "_due",
        "_publication",
        "_sequence",
        "_shape",
        "channel",
        "finished",
        "may_divert",
        "node",
        "payload_bytes",
        "sent",
    )

    def __init__(
        self,
        publication: Publication,
        shape: CodeShape,
        sequence: int,
        due: float,
        payload_bytes: int,
    ) -> None:
        self._publication = publication
        self._shape = shape
        self._sequence = sequence
        self._due = due
        self.channel = publication.channel_of(sequence)
        self.payload_bytes = payload_bytes
        self.sent = self.finished = self.may_divert = False
        self.node: int | None = None
        self._begun_ns: int | None = None

    def text(self, sent_ns: int) -> str:
        """Return its text if it is sent at that time (wall clock, ns)."""
        return self._shape.mint(self._sequence, sent_ns)

    def record_begun(self, at_ns: int) -> None:
        """Record that the first of several requests for it was written; see `publishers.Draft`."""
        self._begun_ns = at_ns

    def record_sent(
        self, sent_ns: int, exempt: Session | None = None, text_ns: int | None = None
    ) -> None:
        """Record that it was sent at that time (wall clock, ns); see `publishers.Draft`."""
        self.sent = True
        begun_ns = sent_ns if self._begun_ns is None else self._begun_ns
        since_s = (wall_ns() - begun_ns) / 1e9
        slip_us = round((time.monotonic() - since_s - self._due) * 1e6)
        dated = None
        if self._shape.has_send_time:
            dated = sent_ns if text_ns is None else text_ns
        self._publication.record_sent(self._sequence, sent_ns, slip_us, dated, exempt, self.node)

    def record_outcome(
        self, status: Status, ingest_us: int, cause: str | None, server_text: str
    ) -> str | None:
        """Record its outcome, unless it goes to another node; return the cause if it failed."""
        untouched = not self.sent and self._begun_ns is None
        if status == "unsent" and self.may_divert and untouched:
            return cause
        self.finished = True
        return self._publication.record_outcome(
            self._sequence, status, ingest_us, cause, server_text
        )
