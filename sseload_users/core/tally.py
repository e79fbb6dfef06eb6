"""What has been counted: a worker's news since its last report, and the whole run's total.

Both are the same thing, since everything in it adds up: a worker counts into a tally, sends
it, and begins an empty one; the master merges them all. The order of merging does not
matter, and nothing is counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

from sseload_users.core.histogram import Coarse, Histogram

#: What became of a code's request; "pending" until that is known.
Status: TypeAlias = Literal["pending", "accepted", "rejected", "unanswered", "unsent"]

#: The statuses of codes that sessions are owed.
OWED_STATUSES = ("accepted", "unanswered")

#: The step of an operation that failed, and why.
Cause: TypeAlias = tuple[str, str]

#: Most causes that are told apart: servers can put whatever they like into their words.
_MOST_CAUSES = 100
#: Stands for all further causes of a step.
OTHER = "other"
#: What the verdict, or a hint, looks for is never among the others.
_ALWAYS_APART = frozenset({"timed out", "too many open files", "no free local port"})

#: The outcomes of pairs and messages, as they are named in the report.
OUTCOMES = ("owed", "delivered", "late", "interrupted", "missing", "released", "duplicate",
            "unexpected")  # fmt: skip


def told_apart(cause: Cause, known: Collection[Cause]) -> Cause:
    """As which cause one is counted: itself, or as one of the step's others.

    Args:
        cause: of a failed operation.
        known: those that have been told apart.
    """
    if cause in known or len(known) < _MOST_CAUSES or cause[1] in _ALWAYS_APART:
        return cause
    return cause[0], OTHER


@dataclass(slots=True)
class CodeTally:
    """One code's account.

    Attributes:
        status: what became of its request; like the next one, known to the leader, who is
            told of each by the broadcaster at once.
        sent_ns: when it was sent (the leader's wall clock, ns); 0 where that is not known.
        owed: pairs with sessions that were subscribed when it was sent; like the next
            seven, an outcome of the report.
        first_ns: its first arrival in time (wall clock, ns); 0 before.
        last_ns: its last arrival in time.
        latencies: of what was delivered, in microseconds.
    """

    status: Status = "pending"
    sent_ns: int = 0
    owed: int = 0
    delivered: int = 0
    late: int = 0
    interrupted: int = 0
    missing: int = 0
    released: int = 0
    duplicate: int = 0
    unexpected: int = 0
    first_ns: int = 0
    last_ns: int = 0
    latencies: Histogram = field(default_factory=Histogram)

    def merge(self, other: CodeTally) -> None:
        """Take over all that `other` has counted."""
        if other.status != "pending":
            self.status = other.status
        self.sent_ns = self.sent_ns or other.sent_ns
        for name in OUTCOMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.arrived(other.first_ns, other.last_ns)
        self.latencies.merge(other.latencies)

    def arrived(self, first_ns: int, last_ns: int) -> None:
        """Take over a span of arrivals; 0 for none."""
        if first_ns:
            self.first_ns = min(self.first_ns or first_ns, first_ns)
            self.last_ns = max(self.last_ns, last_ns)

    def pack(self) -> list[Any]:
        """As msgpack-able data, see `unpack`."""
        values = [getattr(self, each.name) for each in fields(self)]
        values[-1] = self.latencies.pack() if self.latencies.total else None
        return values

    @classmethod
    def unpack(cls, data: list[Any]) -> CodeTally:
        """The account that was packed."""
        *values, latencies = data
        names = [each.name for each in fields(cls)][:-1]
        unpacked = Histogram.unpack(latencies) if latencies else Histogram()
        return cls(**dict(zip(names, values, strict=True)), latencies=unpacked)


def highest(values: Iterable[float | None]) -> float | None:
    """The highest of those that are known."""
    return max((each for each in values if each is not None), default=None)


@dataclass(slots=True)
class Second:
    """One second of the run, on one worker or on all of them.

    Attributes:
        open: connections that were subscribed at its end.
        connecting: those that were connecting at its end.
        dropped: sessions that the server or the network ended in it.
        sent: codes sent in it.
        received: first copies that arrived in it.
        errors: operations that failed in it.
        cpu_percent: of the busiest generator process, 100 for a whole core.
        waited_percent: the longest that one waited for a core, in percent of the second; None if
            that is not known.
        busy_percent: the most that one used and waited together.
        rss_mib: resident memory of all generator processes, in MiB.
        delivery: latencies of what arrived in it, in microseconds, within 1 %.
        lag: the generator's lag, likewise.
    """

    open: int = 0
    connecting: int = 0
    dropped: int = 0
    sent: int = 0
    received: int = 0
    errors: int = 0
    cpu_percent: float = 0.0
    waited_percent: float | None = None
    busy_percent: float = 0.0
    rss_mib: float = 0.0
    delivery: Coarse = field(default_factory=Coarse)
    lag: Coarse = field(default_factory=Coarse)

    def merge(self, other: Second) -> None:
        """Take over another worker's same second, or more of the same one's."""
        for name in ("open", "connecting", "dropped", "sent", "received", "errors"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cpu_percent = max(self.cpu_percent, other.cpu_percent)
        self.waited_percent = highest((self.waited_percent, other.waited_percent))
        self.busy_percent = max(self.busy_percent, other.busy_percent)
        self.rss_mib += other.rss_mib
        self.delivery.merge(other.delivery)
        self.lag.merge(other.lag)

    def pack(self) -> list[Any]:
        """As msgpack-able data, see `unpack`."""
        return [
            self.open, self.connecting, self.dropped, self.sent, self.received, self.errors,
            self.cpu_percent, self.waited_percent, self.busy_percent, self.rss_mib,
            self.delivery.pack() if self.delivery.total else None,
            self.lag.pack() if self.lag.total else None,
        ]  # fmt: skip

    @classmethod
    def unpack(cls, data: list[Any]) -> Second:
        """The second that was packed."""
        *counts, delivery, lag = data
        return cls(*counts, *(Coarse.unpack(h) if h else Coarse() for h in (delivery, lag)))


#: The latencies that are kept beside those of codes and seconds.
_HISTOGRAMS = ("connect", "recovery", "storm", "slip", "ingest", "lag", "stamp_error", "stalls")


class Tally:
    """Counts, causes, latencies, codes and seconds.

    Attributes:
        counts: by name: "attempted", "succeeded", "failed", "dropped", "reconnected",
            "replaced", "stormed", "scheduled", "out_of_order", "foreign", "malformed",
            "in_doubt".
        causes: failed operations by step and cause.
        said: the server's own words in one failure of a cause.
        connect: connect times, in microseconds; like the next seven, a histogram.
        recovery: from a session's drop to the next one's subscription.
        storm: from a storm's beginning to the first subscription after it.
        slip: how much later than scheduled codes were sent.
        ingest: from a code's sending to the server's answer.
        lag: the generator's lag, within 1 %.
        stamp_error: how much too late the stamps of messages can be at most that share one; a
            value for each read.
        stalls: how much later than asked for the event loop went on.
        codes: each code's account, by sequence number.
        seconds: by whole seconds since the Unix epoch.
    """

    __slots__ = (
        "causes",
        "codes",
        "connect",
        "counts",
        "ingest",
        "lag",
        "recovery",
        "said",
        "seconds",
        "slip",
        "stalls",
        "stamp_error",
        "storm",
    )

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.causes: Counter[Cause] = Counter()
        self.said: dict[Cause, str] = {}
        self.connect = Histogram()
        self.recovery = Histogram()
        self.storm = Histogram()
        self.slip = Histogram()
        self.ingest = Histogram()
        self.lag = Histogram()
        self.stamp_error = Histogram()
        self.stalls = Histogram()
        self.codes: dict[int, CodeTally] = {}
        self.seconds: dict[int, Second] = {}

    def code(self, sequence: int) -> CodeTally:
        """A code's account, begun if there is none."""
        found = self.codes.get(sequence)
        if found is None:
            found = self.codes[sequence] = CodeTally()
        return found

    def second(self, at_ns: int) -> Second:
        """The second that a moment (wall clock, ns) is in, begun if there is none."""
        key = at_ns // 1_000_000_000
        found = self.seconds.get(key)
        if found is None:
            found = self.seconds[key] = Second()
        return found

    def failed(self, operation: str, cause: str, at_ns: int, said: str = "") -> None:
        """Count a failed operation.

        Args:
            operation: the step.
            cause: why it failed.
            at_ns: when (wall clock, ns).
            said: the server's own words; empty where it said nothing.
        """
        counted = told_apart((operation, cause), self.causes)
        self.causes[counted] += 1
        self._keep_words(counted, said)
        self.second(at_ns).errors += 1

    def merge(self, other: Tally) -> None:
        """Take over all that `other` has counted."""
        self.counts.update(other.counts)
        for cause, count in other.causes.items():
            counted = told_apart(cause, self.causes)
            self.causes[counted] += count
            self._keep_words(counted, other.said.get(cause, ""))
        for name in _HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        for sequence, code in other.codes.items():
            self.code(sequence).merge(code)
        for key, second in other.seconds.items():
            self.second(key * 1_000_000_000).merge(second)

    def _keep_words(self, cause: Cause, said: str) -> None:
        # Of several, the same is kept whatever the order.
        if said:
            self.said[cause] = min(said, self.said.get(cause, said))

    def move(self, to: Callable[[int], int], nearly: Callable[[int], int]) -> None:
        """Put all moments on another clock, before it is sent to where that one counts.

        Args:
            to: a moment on that clock, from one on this (both wall clocks, ns).
            nearly: the same for whole seconds, where its error does not matter.
        """
        for code in self.codes.values():
            if code.first_ns:
                code.first_ns, code.last_ns = to(code.first_ns), to(code.last_ns)
        seconds, self.seconds = self.seconds, {}
        for key, second in seconds.items():
            self.second(nearly(key * 1_000_000_000 + 500_000_000)).merge(second)

    def total(self, outcome: str) -> int:
        """The sum of an outcome over all codes."""
        return sum(getattr(code, outcome) for code in self.codes.values())

    def pack(self) -> dict[str, Any]:
        """As msgpack-able data, see `unpack`."""
        return {
            "counts": dict(self.counts),
            "causes": [
                [*cause, count, self.said.get(cause, "")] for cause, count in self.causes.items()
            ],
            "codes": {sequence: code.pack() for sequence, code in self.codes.items()},
            "seconds": {key: second.pack() for key, second in self.seconds.items()},
            **{name: getattr(self, name).pack() for name in _HISTOGRAMS},
        }

    @classmethod
    def unpack(cls, data: Mapping[str, Any]) -> Tally:
        """The tally that was packed."""
        new = cls()
        new.counts.update(data["counts"])
        for operation, cause, count, said in data["causes"]:
            new.causes[operation, cause] = count
            if said:
                new.said[operation, cause] = said
        new.codes = {key: CodeTally.unpack(code) for key, code in data["codes"].items()}
        new.seconds = {key: Second.unpack(second) for key, second in data["seconds"].items()}
        for name in _HISTOGRAMS:
            setattr(new, name, Histogram.unpack(data[name]))
        return new
