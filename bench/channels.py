"""What channels cost the account: the same receipts in one channel and in many, without sockets."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import defaultdict
from dataclasses import asdict, dataclass

from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from sseload_users.core.channels import ChannelPlan
from sseload_users.core.ledger import Ledger
from sseload_users.core.sessions import Session

_MS = 1_000_000
_BEGAN_NS = 1_700_000_000 * 1000 * _MS
#: Codes that are settled together: about as many as a ledger has in flight.
_BATCH = 100


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one account cost.

    Attributes:
        receipt_us: CPU per receipt of taking it in.
        code_us: CPU per code of announcing and settling it.
        whole_us: both, per receipt.
        kib_each: memory per connection, once each channel has had a code.
        alike_us: `whole_us` of one channel whose codes have as many recipients each.
    """

    receipt_us: float
    code_us: float
    whole_us: float
    kib_each: float
    alike_us: float


class _Account:
    """A ledger whose sessions are spread over channels."""

    def __init__(self, connections: int, channels: int) -> None:
        self._plan = ChannelPlan([f"c{number}" for number in range(1, channels + 1)])
        self._ledger = Ledger(10.0, channels=self._plan)
        self._members: dict[str, list[Session]] = defaultdict(list)
        self._codes = self._taking_ns = self._settling_ns = self._receipts = 0
        for position in range(connections):
            channel = self._plan.names[position % channels]
            connection = self._ledger.add_connection()
            session = self._ledger.open_session(connection, _BEGAN_NS, _BEGAN_NS, [channel])
            self._members[channel].append(session)

    def send(self, codes: int) -> None:
        """Send codes, each of which reaches its channel's sessions, and settle them."""
        for first in range(0, codes, _BATCH):
            self._send_batch(min(_BATCH, codes - first))
            self._ledger.take()

    def _send_batch(self, codes: int) -> None:
        ledger, clock = self._ledger, time.process_time_ns
        sequences = range(self._codes + 1, self._codes + codes + 1)
        recipients = [self._members[self._plan.channel_of(each)] for each in sequences]
        self._codes += codes
        self._receipts += sum(map(len, recipients))
        # The clock takes longer than a receipt: it is read once for all of them.
        began = clock()
        for sequence in sequences:
            ledger.announce(sequence, _BEGAN_NS + sequence * _MS)
            ledger.set_status(sequence, "accepted")
        tracked = [ledger.code(sequence) for sequence in sequences]
        announced = clock()
        arrived_ns = _BEGAN_NS + (self._codes + 1) * _MS
        for code, sessions in zip(tracked, recipients, strict=True):
            for session in sessions:
                session.receive(code, arrived_ns)
        taken = clock()
        ledger.settle(arrived_ns + _MS)
        settled = clock()
        self._taking_ns += taken - announced
        self._settling_ns += announced - began + settled - taken

    def cost_us(self) -> tuple[float, float, float]:
        """Return the CPU per receipt of taking it in, per code of the rest, and per receipt of all.

        Raises:
            ValueError: a receipt is not in the account.
        """
        delivered = sum(each.delivered for each in self._ledger.connections)
        if delivered != self._receipts:
            raise ValueError(f"{self._receipts} receipts, but {delivered} are delivered")
        taking, settling = self._taking_ns / 1000, self._settling_ns / 1000
        receipts = self._receipts
        return taking / receipts, settling / self._codes, (taking + settling) / receipts


def _measure(connections: int, channels: int, receipts: int) -> _Cost:
    gc.collect()
    tracemalloc.start()
    traced = _Account(connections, channels)
    traced.send(channels)
    gc.collect()
    kib_each = tracemalloc.get_traced_memory()[0] / connections / 1024
    tracemalloc.stop()
    del traced
    gc.collect()
    account = _Account(connections, channels)
    codes = receipts * channels // connections
    account.send(codes)
    receipt_us, code_us, whole_us = account.cost_us()
    alike = _Account(connections // channels, 1)
    alike.send(codes)
    return _Cost(receipt_us, code_us, whole_us, kib_each, alike.cost_us()[2])


def run(*, quick: bool, rounds: int) -> Table:
    """Measure one channel, a hundred, and one for each connection."""
    connections = 1000 if quick else 10_000
    receipts = connections * (5 if quick else 20)
    measured: dict[int, list[_Cost]] = {1: [], 100: [], connections: []}
    table = Table(
        "channels",
        ["channels", "codes", "receipt, µs", "code, µs", "whole, µs", "alike, µs", "KiB each"],
    )
    for number in range(rounds):
        for channels, costs in measured.items():
            cost = _measure(connections, channels, receipts)
            costs.append(cost)
            row = {"channels": channels, "round": number + 1, **asdict(cost)}
            table.raw.append(row)
            print_row(row)
    for channels, costs in measured.items():
        table.rows.append(
            [
                f"{channels:,}",
                f"{receipts * channels // connections:,}",
                spread([each.receipt_us for each in costs], 2),
                spread([each.code_us for each in costs], 1),
                spread([each.whole_us for each in costs], 2),
                spread([each.alike_us for each in costs], 2),
                spread([each.kib_each for each in costs], 2),
            ]
        )
    table.notes.append(
        f"CPU of the account alone for {receipts:,} receipts on {connections:,} connections. "
        "Receipt: taking in one copy. Code: announcing one and settling all its receipts. Whole: "
        "both, per receipt. Alike: the same for a single channel with fewer connections, whose "
        "codes have as many recipients each. Memory after one code in each channel; "
        f"{in_rounds(rounds)}."
    )
    return table
