"""The broadcast: write each code to every subscriber, subject to the faults.

A payload is encoded once per format and written to all subscribers without waiting; only
``--cost-per-delivery`` makes one subscriber wait for another.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from sseload_users.core.clock import wall_ns
from sseload_users.demo.client_socket import PushSocket
from sseload_users.demo.faults import PLAIN, DeliveryFaults, FaultPlan
from sseload_users.demo.messages import Format, IngestedCode
from sseload_users.demo.record import CodeRecord, Recorder

#: Codes kept for ``--replay`` and ``Last-Event-ID``.
HISTORY = 10_000


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
    """A connection's subscription, or that of one of its namespaces.

    Attributes:
        newest: index of the newest code written to it.
        held: the delivery that waits for its next code.
    """

    subscriber: Subscriber
    format: Format
    newest: int = 0
    held: _HeldDelivery | None = None


@dataclass(eq=False, slots=True)
class _HeldDelivery:
    """A delivery held until the next code."""

    broadcast: _Broadcast
    delivery: DeliveryFaults
    timer: asyncio.TimerHandle


@dataclass(eq=False, slots=True)
class _DelayedDelivery:
    """A delivery written after a delay."""

    broadcast: _Broadcast
    subscription: Subscription
    delivery: DeliveryFaults


class _Broadcast:
    """A code being broadcast; recorded when its last delivery has an outcome.

    Attributes:
        rest: the subscriptions not yet served.
    """

    def __init__(self, code: IngestedCode, recorder: Recorder) -> None:
        self.code = code
        self.entry = CodeRecord(code.index, code.code)
        self.rest: deque[Subscription] = deque()
        self._payloads: dict[Format, bytes] = {}
        self._open = 0
        self._recorder = recorder

    def start(self, subscriptions: dict[Subscription, None]) -> None:
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

    def payload(self, form: Format) -> bytes:
        found = self._payloads.get(form)
        if found is None:
            found = self._payloads[form] = form.code(self.code)
        return found

    def begin(self) -> None:
        self._open += 1

    def end(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._recorder.code(self.entry)


class Hub:
    """Broadcast codes to all subscriptions, and keep the history.

    Args:
        plan: the faults.
        recorder: records each code's outcomes.
        cost: seconds per delivery; deliveries are sequential.
        replay: send the history to late joiners.
        on_broadcast: called with a code's index after its broadcast.
    """

    def __init__(
        self,
        plan: FaultPlan,
        recorder: Recorder,
        *,
        cost: float,
        replay: bool,
        on_broadcast: Callable[[int], None],
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._cost = cost
        self._replay = replay
        self._on_broadcast = on_broadcast
        self._codes = 0
        self._history: deque[IngestedCode] = deque(maxlen=HISTORY)
        self._subscriptions: dict[Subscription, None] = {}
        self._codes_before_drop: dict[Subscriber, int] = {}
        self._delayed: dict[_DelayedDelivery, asyncio.TimerHandle] = {}
        self._waiting: deque[_Broadcast] = deque()
        self._woken = asyncio.Event()

    @property
    def codes(self) -> int:
        """The number of codes so far."""
        return self._codes

    def subscribe(
        self, subscriber: Subscriber, form: Format, namespace: str = "", after: int | None = None
    ) -> Subscription:
        """Subscribe a connection to all codes from now on; send the history first if asked.

        Args:
            subscriber: the connection.
            form: the format of its messages.
            namespace: for the record.
            after: index of the newest code that the client has; codes after it are sent
                from the history. None: no history, unless ``replay`` is set.
        """
        subscription = Subscription(subscriber, form)
        self._subscriptions[subscription] = None
        if subscriber.drop_due:
            self._codes_before_drop.setdefault(subscriber, 0)
        self._recorder.write(
            "subscribed", connection=subscriber.ordinal, namespace=namespace, ns=wall_ns()
        )
        if after is None and self._replay:
            after = 0
        if after is not None:
            self._write_history(subscriber, form, after)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; a held delivery fails."""
        self._subscriptions.pop(subscription, None)
        held, subscription.held = subscription.held, None
        if held is not None:
            held.timer.cancel()
            _abandon(held.broadcast, subscription.subscriber)

    def forget(self, subscriber: Subscriber) -> None:
        """Drop the state of a closed connection."""
        self._codes_before_drop.pop(subscriber, None)

    def broadcast(self, code: IngestedCode) -> int:
        """Queue a code for all subscribers, and return its index."""
        self._codes += 1
        code = dataclasses.replace(code, index=self._codes)
        self._waiting.append(_Broadcast(code, self._recorder))
        self._woken.set()
        return code.index

    async def run(self) -> None:
        """Broadcast queued codes in order until cancelled."""
        loop = asyncio.get_running_loop()
        free = loop.time()
        while True:
            if not self._waiting:
                self._woken.clear()
                await self._woken.wait()
            # Let the loop read its sockets and end closed connections first. Otherwise a
            # client that has already left would be written to and counted as served.
            for _ in range(3):
                await asyncio.sleep(0)
            broadcast = self._waiting[0]
            self._history.append(broadcast.code)
            broadcast.start(self._subscriptions)
            members = list(broadcast.rest)
            free = max(free, loop.time())
            while broadcast.rest:
                self._deliver(broadcast, broadcast.rest.popleft())
                if self._cost:
                    free += self._cost
                    if (ahead := free - loop.time()) > 0:
                        await asyncio.sleep(ahead)
            self._waiting.popleft()
            broadcast.finish()
            self._drop_when_due(members)
            self._on_broadcast(broadcast.code.index)

    def close(self) -> None:
        """Fail all deliveries that are still waiting, and end all subscriptions."""
        for broadcast in self._waiting:
            if not broadcast.entry.start_ns:
                broadcast.start(self._subscriptions)
            broadcast.finish()
        self._waiting.clear()
        for delayed, timer in self._delayed.items():
            timer.cancel()
            _abandon(delayed.broadcast, delayed.subscription.subscriber)
        self._delayed.clear()
        for subscription in list(self._subscriptions):
            self.unsubscribe(subscription)

    def _write_history(self, subscriber: Subscriber, form: Format, after: int) -> None:
        codes = [code for code in self._history if code.index > after]

        def settle(taken: bool) -> None:
            if taken and codes:
                self._recorder.write("replayed", connection=subscriber.ordinal, codes=len(codes))

        subscriber.socket.write(b"".join(form.code(code) for code in codes), settle)

    def _drop_when_due(self, members: list[Subscription]) -> None:
        """Count a code for each connection due to be dropped, and drop those that are done."""
        if not self._codes_before_drop:
            return
        for subscriber in {subscription.subscriber: None for subscription in members}:
            if subscriber not in self._codes_before_drop:
                continue
            self._codes_before_drop[subscriber] += 1
            if self._codes_before_drop[subscriber] >= self._plan.faults.drop_after:
                del self._codes_before_drop[subscriber]
                subscriber.drop()

    def _deliver(self, broadcast: _Broadcast, subscription: Subscription) -> None:
        ordinal = subscription.subscriber.ordinal
        if subscription not in self._subscriptions:
            broadcast.entry.failed.append(ordinal)
            return
        if subscription.subscriber.silent:
            broadcast.entry.silenced.append(ordinal)
            return
        delivery = self._plan.delivery(broadcast.code.index, ordinal)
        if delivery is PLAIN and subscription.held is None:
            self._write(broadcast, subscription)
        elif delivery.lost:
            broadcast.entry.lost.append(ordinal)
        elif delivery.delay:
            broadcast.begin()
            delayed = _DelayedDelivery(broadcast, subscription, delivery)
            self._delayed[delayed] = asyncio.get_running_loop().call_later(
                delivery.delay, self._write_delayed, delayed
            )
        elif delivery.held and subscription.held is None:
            broadcast.begin()
            timer = asyncio.get_running_loop().call_later(
                self._plan.faults.reorder_seconds, self._release, subscription, "delayed"
            )
            subscription.held = _HeldDelivery(broadcast, delivery, timer)
        else:
            self._write_all(broadcast, subscription, delivery)
            if subscription.held is not None:
                self._release(subscription, "reordered")

    def _write_delayed(self, delayed: _DelayedDelivery) -> None:
        """Write a delivery whose delay is over."""
        del self._delayed[delayed]
        if delayed.subscription in self._subscriptions:
            self._write_all(delayed.broadcast, delayed.subscription, delayed.delivery, "delayed")
            delayed.broadcast.end()
        else:
            _abandon(delayed.broadcast, delayed.subscription.subscriber)

    def _release(self, subscription: Subscription, why: str) -> None:
        """Write a subscription's held delivery.

        Args:
            subscription: whose.
            why: "delayed" or "reordered", for the record.
        """
        held, subscription.held = subscription.held, None
        if held is not None:
            held.timer.cancel()
            self._write_all(held.broadcast, subscription, held.delivery, why)
            held.broadcast.end()

    def _write_all(
        self,
        broadcast: _Broadcast,
        subscription: Subscription,
        delivery: DeliveryFaults,
        why: str = "",
    ) -> None:
        entry, subscriber, form = broadcast.entry, subscription.subscriber, subscription.format
        if subscriber.silent:
            entry.silenced.append(subscriber.ordinal)
            return
        self._write(broadcast, subscription, why)
        for _ in range(delivery.copies - 1):
            _put(broadcast, subscriber, broadcast.payload(form), (entry.duplicated,))
        if delivery.garbage:
            garbage = form.garbage(self._plan.faults.garbage_how)
            _put(broadcast, subscriber, garbage, (entry.garbage,))
        if delivery.foreign:
            _put(broadcast, subscriber, form.foreign(), (entry.foreign,))

    def _write(self, broadcast: _Broadcast, subscription: Subscription, why: str = "") -> None:
        """Write the first copy, and record it under ``sent`` and ``why``."""
        entry = broadcast.entry
        lists = [entry.sent]
        if why:
            lists.append(entry.delayed if why == "delayed" else entry.reordered)
        if entry.index < subscription.newest:
            lists.append(entry.out_of_order)
        else:
            subscription.newest = entry.index
        payload = broadcast.payload(subscription.format)
        _put(broadcast, subscription.subscriber, payload, lists, (entry.failed,))


def _put(
    broadcast: _Broadcast,
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


def _abandon(broadcast: _Broadcast, subscriber: Subscriber) -> None:
    """Record that a waiting delivery will never be written."""
    entry = broadcast.entry
    (entry.silenced if subscriber.silent else entry.failed).append(subscriber.ordinal)
    broadcast.end()
