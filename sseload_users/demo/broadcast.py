"""One code being broadcast, and the subscriptions that it is written to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from sseload_users.core.clock import wall_ns
from sseload_users.demo.client_socket import PushSocket
from sseload_users.demo.faults import DeliveryFaults
from sseload_users.demo.messages import Format, IngestedCode
from sseload_users.demo.record import CodeRecord, Recorder


class Subscriber(Protocol):
    """A connection as the hub sees it.

    Attributes:
        ordinal: its number in the record.
        socket: where codes are written.
        silent: it stays open but gets no more codes.
        drop_due: it is dropped after ``--drop-after`` codes.
    """

    ordinal: int
    socket: PushSocket
    silent: bool
    drop_due: bool

    def drop(self) -> None:
        """End or silence the connection, as ``--drop-how`` says."""


@dataclass(eq=False, slots=True)
class Subscription:
    """A connection's subscription, or one of them.

    Attributes:
        channels: the channels that it is subscribed to.
        newest: index of the newest code written to it.
        held: the delivery that waits for its next code.
    """

    subscriber: Subscriber
    format: Format
    channels: tuple[str, ...]
    newest: int = 0
    held: HeldDelivery | None = None


@dataclass(eq=False, slots=True)
class HeldDelivery:
    """A delivery held until the next code."""

    broadcast: Broadcast
    delivery: DeliveryFaults
    timer: asyncio.TimerHandle


@dataclass(eq=False, slots=True)
class DelayedDelivery:
    """A delivery written after a delay."""

    broadcast: Broadcast
    subscription: Subscription
    delivery: DeliveryFaults


class Broadcast:
    """A code being broadcast; recorded when its last delivery has an outcome.

    Args:
        code: the code.
        recorder: records its outcomes.

    Attributes:
        code: the code.
        entry: its outcomes.
        rest: the subscriptions in its channel that are not yet served.
    """

    def __init__(self, code: IngestedCode, recorder: Recorder) -> None:
        self.code = code
        self.entry = CodeRecord(code.index, code.code, channel=code.channel)
        self.rest: deque[Subscription] = deque()
        self._payloads: dict[Format, bytes] = {}
        self._open = 0
        self._recorder = recorder

    def start(self, subscriptions: Iterable[Subscription]) -> None:
        """Begin the immediate writes, to the subscriptions in the code's channel."""
        self.rest.extend(subscriptions)
        self.entry.subscribers = len(self.rest)
        self.entry.start_ns = wall_ns()
        self.begin()

    def finish(self) -> None:
        """End the immediate writes; subscriptions not served by now have failed."""
        self.entry.failed.extend(subscription.subscriber.ordinal for subscription in self.rest)
        self.rest.clear()
        self.entry.end_ns = wall_ns()
        self.end()

    @property
    def is_written_to(self) -> bool:
        """Whether a delivery has no outcome yet, while the immediate writes go on."""
        return self._open > 1

    def payload(self, form: Format) -> bytes:
        """Return the code's message in a format."""
        found = self._payloads.get(form)
        if found is None:
            found = self._payloads[form] = form.code(self.code)
        return found

    def begin(self) -> None:
        """Note a delivery without an outcome."""
        self._open += 1

    def end(self) -> None:
        """Note that a delivery has its outcome."""
        self._open -= 1
        if self._open == 0:
            self._recorder.code(self.entry)


def put(
    broadcast: Broadcast,
    subscriber: Subscriber,
    payload: bytes,
    taken_by: Iterable[list[int]],
    failed: Iterable[list[int]] = (),
) -> None:
    """Write, and record the outcome once known: did the kernel take all bytes?

    Args:
        broadcast: the code's broadcast.
        subscriber: the connection.
        payload: what to write.
        taken_by: lists of the record to add the connection to on success.
        failed: the same, on failure.
    """
    broadcast.begin()

    def settle(taken: bool) -> None:
        for each in taken_by if taken else failed:
            each.append(subscriber.ordinal)
        broadcast.end()

    subscriber.socket.write(payload, settle)


def abandon(broadcast: Broadcast, subscriber: Subscriber) -> None:
    """Record that a waiting delivery will never be written."""
    entry = broadcast.entry
    (entry.silenced if subscriber.silent else entry.failed).append(subscriber.ordinal)
    broadcast.end()
