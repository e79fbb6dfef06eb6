"""The whole run's account, from what its workers report; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sseload_users.core.histogram import Coarse, Histogram
from sseload_users.core.tally import OUTCOMES, CodeTally, Second, Status, Tally, highest
from sseload_users.report.files import ConnectionRow

#: Seconds after which a code's or a second's histogram is folded into a few figures: nothing
#: but stragglers comes after that, and a run may be long.
_FOLD_AFTER_S = 30

#: How far back the last few seconds go.
_RECENT_S = 3


@dataclass(slots=True)
class WorkerTotals:
    """What is known of one worker.

    Attributes:
        name: for people.
        region: where it says that it is; empty if it does not.
        gauges: as it last reported them; empty before its first report.
        cpu_percent: the most that it used of a core; None if that is not known.
        waited_percent: the longest that it waited for a core in a second, in percent of it; None
            if that is not known.
        counts: its part of the tally's.
        outcomes: its part of each outcome.
        connect: its connect times, in microseconds.
        delivery: its delivery latencies, in microseconds.
        received: how many of its connections received how many codes in time.
        connections: its part of connections.csv; empty before its final report.
        final: its account is closed, and all of it is here.
        lost: it went away without closing its account.
        left: it closed its account and went away while the run went on.
    """

    name: str = ""
    region: str = ""
    gauges: dict[str, Any] = field(default_factory=dict)
    cpu_percent: float | None = None
    waited_percent: float | None = None
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    connect: Histogram = field(default_factory=Histogram)
    delivery: Histogram = field(default_factory=Histogram)
    received: dict[int, int] = field(default_factory=dict)
    connections: list[ConnectionRow] = field(default_factory=list)
    final: bool = False
    lost: bool = False
    left: bool = False


class _Folded(Coarse):
    """Stands for all histograms that were folded: nothing is added to them any more."""

    __slots__ = ()

    def merge(self, other: Histogram) -> None:
        """Leave out a straggler, of which the folded figures do not know either."""


_FOLDED = _Folded()


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A few figures of a histogram that is not kept, in milliseconds."""

    p50: float | None
    p95: float | None
    p99: float | None


