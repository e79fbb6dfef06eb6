"""One process's part in one run: what its users share, and how it follows the leader."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from functools import partial

import gevent
from gevent.event import Event
from locust.env import Environment

from sseload_users.core.channels import ChannelPlan
from sseload_users.core.clock import wall_ns
from sseload_users.core.ledger import Ledger, OnArrivals
from sseload_users.core.schedule import Schedule
from sseload_users.core.unusual_pairs import UnusualPairs
from sseload_users.options import Options
from sseload_users.run.accounting import Accounting
from sseload_users.run.announcements import Announcements
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.run.channel_assignment import ChannelAssignment
from sseload_users.run.channel_churn import ChannelChurn
from sseload_users.run.churn import Churn
from sseload_users.run.connect_turns import ConnectTurns
from sseload_users.run.connection_plan import ConnectionPlan
from sseload_users.run.emitters import Emitters
from sseload_users.run.link import Link
from sseload_users.run.locust_stats import ReceiptStats
from sseload_users.run.messages import (
    BroadcastOrder,
    CancelBroadcast,
    ClockReply,
    ClockRequest,
    CloseAccount,
    CodeSent,
    CodesNumbered,
    CodeStatus,
    Flap,
    Hello,
    Leaving,
    PhaseEntered,
    PlaceAssigned,
    PublishingStopped,
    RunAssigned,
    StopPublishing,
    Storm,
    ToLeader,
    ToWorker,
    Welcome,
)
from sseload_users.run.observation import Observation
from sseload_users.run.operation_counters import OperationCounters
from sseload_users.run.publication import Publication
from sseload_users.run.resources import Resources
from sseload_users.run.run_clock import RunClock
from sseload_users.run.run_targets import RunTargets
from sseload_users.run.user_gauges import UserGauges
from sseload_users.targets.spec import ProfileSpec
from sseload_users.transports import ConnectFailed
from sseload_users.transports.registry import transport_for

#: Phases in which nobody connects; the first is that of a worker that knows of none.
_NOT_CONNECTING = ("", "warm-up", "disconnect")
#: Seconds within which other workers' codes are normally announced here.
_ANNOUNCED_S = 0.25


class WorkerRun:
    """One process's part in one run.

    Args:
        environment: Locust's environment.
        link: the link to the leader.
        resources: the run's resources.
        assigned: the run's identity, and how many workers it has.

    Attributes:
        options: the run's options.
        run_id: the run's identity.
        network: opens all connections.
        ledger: the account.
        operations: counts what the users do.
        count_upkeep: that of the operations, bound once, as each connection keeps it.
        count_malformed: the same.
        users: what the users are doing at the moment.
        receipts: enters deliveries and connects in Locust's statistics.
        emitters: listeners over whose connections codes can be emitted.
        targets: the users' targets.
        senders: the users that codes are sent as, by publisher.
        connections: gives each connection its identity.
        publication: the codes that the broadcaster sends.
        announced_s: seconds after its sending within which a code is normally announced here.
        churn: ends sessions in the course of the run.
        channel_churn: decides about the connections' moves to other channels.
        may_connect: set once the server is known to be healthy.
        connect_turns: when each user may connect.
    """

    def __init__(
        self, environment: Environment, link: Link, resources: Resources, assigned: RunAssigned
    ) -> None:
        options = self.options = resources.options
        self.run_id = assigned.run_id
        self.network = resources.network
        self.users = UserGauges()
        self.emitters = Emitters()
        self.may_connect = Event()
        self._once_connectable: list[Callable[[], None]] = []
        self.connect_turns: ConnectTurns[ConnectFailed | None] = ConnectTurns(
            options.connect_concurrency, assigned.rate / max(assigned.workers, 1)
        )
        self.senders = resources.senders
        assignment = ChannelAssignment(options, resources.target, resources.identities)
        self._index = max(getattr(environment.runner, "worker_index", 0), 0)
        self.connections = ConnectionPlan(assignment, options.slow_share, self._send, self._index)
        self._link = link
        self._phase = 0
        self._clock = RunClock(
            lambda asked_ns: self._send(ClockRequest(asked_ns)), same=link.role == "local"
        )
        kind = transport_for(resources.target.profile.transport).kind
        channels = assignment.plan(assigned.listeners, self.run_id)
        self.channel_churn = self._make_channel_churn(channels, assigned.listeners)
        spec = resources.target.profile.spec
        self.receipts = ReceiptStats(environment, kind)
        self._accounting = Accounting(
            options,
            partial(_make_ledger, options, spec, channels),
            self.network,
            self.receipts,
            self._clock,
            users=self.users.counts,
            phase=lambda: self._phase,
            send=self._send,
        )
        self.ledger = self._accounting.ledger
        self.announced_s = 0.0 if link.role == "local" else _ANNOUNCED_S
        resumes = spec.guarantee == "resume"
        self.churn = Churn(self.ledger, options.session_length, self.announced_s, returns=resumes)
        self.operations = OperationCounters(self.ledger, self._is_finished)
        self.count_upkeep = self.operations.count_upkeep
        self.count_malformed = self.operations.count_malformed
        self._resources = resources
        self._before: dict[int | None, BeforeRequests] = {}
        self._observation = self._make_observation(spec) if options.observe else None
        self.targets = self._make_targets(resources)
        self.publication = Publication(
            self.ledger,
            channels,
            options.streams,
            self.operations,
            self._clock,
            self._send,
            self._is_finished,
        )
        self._announcements = Announcements(self.ledger, self._clock)

    def before_at(self, node: int | None) -> BeforeRequests:
        """Return what makes the requests before connecting, and has the network.

        Args:
            node: index of the node; None in a run without nodes.
        """
        found = self._before.get(node)
        if found is None:
            resources, options = self._resources, self.options
            own = resources if node is None else resources.at(options.nodes[node])
            found = self._before[node] = BeforeRequests(
                own.network, options.connect_timeout, self.operations.count_renewed_login
            )
        return found

    @property
    def finished(self) -> bool:
        """Whether the account is closed; what ends now is not the server's doing."""
        return self._accounting.closed

    def once_connectable(self, action: Callable[[], None]) -> None:
        """Call a function as soon as users may connect.

        Args:
            action: must not block.
        """
        if self.may_connect.is_set():
            action()
        else:
            self._once_connectable.append(action)

    def begin(self, region: str) -> None:
        """Tell the leader that this process takes part.

        Args:
            region: region that it is in; empty if unknown.
        """
        self._send(Hello(region))

    def from_leader(self, message: ToWorker) -> None:
        """Take a message of this run."""
        match message:
            case PhaseEntered(phase, number):
                self._enter(phase, number)
            case PlaceAssigned(number, place):
                self.connections.assign(number, place)
            case BroadcastOrder(first, codes, interval_s):
                self.publication.orders.put((first, Schedule(codes, interval_s)))
            case CancelBroadcast():
                self.publication.cancelled = True
            case CodeSent() | CodeStatus():
                self._announcements.add(message)
            case CodesNumbered(numbered):
                if self._observation is not None:
                    self._observation.add(numbered)
            case Welcome(phase, number, host):
                self._clock.set_leader_host(host)
                self._enter(phase, number)
                self._announcements.apply()
            case ClockReply(asked_ns, leader_ns):
                self._clock.add_reply(asked_ns, leader_ns)
                self._announcements.apply()
            case StopPublishing():
                self.publication.stop()
                self._send(PublishingStopped())
            case Storm(slowest_us):
                self.ledger.rules.note_delivery(slowest_us * 1000)
                ended = self.churn.storm(wall_ns())
                self.operations.counters.stormed += ended
            case Flap(slowest_us):
                self.ledger.rules.note_delivery(slowest_us * 1000)
                flapped = self.churn.flap(self.options.flap_how, wall_ns())
                self.operations.counters.flapped += flapped
            case CloseAccount(slowest_us):
                self.ledger.rules.note_delivery(slowest_us * 1000)
                self.finish()

    def finish_broadcast(self, first: int) -> None:
        """Report that all codes of an order have an outcome, after what was counted till then.

        Args:
            first: sequence number of the order's first code.
        """
        self._accounting.report()
        self.publication.report_done(first)

    def leave(self) -> None:
        """Make the leader close this account once it is complete, as this process ends."""
        self.publication.stop()
        self._send(Leaving())

    def finish(self) -> None:
        """Close the account and send what is left of it; once."""
        if self._observation is not None:
            self._observation.close()
        # What they were to get meanwhile would have been late: that is no planned end.
        self.operations.drop_absent(wall_ns() - round(self.options.delivery_timeout * 1e9))
        self._accounting.close()
        self.connect_turns.close()

    def _make_channel_churn(self, channels: ChannelPlan | None, connections: int) -> ChannelChurn:
        seed = f"{self.run_id} {self._index}"
        return ChannelChurn(self.options.channel_churn, channels, connections, seed)

    def _make_observation(self, spec: ProfileSpec) -> Observation:
        return Observation(self.ledger, self._clock, self._send, in_row=spec.code.sequence)

    def _make_targets(self, resources: Resources) -> RunTargets:
        return RunTargets(
            resources,
            self.run_id,
            self.ledger,
            self.operations,
            self._note_size,
            None if self._observation is None else self._observation.codes,
        )

    def _enter(self, phase: str, number: int) -> None:
        self._phase = number
        if phase not in _NOT_CONNECTING:
            self.may_connect.set()
            actions, self._once_connectable = self._once_connectable, []
            for each in actions:
                each()

    def _send(self, message: ToLeader) -> None:
        self._link.to_leader(self.run_id, message)

    def _is_finished(self) -> bool:
        return self._accounting.closed

    def _note_size(self, message_bytes: int) -> None:
        # Messages with a code hardly differ in size.
        self._accounting.message_bytes = message_bytes


