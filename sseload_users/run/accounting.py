"""Keeps the account of one process during a run: settles, samples and reports it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import gevent

from sseload_users.core.catching_up import count_catching_up
from sseload_users.core.clock import wall_ns
from sseload_users.core.connection_row import connection_row, received_per_connection
from sseload_users.core.histogram import CoarseHistogram
from sseload_users.core.ledger import Ledger, OnArrivals
from sseload_users.core.timestamps import count_imprecise
from sseload_users.core.worker_report import Gauges, UserCounts, WorkerReport
from sseload_users.options import Options
from sseload_users.run.generator_load import GeneratorLoad
from sseload_users.run.locust_stats import ReceiptStats
from sseload_users.run.messages import AccountReport, ClockStepped, ToLeader, WorkerFailed
from sseload_users.run.run_clock import RunClock
from sseload_users.transports.network import Network

_logger = logging.getLogger(__name__)

#: Seconds from one update of the account to the next.
_TICK_S = 0.25
#: Seconds for which messages are read after a stall, before the account is updated.
_READ_S = 0.05
#: Number of updates from one report to the next.
_REPORT_TICKS = 2

_S = 1_000_000_000


class Accounting:
    """Keeps the account of one process during a run.

    Every quarter of a second it settles the codes that are due, and every half a second it
    reports to the leader what has been counted since the last report.

    Args:
        options: the run's options.
        make_ledger: makes the ledger, which calls its argument with arrivals.
        network: has the generator's lag.
        receipts: enters deliveries and connects in Locust's statistics.
        clock: converts times to the leader's clock.
        users: returns what the users are doing at the moment.
        phase: returns the number of the phase that this worker knows of.
        send: sends a message to the leader.

    Attributes:
        ledger: the account.
        message_bytes: size of a message with a code.
        closed: whether the account is closed.
    """

    def __init__(
        self,
        options: Options,
        make_ledger: Callable[[OnArrivals], Ledger],
        network: Network,
        receipts: ReceiptStats,
        clock: RunClock,
        *,
        users: Callable[[], UserCounts],
        phase: Callable[[], int],
        send: Callable[[ToLeader], None],
    ) -> None:
        self.ledger = make_ledger(self._on_arrivals)
        self.message_bytes = 0
        self.closed = False
        self._options = options
        self._network = network
        self._receipts = receipts
        self._clock = clock
        self._users = users
        self._phase = phase
        self._send = send
        self._closing = False
        # What the leader waits for, at the last update; see `_reached_goal`.
        self._goals = (True, True, True)
        self._load = GeneratorLoad()
        self._peak_open = 0
        self._sampled_s = wall_ns() // _S
        self._updated_s = time.monotonic()
        self._ticker = gevent.spawn(self._tick)

    def close(self) -> None:
        """Close the account and send what is left of it, once."""
        if self._closing:
            return
        self._closing = True
        self._catch_up(self._updated_s + _TICK_S)
        now = wall_ns()
        # These attempts will be interrupted: neither successes nor failures.
        self.ledger.tally.counters.attempted -= self._users().connecting
        self._receipts.enter_connects()
        self.ledger.report_arrivals()
        self.ledger.release_all(now)
        self.ledger.settle(now, final=True)
        self.closed = True
        self._enter_untimed()
        self._sample(now)
        self._ticker.kill(block=False)
        self._clock.close()
        self._network.close_silent()
        self.report(final=True)

    def _tick(self) -> None:
        ticks = 0
        while True:
            due = time.monotonic() + _TICK_S
            gevent.sleep(_TICK_S)
            self._load.stalls.add(round((time.monotonic() - due) * 1e6))
            self._catch_up(due)
            ticks += 1
            try:
                self._update(report=ticks % _REPORT_TICKS == 0 or self._reached_goal())
            except Exception as error:
                # A defect in sseload: the account is no longer reliable.
                _logger.exception("The account could not be updated")
                reason = f"the account cannot be updated ({type(error).__name__}), see the log."
                self._send(WorkerFailed(reason))

    def _reached_goal(self) -> bool:
        """Whether the leader waits for something that has happened since the last update.

        It waits until no user is about to connect, no user listens, or no code is in flight.
        """
        before, users = self._goals, self._users()
        self._goals = (not users.pending, not users.listeners, not self.ledger.codes.awaited())
        return any(now and not then for now, then in zip(self._goals, before, strict=True))

    def _catch_up(self, due_s: float) -> None:
        """After a stall, let messages be read before their codes are counted as missing.

        Args:
            due_s: when the update was due (monotonic clock, s).
        """
        if time.monotonic() > due_s + _TICK_S:
            gevent.sleep(_READ_S)
        self._updated_s = time.monotonic()

    def _update(self, *, report: bool) -> None:
        step_ns = self._clock.step_ns()
        now = wall_ns()
        if step_ns:
            self._send(ClockStepped(self._clock.host, step_ns))
            # Seconds that the clock skipped or repeats have no samples of their own.
            self._sampled_s = now // _S
        self._receipts.enter_connects()
        self.ledger.report_arrivals()
        self.ledger.settle(now)
        if now // _S > self._sampled_s:
            self._sample(now)
        self._peak_open = max(self._peak_open, self.ledger.open_sessions)
        if report:
            self.report()

    def _on_arrivals(self, latencies_us: list[int], arrived_ns: list[int]) -> None:
        self.ledger.rules.note_delivery(latencies_us[-1] * 1000)
        tally = self.ledger.tally
        earliest_us = -((self._clock.clocks.error_ns + self._clock.sender_error_ns) // 1000)
        if latencies_us[0] < earliest_us:
            tally.counters.before_sent += sum(each < earliest_us for each in latencies_us)
        if self._network.lag.imprecise:
            tally.counters.imprecise += count_imprecise(arrived_ns)
        first, last = arrived_ns[0] // _S, arrived_ns[-1] // _S
        if first == last:
            second = tally.second(arrived_ns[0])
            second.received += len(latencies_us)
            second.delivery.add_all(latencies_us)
        else:
            for latency, arrived in zip(latencies_us, arrived_ns, strict=True):
                second = tally.second(arrived)
                second.received += 1
                second.delivery.add(latency)
        self._receipts.delivered(latencies_us, self.message_bytes)

    def _enter_untimed(self) -> None:
        """Enter what has no latency in Locust's statistics: recovered codes, and losses."""
        self._receipts.recovered(sum(each.recovered for each in self.ledger.connections))
        total = {"late": 0, "missing": 0, "interrupted": 0}
        for connection in self.ledger.connections:
            for outcome in total:
                total[outcome] += getattr(connection, outcome)
        for outcome, count in total.items():
            self._receipts.failed(outcome, count)

    def _sample(self, now_ns: int) -> None:
        """Sample the seconds that have ended: one sample for each."""
        self._load.sample()
        lag = CoarseHistogram()
        lag.add_counted(self._network.lag.drain())
        tally = self.ledger.tally
        connecting, stalls = self._users().connecting, self._load.take_stalls()
        tally.lag.merge(lag)
        tally.stamp_error.add_counted(self._network.lag.drain_errors())
        wire, inflated, flushes = self._network.inflation.drain()
        tally.counters.compressed_bytes += wire
        tally.counters.inflated_bytes += inflated
        tally.counters.flushes += flushes
        tally.addresses.update(self._network.dialer.turns.drain())
        now_s = now_ns // _S
        for second_s in range(self._sampled_s, max(now_s, self._sampled_s + 1)):
            second = tally.second(second_s * _S)
            second.open = self.ledger.open_sessions
            second.connecting = connecting
            second.cpu_percent = self._load.cpu_percent
            second.waited_percent = self._load.waited_percent
            second.busy_percent = self._load.busy_percent
            second.rss_mib = self._load.rss_now_mib
            second.stall_us = stalls.max_us
        second.lag.merge(lag)
        tally.stalls.merge(stalls)
        self._sampled_s = max(now_s, self._sampled_s + 1)

    def report(self, *, final: bool = False) -> None:
        """Report what has been counted since the last report.

        Args:
            final: whether the account is closed; the report then has a row per connection.
        """
        if self.closed and not final:
            return
        owed, delivered = self.ledger.codes.pairs_in_flight(self.ledger.audience)
        news = self.ledger.take()
        clocks = self._clock.clocks
        if clocks.known and not clocks.same:
            news.convert_times(
                clocks.to_leader, lambda here_ns: here_ns + clocks.difference_at(here_ns).ns
            )
        wants_rows = final and (
            self._options.delivery_report is not None or bool(self._options.history)
        )
        connections = self.ledger.connections if wants_rows else ()
        report = WorkerReport(
            tally=news,
            received=received_per_connection(self.ledger.connections),
            gauges=self._gauges(owed, delivered),
            final=final,
            connections=tuple(map(connection_row, connections)),
            unusual=self.ledger.unusual.rows() if wants_rows and self.ledger.unusual else (),
        )
        self._send(AccountReport(report))

    def _gauges(self, owed: int, delivered: int) -> Gauges:
        users, clocks = self._users(), self._clock.clocks
        in_flight = self.ledger.codes.awaited()
        return Gauges(
            listeners=users.listeners,
            broadcasters=users.broadcasters,
            pending=users.pending,
            connecting=users.connecting,
            phase=self._phase(),
            open=0 if self.closed else self.ledger.open_sessions,
            peak_open=self._peak_open,
            in_flight=in_flight,
            owed=owed,
            delivered=delivered,
            cpu_percent=self._load.cpu_percent,
            waited_percent=self._load.waited_percent,
            rss_mib=self._load.rss_mib,
            clock_known=clocks.known,
            clock_error_ns=clocks.error_ns,
            timestamps=self._network.timestamps,
            catching_up=0 if in_flight else self._catching_up(),
        )

    def _catching_up(self) -> int:
        ledger = self.ledger
        settled, timeout_ns = ledger.codes.settled, ledger.rules.timeout_ns
        return count_catching_up(ledger.audience, settled, timeout_ns, wall_ns())