class Totals:
    """Everything that workers have reported.

    Attributes:
        workers: by name.
        tally: the sum of all that was counted.
        outcomes: the sum of each outcome over all codes.
        statuses: how many codes' requests came to what.
        sent: codes whose request was written.
        peak_open: the most connections that were open at once.
    """

    def __init__(self) -> None:
        self.workers: dict[str, WorkerTotals] = {}
        self.tally = Tally()
        self.outcomes: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.sent = 0
        self.peak_open = 0
        self._folded: dict[int, Percentiles] = {}
        self._folded_seconds: dict[int, tuple[Percentiles, Percentiles]] = {}
        none = Percentiles(None, None, None)
        self._recent = (0, (none, none))
        self._step: Totals | None = None
        self._first = 0
        # Those that are not folded yet, the oldest first.
        self._codes: dict[int, CodeTally] = {}
        self._seconds: dict[int, Second] = {}

    def worker(self, name: str) -> WorkerTotals:
        """What is known of a worker, which may be nothing yet."""
        return self.workers.setdefault(name, WorkerTotals(name))

    def announced(self, sequence: int, sent_ns: int, slip_us: int | None = None) -> None:
        """A code was sent; told by the broadcaster, once.

        Args:
            sequence: the code's.
            sent_ns: when (the leader's wall clock, ns).
            slip_us: how much later that was than it should have been, if it is known.
        """
        if self._step is not None:
            self._step.announced(sequence, sent_ns, slip_us)
        self.tally.code(sequence).sent_ns = sent_ns
        self.tally.second(sent_ns).sent += 1
        if slip_us is not None:
            self.tally.slip.add(slip_us)
        self.sent += 1
        self._touch(sequence, sent_ns // 1_000_000_000)

    def answered(
        self,
        sequence: int,
        status: Status,
        ingest_us: int | None = None,
        cause: str | None = None,
        at_ns: int = 0,
        *,
        said: str = "",
    ) -> None:
        """What became of a code's request; of two words the later one is its status.

        Args:
            sequence: the code's.
            status: what.
            ingest_us: after how long, if it is known.
            cause: why it failed; None if it did not.
            at_ns: when it failed (the leader's wall clock, ns).
            said: the server's own words where it failed.
        """
        code = self.tally.code(sequence)
        if code.status != "pending":
            self.statuses[code.status] -= 1
        if self._step is not None:
            self._step.answered(sequence, status, ingest_us, cause, at_ns, said=said)
        code.status = status
        self.statuses[status] += 1
        self._touch(sequence)
        if cause is None and ingest_us is not None:
            self.tally.ingest.add(ingest_us)
        if cause is not None:
            self.tally.failed("ingest", cause, at_ns, said)
            self._touch(None, at_ns // 1_000_000_000)

    def report(self, name: str, data: Mapping[str, Any]) -> None:
        """Take a worker's report."""
        if self._step is not None:
            self._step.report(name, data)
        worker, news = self.worker(name), Tally.unpack(data["tally"])
        # A step's account has nothing of what is still found out about earlier codes.
        news.codes = {each: code for each, code in news.codes.items() if each >= self._first}
        self.tally.merge(news)
        for sequence, code in news.codes.items():
            for outcome in OUTCOMES:
                many = getattr(code, outcome)
                self.outcomes[outcome] += many
                worker.outcomes[outcome] += many
            worker.delivery.merge(code.latencies)
            self._touch(sequence)
        self._touch(None, *news.seconds)
        worker.counts.update(news.counts)
        worker.connect.merge(news.connect)
        worker.gauges = gauges = dict(data["gauges"])
        worker.cpu_percent = max(worker.cpu_percent or 0.0, gauges["cpu_percent"])
        worker.waited_percent = highest((worker.waited_percent, gauges["waited_percent"]))
        worker.received = {int(codes): count for codes, count in data["received"].items()}
        worker.final = worker.final or data["final"]
        if "connections" in data:
            worker.connections = [ConnectionRow(*row) for row in data["connections"]]
        if len(self.workers) == 1:
            self.peak_open = max(self.peak_open, worker.gauges["peak_open"])
        self.peak_open = max(self.peak_open, self.gauge("open"))

    def begin_step(self, first: int) -> None:
        """Begin to keep an account of a step beside that of the whole run.

        Args:
            first: the sequence number of its first code.
        """
        self._step = Totals()
        self._step._first = first  # noqa: SLF001 - one of this very class

    def end_step(self) -> Totals:
        """The step's account."""
        step, self._step = self._step, None
        return step or Totals()

    def _touch(self, sequence: int | None, *moments: int) -> None:
        """Note that there is news of a code, and of some seconds."""
        if sequence is not None and sequence not in self._folded:
            self._codes[sequence] = self.tally.codes[sequence]
        for moment in moments:
            if moment not in self._folded_seconds:
                self._seconds[moment] = self.tally.seconds[moment]

    def gauge(self, name: str) -> int:
        """A gauge, summed up over all workers."""
        return sum(each.gauges.get(name, 0) for each in self.workers.values())

    def clock_error_ms(self) -> float:
        """How wrong a latency between two workers can be by their clocks."""
        errors = sorted(each.gauges.get("clock_error_ns", 0) for each in self.workers.values())
        return float(sum(errors[-2:])) / 1e6

    def received_per_connection(self) -> Counter[int]:
        """How many connections received how many codes in time."""
        total: Counter[int] = Counter()
        for each in self.workers.values():
            total.update(each.received)
        return total

    def fold(self, now_ns: int) -> None:
        """Fold what is old enough, so that a long run stays small."""
        if self._step is not None:
            self._step.fold(now_ns)
        before = now_ns // 1_000_000_000 - _FOLD_AFTER_S
        for sequence, code in list(self._codes.items()):
            if code.sent_ns // 1_000_000_000 >= before:
                break  # the later ones are younger
            self._folded[sequence] = _percentiles(code.latencies)
            code.latencies = _FOLDED
            del self._codes[sequence]
        for moment, second in list(self._seconds.items()):
            if moment >= before:
                break
            self._folded_seconds[moment] = (
                _percentiles(second.delivery),
                _percentiles(second.lag),
            )
            second.delivery = second.lag = _FOLDED
            del self._seconds[moment]

    # For the report

    def delivery(self) -> Histogram:
        """Delivery latencies of all codes."""
        total = Histogram()
        for worker in self.workers.values():
            total.merge(worker.delivery)
        return total

    def spread(self) -> Histogram:
        """For each code that anybody received, from its first arrival to its last."""
        total = Histogram()
        total.add_all(
            (code.last_ns - code.first_ns) // 1000
            for code in self.tally.codes.values()
            if code.first_ns
        )
        return total

    def code_percentiles(self, sequence: int) -> Percentiles:
        """Of a code's delivery latencies."""
        folded = self._folded.get(sequence)
        return folded or _percentiles(self.tally.codes[sequence].latencies)

    def second_percentiles(self, moment: int) -> tuple[Percentiles, Percentiles]:
        """Of the delivery latencies, and of the lag, in one second."""
        folded = self._folded_seconds.get(moment)
        if folded is not None:
            return folded
        second: Second = self.tally.seconds[moment]
        return _percentiles(second.delivery), _percentiles(second.lag)

    def recent(self, now_ns: int) -> tuple[Percentiles, Percentiles]:
        """Of the delivery latencies, and of the lag, in the last few seconds."""
        now_s = now_ns // 1_000_000_000
        # Asked several times a second, worked out once: with a thousand connections this
        # would cost more than reading what they get.
        if self._recent[0] != now_s:
            self._recent = (now_s, self._latest(now_s))
        return self._recent[1]

    def _latest(self, now_s: int) -> tuple[Percentiles, Percentiles]:
        delivery, lag = Coarse(), Coarse()
        for moment in range(now_s - _RECENT_S, now_s + 1):
            second = self.tally.seconds.get(moment)
            if second is not None:
                delivery.merge(second.delivery)
                lag.merge(second.lag)
        return _percentiles(delivery), _percentiles(lag)


def _percentiles(histogram: Histogram) -> Percentiles:
    p50, p95, p99 = histogram.percentiles_ms((50, 95, 99))
    return Percentiles(p50, p95, p99)
