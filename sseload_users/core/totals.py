"""The account of the whole run, from what its workers report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sseload_users.core.channel_totals import ChannelTotals
from sseload_users.core.channels import ChannelPlan
from sseload_users.core.code_tally import GroupOutcomes, Outcomes, Status
from sseload_users.core.connection_row import ConnectionRow
from sseload_users.core.counters import Counters
from sseload_users.core.evidence import Evidence
from sseload_users.core.histogram import Histogram
from sseload_users.core.node_totals import NodeTotals
from sseload_users.core.payload_sizes import PayloadSizes
from sseload_users.core.percentile_history import PercentileHistory
from sseload_users.core.run_tally import RunTally
from sseload_users.core.second import highest
from sseload_users.core.streams import ONE_STREAM, StreamPlan
from sseload_users.core.unusual_pairs import Pair
from sseload_users.core.worker_report import Gauges, WorkerReport

_S = 1_000_000_000


@dataclass(slots=True)
class WorkerTotals:
    """The account of one worker.

    Attributes:
        name: name for people.
        region: region the worker says it is in; empty if it does not.
        gauges: its state at its last report; None before its first.
        cpu_percent: most CPU it used, 100 for a whole core; None if unknown.
        waited_percent: longest time that it waited for a core in a second, in percent of it;
            None if unknown.
        counters: its part of the tally's counters.
        outcomes: its part of the outcomes.
        connect: its connect times, in microseconds.
        delivery: its delivery latencies, in microseconds.
        received: number of its connections by number of codes received in time.
        connections: its part of connections.csv; empty before its final report.
        unusual: its part of deliveries.csv.
        evidence: what its losses and drops have in common.
        final: its account is closed and complete here.
        lost: it disappeared without closing its account.
        left: it closed its account and left while the run went on.
    """

    name: str = ""
    region: str = ""
    gauges: Gauges | None = None
    cpu_percent: float | None = None
    waited_percent: float | None = None
    counters: Counters = field(default_factory=Counters)
    outcomes: Outcomes = field(default_factory=Outcomes)
    connect: Histogram = field(default_factory=Histogram)
    delivery: Histogram = field(default_factory=Histogram)
    received: Counter[int] = field(default_factory=Counter)
    connections: Sequence[ConnectionRow] = ()
    unusual: Sequence[Pair] = ()
    evidence: Evidence = field(default_factory=Evidence)
    final: bool = False
    lost: bool = False
    left: bool = False


class Totals:
    """The account of all workers together.

    Args:
        first_code: lowest sequence number of the codes that count; those of an earlier step
            do not.
        plan: deals codes to channels; None for a run without channels.
        nodes: the account of each node; None in a run without nodes, and for a step.
        sizes: sizes of the payloads that carry codes; None if they are not padded.
        streams: deals codes to publishers and nodes.

    Attributes:
        workers: each worker's account, by its id.
        tally: sum of all that was counted.
        percentiles: percentiles of each code and each second.
        outcomes: sum of the outcomes of all codes.
        paces: of connections that read slowly (True), and of the others; empty in a run without
            slow readers.
        channels: the account of each channel; None for a run without channels.
        nodes: as given.
        statuses: number of codes by status.
        ids: what identifies the messages of an observation, by sequence number.
        sent: number of codes whose request was written.
        peak_open: most connections that were open at once.
    """

    def __init__(
        self,
        first_code: int = 0,
        plan: ChannelPlan | None = None,
        *,
        nodes: NodeTotals | None = None,
        sizes: PayloadSizes | None = None,
        streams: StreamPlan = ONE_STREAM,
    ) -> None:
        self.workers: dict[str, WorkerTotals] = {}
        self.tally = RunTally()
        self.percentiles = PercentileHistory(self.tally)
        self.outcomes = Outcomes()
        self.paces: dict[bool, GroupOutcomes] = {}
        self.channels = None if plan is None else ChannelTotals(plan)
        self.nodes = nodes
        self.statuses: Counter[Status] = Counter()
        self.ids: dict[int, str] = {}
        self.sent = 0
        self.peak_open = 0
        self._step: Totals | None = None
        self._first_code = first_code
        self._plan = plan
        self._sizes = sizes
        self._streams = streams

    def worker(self, name: str) -> WorkerTotals:
        """Return a worker's account; create it if there is none."""
        found = self.workers.get(name)
        if found is None:
            found = self.workers[name] = WorkerTotals(name)
        return found

    def announce(
        self, sequence: int, sent_ns: int, slip_us: int | None = None, node: int | None = None
    ) -> None:
        """Note that a code was sent; if it was before, that sending was refused.

        Args:
            sequence: the code's sequence number.
            sent_ns: when it was sent (the leader's wall clock, ns).
            slip_us: how much later than scheduled that was; None if unknown.
            node: index of the node that it was sent to; None for the one whose turn it was.
        """
        if self._step is not None:
            self._step.announce(sequence, sent_ns, slip_us)
        code = self.tally.code(sequence)
        if code.sent_ns:
            self.tally.second(code.sent_ns).sent -= 1
        else:
            self.sent += 1
            if self.channels is not None:
                self.channels.count_sent(sequence)
            if self.nodes is not None:
                self.nodes.count_sent(sequence, node)
            if slip_us is not None:
                self.tally.slip.add(slip_us)
        code.sent_ns = sent_ns
        self.tally.second(sent_ns).sent += 1
        self.percentiles.touch_code(sequence)
        self.percentiles.touch_second(sent_ns // _S)

    def set_status(
        self,
        sequence: int,
        status: Status,
        ingest_us: int | None = None,
        cause: str | None = None,
        at_ns: int = 0,
        *,
        server_text: str = "",
    ) -> None:
        """Set the status of a code; a later one replaces an earlier one.

        Args:
            sequence: the code's sequence number.
            status: its status.
            ingest_us: time from its sending to the response; None if unknown.
            cause: why its request failed; None if it did not.
            at_ns: when it failed (the leader's wall clock, ns).
            server_text: the server's own words where it failed.
        """
        code = self.tally.code(sequence)
        if code.status != "pending":
            self.statuses[code.status] -= 1
        if self._step is not None:
            self._step.set_status(
                sequence, status, ingest_us, cause, at_ns, server_text=server_text
            )
        code.status = status
        self.statuses[status] += 1
        self.percentiles.touch_code(sequence)
        if cause is not None:
            self.tally.count_failure("ingest", cause, at_ns, server_text)
            self.percentiles.touch_second(at_ns // _S)
        elif ingest_us is not None:
            self.tally.ingest.add(ingest_us)

    def add_report(self, name: str, report: WorkerReport) -> None:
        """Add a worker's report.

        Args:
            name: id of the worker.
            report: its report.
        """
        worker, news, gauges = self.worker(name), report.tally, report.gauges
        news.leaks = [each.at(worker.name) for each in news.leaks]
        if self._step is not None:
            self._step.add_report(name, report)
        self.tally.merge(news, self._first_code)
        for sequence, code in news.codes.items():
            if sequence < self._first_code:
                continue
            self.outcomes.add(code)
            worker.outcomes.add(code)
            worker.delivery.merge(code.latencies)
            if self.channels is not None:
                self.channels.add(sequence, code)
            if self.nodes is not None:
                self.nodes.add(sequence, code)
            for slow, outcomes in (code.paces or {}).items():
                self.paces.setdefault(slow, GroupOutcomes()).merge(outcomes)
            self.percentiles.touch_code(sequence)
        for second in news.seconds:
            self.percentiles.touch_second(second)
        worker.evidence.merge(news.evidence)
        worker.counters += news.counters
        worker.connect.merge(news.connect)
        worker.gauges = gauges
        worker.cpu_percent = highest((worker.cpu_percent, gauges.cpu_percent))
        worker.waited_percent = highest((worker.waited_percent, gauges.waited_percent))
        worker.received = Counter(report.received)
        worker.final = worker.final or report.final
        if report.connections:
            worker.connections = report.connections
        if report.unusual:
            worker.unusual = report.unusual
        if len(self.workers) == 1:
            self.peak_open = max(self.peak_open, gauges.peak_open)
        self.peak_open = max(self.peak_open, self.sum_gauges(lambda each: each.open))

    def begin_step(self, first_code: int) -> None:
        """Begin an account of one step beside that of the whole run.

        Args:
            first_code: sequence number of the step's first code.
        """
        self._step = Totals(first_code, self._plan, sizes=self._sizes)

    def end_step(self) -> Totals:
        """End the account of the step and return it."""
        step, self._step = self._step, None
        return step or Totals()

    def channel_of(self, sequence: int) -> str:
        """Return the channel that a code goes to; empty in a run without channels."""
        return "" if self._plan is None else self._plan.channel_of(sequence)

    def publisher_of(self, sequence: int) -> int | None:
        """Return the publisher of a code, from 0; None in a run with one."""
        if self._streams.publishers == 1:
            return None
        return self._streams.publisher(self._streams.stream_of(sequence))

    def payload_bytes(self, sequence: int) -> int | None:
        """Return the size to which a code's payload is padded, in bytes; None if it is not."""
        return None if self._sizes is None else self._sizes.size_of(sequence)

    def sum_gauges(self, gauge: Callable[[Gauges], int]) -> int:
        """Return the sum of a gauge over all workers."""
        return sum(gauge(each.gauges) for each in self.workers.values() if each.gauges)

    def clock_error_ms(self) -> float:
        """Return the error of a latency between two workers that their clocks can cause."""
        errors = sorted(each.gauges.clock_error_ns for each in self.workers.values() if each.gauges)
        return float(sum(errors[-2:])) / 1e6

    def received_per_connection(self) -> Counter[int]:
        """Return the number of connections by number of codes received in time."""
        total: Counter[int] = Counter()
        for each in self.workers.values():
            total.update(each.received)
        return total

    def fold(self, now_ns: int) -> None:
        """Archive old codes and seconds, so that the memory of a long run stays small.

        Args:
            now_ns: the time (wall clock, ns).
        """
        if self._step is not None:
            self._step.fold(now_ns)
        self.percentiles.fold(now_ns)

    def delivery(self) -> Histogram:
        """Return the delivery latencies of all codes, in microseconds."""
        total = Histogram()
        for worker in self.workers.values():
            total.merge(worker.delivery)
        return total

    def spread(self) -> Histogram:
        """Return each delivered code's time from first to last arrival, in microseconds."""
        total = Histogram()
        total.add_all(
            (last_ns - first_ns) // 1000
            for first_ns, last_ns in self.tally.codes.values_of("first_ns", "last_ns")
            if first_ns
        )
        return total
