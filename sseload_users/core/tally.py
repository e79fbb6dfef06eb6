"""The tally: what has been counted, since a worker's last report or in the whole run.

Everything in a tally adds up. A worker counts into one, sends it and starts an empty one;
the leader merges them all, in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, TypedDict

from sseload_users.core.address_counts import AddressCounts
from sseload_users.core.causes import Cause, bounded_cause
from sseload_users.core.code_tally import CodeTally
from sseload_users.core.counters import Counters
from sseload_users.core.evidence import Evidence
from sseload_users.core.field_values import field_values
from sseload_users.core.histogram import Histogram
from sseload_users.core.leaks import MAX_EXAMPLES, Leak
from sseload_users.core.node_counts import NodeCounts, NodeEvent
from sseload_users.core.ramp import Ramp
from sseload_users.core.second import Second

_S = 1_000_000_000

#: The histograms of connects.
_OF_CONNECTS = (
    "connect",
    "connect_tcp",
    "connect_tls",
    "connect_handshake",
    "connect_subscription",
    "connect_own",
    "connect_queue",
)
#: The histograms beside those of codes and seconds.
_HISTOGRAMS = (
    *_OF_CONNECTS,
    "recovery",
    "catch_up",
    "storm",
    "storm_own",
    "herd",
    "failed_returns",
    "flap",
    "slip",
    "ingest",
    "lag",
    "stamp_error",
    "stalls",
)


class PackedTally(TypedDict):
    """A tally as plain data."""

    counters: tuple[int, ...]
    causes: list[tuple[str, str, int, str]]
    compression: dict[str, int]
    codes: dict[int, list[Any]]
    seconds: dict[int, list[Any]]
    histograms: list[list[object] | None]
    ramp: list[int]
    leaks: list[tuple[int, str, int, str, Sequence[str], bool, str]]
    evidence: list[Any]
    addresses: list[tuple[str, str, str, int]]
    nodes: list[tuple[int, NodeEvent, int]]
    node_seconds: list[tuple[int, int, NodeEvent, int]]
    node_gaps: dict[int, list[object]]


class Tally:
    """Counters, causes, latencies, codes and seconds.

    Attributes:
        counters: numbers of operations.
        causes: failed operations by operation and cause.
        compression: sessions by the compression that was negotiated, "none" included. A count
            is negative if sessions of before have negotiated something else.
        server_texts: by cause, the server's own words in one of its failures.
        ramp: how fast connections were opened.
        connect: connect times, in microseconds; like all that follow up to `stalls`, a histogram.
        connect_tcp: its part for TCP.
        connect_tls: its part for TLS, of connects with TLS.
        connect_handshake: its part for the handshake.
        connect_subscription: its part for the subscription, of connects with a confirmation.
        connect_own: delays of the generator meanwhile, which are no part of it.
        connect_queue: how long they waited for --connect-concurrency.
        recovery: from a session's drop to the next session's subscription.
        catch_up: from a connection's return to its last recovered code.
        storm: from the beginning of a storm to the first subscription after it.
        storm_own: how much of that was a delay of the generator.
        herd: from the beginning of a storm to each attempt to return that failed.
        failed_returns: from a session's drop to each attempt to return that failed.
        flap: from the loss of a flapping connection to its next subscription.
        slip: how much later than scheduled codes were sent.
        ingest: from a code's sending to the server's response.
        lag: generator lag, within 1 %.
        stamp_error: stamp error of each read that found several messages.
        stalls: how much later than asked for the event loop continued.
        codes: each code's account, by sequence number.
        seconds: figures by whole seconds since the Unix epoch.
        leaks: the first examples of leaks.
        addresses: connections by address.
        nodes: connections by node.
        node_seconds: the same of each whole second since the Unix epoch that has any.
        node_gaps: by node, from a session's end that was not sseload's to the connection's next
            subscription, in microseconds.
        evidence: what losses and drops have in common; only in what one worker has counted.
    """

    __slots__ = (
        "_connects",
        "addresses",
        "catch_up",
        "causes",
        "codes",
        "compression",
        "connect",
        "connect_handshake",
        "connect_own",
        "connect_queue",
        "connect_subscription",
        "connect_tcp",
        "connect_tls",
        "counters",
        "evidence",
        "failed_returns",
        "flap",
        "herd",
        "ingest",
        "lag",
        "leaks",
        "node_gaps",
        "node_seconds",
        "nodes",
        "ramp",
        "recovery",
        "seconds",
        "server_texts",
        "slip",
        "stalls",
        "stamp_error",
        "storm",
        "storm_own",
    )

    def __init__(self) -> None:
        # Values of connects that are not counted yet, in the order of _OF_CONNECTS.
        self._connects: list[tuple[int | None, ...]] = []
        self.counters = Counters()
        self.causes: Counter[Cause] = Counter()
        self.compression: Counter[str] = Counter()
        self.server_texts: dict[Cause, str] = {}
        self.connect = Histogram()
        self.connect_tcp = Histogram()
        self.connect_tls = Histogram()
        self.connect_handshake = Histogram()
        self.connect_subscription = Histogram()
        self.connect_own = Histogram()
        self.connect_queue = Histogram()
        self.ramp = Ramp()
        self.recovery = Histogram()
        self.catch_up = Histogram()
        self.storm = Histogram()
        self.storm_own = Histogram()
        self.herd = Histogram()
        self.failed_returns = Histogram()
        self.flap = Histogram()
        self.slip = Histogram()
        self.ingest = Histogram()
        self.lag = Histogram()
        self.stamp_error = Histogram()
        self.stalls = Histogram()
        self.codes: MutableMapping[int, CodeTally] = {}
        self.seconds: MutableMapping[int, Second] = {}
        self.leaks: list[Leak] = []
        self.evidence = Evidence()
        self.addresses: AddressCounts = Counter()
        self.nodes: NodeCounts = Counter()
        self.node_seconds: dict[int, NodeCounts] = {}
        self.node_gaps: dict[int, Histogram] = {}

    def add_connect(self, *values_us: int | None) -> None:
        """Count a connect, at the latest when `count_connects` is called.

        Args:
            *values_us: the connect time, its parts for TCP, TLS, handshake and subscription, the
                generator's own delays meanwhile, and the wait for its turn, in microseconds; None
                for what it did not have.
        """
        self._connects.append(values_us)

    def count_connects(self) -> None:
        """Enter the connects in their histograms: several times cheaper than one by one."""
        connects, self._connects = self._connects, []
        for name, values_us in zip(_OF_CONNECTS, zip(*connects, strict=True), strict=False):
            getattr(self, name).add_all(each for each in values_us if each is not None)

    def code(self, sequence: int) -> CodeTally:
        """Return a code's account; create it if there is none."""
        found = self.codes.get(sequence)
        if found is None:
            found = self.codes[sequence] = CodeTally()
        return found

    def second(self, at_ns: int) -> Second:
        """Return the second that contains a time (wall clock, ns); create it if there is none."""
        key = at_ns // _S
        found = self.seconds.get(key)
        if found is None:
            found = self.seconds[key] = Second()
        return found

    def gaps_of(self, node: int) -> Histogram:
        """Return the gaps of the connections to a node; create an empty histogram if needed."""
        return self.node_gaps.setdefault(node, Histogram())

    def count_at_node(self, node: int, event: NodeEvent, at_ns: int, number: int = 1) -> None:
        """Count what became of connect attempts, or of sessions, at a node.

        Args:
            node: its index.
            event: what became of them.
            at_ns: when (wall clock, ns).
            number: how many; below 0 to take them back.
        """
        self.nodes[node, event] += number
        self.node_seconds.setdefault(at_ns // _S, Counter())[node, event] += number

    def count_failure(self, operation: str, cause: str, at_ns: int, server_text: str = "") -> None:
        """Count a failed operation.

        Args:
            operation: the operation.
            cause: why it failed.
            at_ns: when (wall clock, ns).
            server_text: the server's own words; empty if there were none.
        """
        self.note_cause(operation, cause, server_text)
        self.second(at_ns).errors += 1

    def note_cause(self, operation: str, cause: str, server_text: str = "") -> None:
        """Count a cause, of something that is no failed operation by itself."""
        counted = bounded_cause((operation, cause), self.causes)
        self.causes[counted] += 1
        self._keep_words(counted, server_text)

    def keep_leak(self, leak: Leak) -> None:
        """Keep an example of a leak, if there are not enough of earlier codes."""
        if len(self.leaks) < MAX_EXAMPLES or leak < self.leaks[-1]:
            self.leaks = sorted({*self.leaks, leak})[:MAX_EXAMPLES]

    def merge(self, other: Tally, first_code: int = 0) -> None:
        """Add another tally.

        Args:
            other: the tally; it is not changed, and nothing of it is shared afterwards.
            first_code: lowest sequence number of the codes that count.
        """
        self.counters += other.counters
        for cause, count in other.causes.items():
            counted = bounded_cause(cause, self.causes)
            self.causes[counted] += count
            self._keep_words(counted, other.server_texts.get(cause, ""))
        self.compression.update(other.compression)
        for name in _HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        self.ramp.merge(other.ramp)
        for sequence, code in other.codes.items():
            if sequence >= first_code:
                self.code(sequence).merge(code)
        for key, second in other.seconds.items():
            self.second(key * _S).merge(second)
        for leak in other.leaks:
            if leak.sequence >= first_code:
                self.keep_leak(leak)
        self.addresses.update(other.addresses)
        self.nodes.update(other.nodes)
        for key, counts in other.node_seconds.items():
            self.node_seconds.setdefault(key, Counter()).update(counts)
        for node, gaps in other.node_gaps.items():
            self.gaps_of(node).merge(gaps)

    def _keep_words(self, cause: Cause, words: str) -> None:
        # The smallest text, so that the order of merging does not matter.
        if words:
            self.server_texts[cause] = min(words, self.server_texts.get(cause, words))

    def convert_times(self, to: Callable[[int], int], roughly: Callable[[int], int]) -> None:
        """Convert all times to another clock, that of the process which merges the tally.

        Args:
            to: converts a time (wall clock, ns).
            roughly: the same, for whole seconds, where its error does not matter.
        """
        for code in self.codes.values():
            if code.first_ns:
                code.first_ns, code.last_ns = to(code.first_ns), to(code.last_ns)
        self.ramp.convert_times(to)
        seconds, self.seconds = self.seconds, {}
        for key, second in seconds.items():
            self.second(roughly(key * _S + _S // 2)).merge(second)
        node_seconds, self.node_seconds = self.node_seconds, {}
        for key, counts in node_seconds.items():
            there = roughly(key * _S + _S // 2) // _S
            self.node_seconds.setdefault(there, Counter()).update(counts)

    def pack(self) -> PackedTally:
        """Return the tally as plain data, for `unpack`."""
        return {
            "counters": self.counters.pack(),
            "causes": [
                (*cause, count, self.server_texts.get(cause, ""))
                for cause, count in self.causes.items()
            ],
            "compression": dict(self.compression),
            "codes": {sequence: code.pack() for sequence, code in self.codes.items()},
            "seconds": {key: second.pack() for key, second in self.seconds.items()},
            "addresses": [(*key, number) for key, number in self.addresses.items()],
            "nodes": [(*key, number) for key, number in self.nodes.items()],
            "node_seconds": [
                (key, *which, number)
                for key, counts in self.node_seconds.items()
                for which, number in counts.items()
            ],
            "node_gaps": {node: gaps.pack() for node, gaps in self.node_gaps.items()},
            "ramp": self.ramp.pack(),
            # Most of them have no values between two reports.
            "histograms": [
                each.pack() if (each := getattr(self, name)).total else None for name in _HISTOGRAMS
            ],
            "evidence": self.evidence.pack(),
            "leaks": [field_values(leak) for leak in self.leaks],
        }

    @classmethod
    def unpack(cls, data: PackedTally) -> Tally:
        """Return the tally that was packed."""
        new = cls()
        new.counters = Counters.unpack(data["counters"])
        for operation, cause, count, words in data["causes"]:
            new.causes[operation, cause] = count
            if words:
                new.server_texts[operation, cause] = words
        new.compression = Counter(data["compression"])
        new.ramp = Ramp.unpack(data["ramp"])
        new.codes = {key: CodeTally.unpack(code) for key, code in data["codes"].items()}
        new.seconds = {key: Second.unpack(second) for key, second in data["seconds"].items()}
        for name, address, what, number in data["addresses"]:
            new.addresses[name, address, what] = number
        for node, event, number in data["nodes"]:
            new.nodes[node, event] = number
        for key, node, event, number in data["node_seconds"]:
            new.node_seconds.setdefault(key, Counter())[node, event] = number
        new.node_gaps = {node: Histogram.unpack(gaps) for node, gaps in data["node_gaps"].items()}
        for name, histogram in zip(_HISTOGRAMS, data["histograms"], strict=True):
            if histogram is not None:
                setattr(new, name, Histogram.unpack(histogram))
        new.evidence = Evidence.unpack(data["evidence"])
        new.leaks = [
            Leak(sequence, channel, connection, username, tuple(own), had_left, worker)
            for sequence, channel, connection, username, own, had_left, worker in data["leaks"]
        ]
        return new