def _make_ledger(
    options: Options, spec: ProfileSpec, channels: ChannelPlan | None, on_arrivals: OnArrivals
) -> Ledger:
    return Ledger(
        options.delivery_timeout,
        on_arrivals,
        channels,
        streams=options.streams,
        resume=spec.guarantee == "resume",
        history=spec.history,
        unusual=UnusualPairs() if options.deliveries_csv else None,
    )


_worker_runs: weakref.WeakKeyDictionary[Environment, WorkerRun | None] = weakref.WeakKeyDictionary()

#: Seconds that users wait for their run: a worker has to ask the leader for it first.
_WAIT_S = 10.0


def worker_run_of(environment: Environment) -> WorkerRun:
    """Return this process's part in the run that is in progress; wait until it is known.

    Raises:
        RuntimeError: there is none: the plugin was not loaded before Locust's test started.
        GreenletExit: the run cannot be carried out here. That has been reported, and Locust,
            which owns the greenlet, creates no users.
    """
    if (known := _worker_runs.get(environment)) is not None:
        return known
    deadline = time.monotonic() + _WAIT_S
    while environment not in _worker_runs:
        if time.monotonic() > deadline:
            raise RuntimeError(
                "no run of sseload is in progress: import sseload_users in the locustfile"
            )
        gevent.sleep(0.01)
    run = _worker_runs[environment]
    if run is None:
        raise gevent.GreenletExit
    return run


def set_worker_run(environment: Environment, run: WorkerRun | None) -> None:
    """Set this process's part in the run; None if it cannot be carried out here."""
    _worker_runs[environment] = run


def clear_worker_run(environment: Environment) -> None:
    """Make users wait until this process's part in the next run is set."""
    _worker_runs.pop(environment, None)
