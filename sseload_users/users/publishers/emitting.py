"""The publisher that has codes emitted by the listeners of its process, in turn."""

from __future__ import annotations

import time

import gevent
from locust.env import Environment

from sseload_users.core.clock import wall_ns
from sseload_users.core.code_tally import Status
from sseload_users.run.locust_stats import fire
from sseload_users.run.worker_run import WorkerRun
from sseload_users.targets import Emitting
from sseload_users.transports.registry import transport_for
from sseload_users.users.publishers import NAME, Draft, IngestFailed

#: Seconds between two checks whether a listener can send.
_POLL_S = 0.005


class EmittingPublisher:
    """Has each code emitted over the connection of another listener.

    A code is accepted once it is written: a listener's connection is not observed for answers.

    Args:
        environment: Locust's.
        run: this process's part in the run; knows its listeners.
        emitting: what a listener sends.
        node: index of the node whose listeners send; None for any.
    """

    def __init__(
        self, environment: Environment, run: WorkerRun, emitting: Emitting, node: int | None
    ) -> None:
        self._environment = environment
        self._worker_run = run
        self._emitting = emitting
        self._node = node
        self._kind = transport_for(emitting.target.profile.transport).kind

    def open(self) -> None:
        """Do nothing: the listeners connect."""

    def publish(self, draft: Draft) -> None:
        """Have the next listener emit a code."""
        began_ns = wall_ns()
        cause = self._emit(draft)
        took_us = (wall_ns() - began_ns) // 1000
        status: Status = "accepted" if cause is None else "unsent"
        cause = draft.record_outcome(status, took_us, cause, "")
        error = None if cause is None else IngestFailed(f"{status}: {cause}")
        fire(self._environment, self._kind, NAME, took_us / 1000, error=error)

    def close(self) -> None:
        """Do nothing: the listeners leave by themselves."""

    def _emit(self, draft: Draft) -> str | None:
        """Emit a code; return None, or why it was not sent."""
        emitters = self._worker_run.emitters
        deadline = time.monotonic() + self._worker_run.options.ingest_timeout
        while (emitter := emitters.next(draft.channel, self._node)) is None:
            if not len(emitters):
                return "no listener is connected"
            if time.monotonic() >= deadline:
                return "timed out"
            gevent.sleep(_POLL_S)
        sent_ns = wall_ns()
        text = self._emitting.frame(
            draft.text(sent_ns),
            emitter.identity,
            emitter.captured,
            draft.channel,
            draft.payload_bytes,
        )
        if not emitter.transport.send(text):
            return "connection closed"
        draft.record_sent(sent_ns, None if self._emitting.echo else emitter.session)
        return None
