"""The broadcast of one node: write each code to every subscriber, subject to the faults.

A payload is encoded once per format and written to all subscribers without waiting; only
``--cost-per-delivery`` makes one subscriber wait for another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from sseload_users.core.clock import wall_ns
from sseload_users.demo.backplane import Backplane
from sseload_users.demo.broadcast import (
    Broadcast,
    DelayedDelivery,
    HeldDelivery,
    Subscriber,
    Subscription,
    abandon,
    put,
)
from sseload_users.demo.faults import PLAIN, DeliveryFaults, FaultPlan
from sseload_users.demo.messages import Format, IngestedCode
from sseload_users.demo.record import Recorder
from sseload_users.demo.subscriptions import EVERYBODY, Subscriptions

#: Seconds from one look at whether the kernel has taken a delivery to the next.
_WAIT_S = 0.005


class Hub:
    """Broadcast each code to the subscriptions in its channel at one node.

    Args:
        plan: the faults.
        recorder: records each code's outcomes.
        backplane: connects the hub with those of other nodes, and has the history.
        cost: seconds per delivery; deliveries are sequential.
        waits: wait until the kernel has taken each delivery.
        on_broadcast: called with a code's index after its broadcast.
    """

    def __init__(
        self,
        plan: FaultPlan,
        recorder: Recorder,
        backplane: Backplane,
        *,
        cost: float,
        waits: bool,
        on_broadcast: Callable[[int], None],
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._cost = cost
        self._waits = waits
        self._on_broadcast = on_broadcast
        self._codes = 0
        self._backplane = backplane
        self._history = backplane.history()
        # A subscription gets what is newer by broadcast, and nothing else of it.
        self._newest = backplane.log.newest
        self._subscriptions = Subscriptions()
        self._codes_before_drop: dict[Subscriber, int] = {}
        self._delayed: dict[DelayedDelivery, asyncio.TimerHandle] = {}
        self._waiting: deque[Broadcast] = deque()
        self._woken = asyncio.Event()

    @property
    def codes(self) -> int:
        """The number of codes handed in at this node so far."""
        return self._codes

    @property
    def newest(self) -> int:
        """The index of the newest code, up to which a client that connects now is informed."""
        return self._newest

    def subscribe(
        self,
        subscriber: Subscriber,
        form: Format,
        namespace: str = "",
        *,
        channels: tuple[str, ...] = (EVERYBODY,),
        after: int | None = None,
    ) -> Subscription:
        """Subscribe a connection to channels from now on; send the history first if asked.

        Args:
            subscriber: the connection.
            form: the format of its messages.
            namespace: for the record.
            channels: the channels.
            after: index of the newest code that the client has; codes after it are sent
                from the history. None: no history, unless late joiners get it.
        """
        subscription = Subscription(subscriber, form, channels)
        self._subscriptions.add(subscription)
        if subscriber.drop_due:
            self._codes_before_drop.setdefault(subscriber, 0)
        self._recorder.write(
            "subscribed",
            connection=subscriber.ordinal,
            namespace=namespace,
            ns=wall_ns(),
            channels=[each for each in channels if each != EVERYBODY],
            after=after,
        )
        self._write_history(subscription, after)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; a held delivery fails."""
        self._subscriptions.remove(subscription)
        held, subscription.held = subscription.held, None
        if held is not None:
            held.timer.cancel()
            abandon(held.broadcast, subscription.subscriber)

    def leave(self, subscription: Subscription, channel: str) -> None:
        """End a subscription to one of its channels, or all of it if there is no other."""
        if subscription.channels == (channel,):
            self.unsubscribe(subscription)
        else:
            self._subscriptions.leave(subscription, channel)

    def forget(self, subscriber: Subscriber) -> None:
        """Drop the state of a closed connection."""
        self._codes_before_drop.pop(subscriber, None)

    def broadcast(self, code: IngestedCode) -> int:
        """Pass on a code that was handed in at this node, and return its index."""
        self._codes += 1
        return self._backplane.publish(code, self)

    def enqueue(self, code: IngestedCode) -> None:
        """Queue a numbered code for its channel, and keep it in the history."""
        self._history.add(code)
        self._waiting.append(Broadcast(code, self._recorder))
        self._woken.set()

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
            self._newest = broadcast.code.index
            broadcast.start(self._subscriptions.members(broadcast.code.channel))
            self._deliver_outside(broadcast)
            members = list(broadcast.rest)
            free = max(free, loop.time())
            while broadcast.rest:
                self._deliver(broadcast, broadcast.rest.popleft())
                while self._waits and broadcast.is_written_to:
                    await asyncio.sleep(_WAIT_S)
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
                broadcast.start(self._subscriptions.members(broadcast.code.channel))
            broadcast.finish()
        self._waiting.clear()
        for delayed, timer in self._delayed.items():
            timer.cancel()
            abandon(delayed.broadcast, delayed.subscription.subscriber)
        self._delayed.clear()
        for subscription in self._subscriptions:
            self.unsubscribe(subscription)

    def _write_history(self, subscription: Subscription, after: int | None) -> None:
        codes, withheld = self._history.replay(
            subscription.channels, after, self._newest, self._backplane.log
        )
        form, ordinal = subscription.format, subscription.subscriber.ordinal
        if withheld:
            self._recorder.write("withheld", connection=ordinal, codes=withheld)

        def settle(taken: bool) -> None:
            if taken:
                indices = [each.index for each in codes]
                self._recorder.write("replayed", connection=ordinal, codes=indices)

        if codes:
            messages = b"".join(form.code(each) for each in codes)
            subscription.subscriber.socket.write(messages, settle)

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

    def _deliver_outside(self, broadcast: Broadcast) -> None:
        """Write a code to connections outside its channel, if the faults say so."""
        code, entry = broadcast.code, broadcast.entry
        other = self._subscriptions.other_than(code.channel)
        if other is not None and self._plan.misroutes(code.index):
            reached = {each.subscriber for each in self._subscriptions.members(other)}
            members = list(broadcast.rest)
            broadcast.rest.clear()
            broadcast.rest.extend(each for each in members if each.subscriber in reached)
            entry.misrouted += [
                each.subscriber.ordinal for each in members if each.subscriber not in reached
            ]
        elif self._plan.faults.leak:
            reached = {
                each.subscriber
                for each in self._subscriptions.outsiders(code.channel)
                if self._plan.leaks(code.index, each.subscriber.ordinal)
            }
        else:
            return
        for each in self._subscriptions.outsiders(code.channel):
            if each.subscriber in reached and not each.subscriber.silent:
                put(broadcast, each.subscriber, broadcast.payload(each.format), (entry.leaked,))

    def _deliver(self, broadcast: Broadcast, subscription: Subscription) -> None:
        ordinal = subscription.subscriber.ordinal
        if subscription not in self._subscriptions:
            broadcast.entry.failed.append(ordinal)
            return
        if subscription.subscriber.silent:
            broadcast.entry.silenced.append(ordinal)
            return
        most = self._plan.faults.max_payload
        if most and len(broadcast.payload(subscription.format)) > most:
            broadcast.entry.lost.append(ordinal)
            return
        delivery = self._plan.delivery(broadcast.code.index, ordinal)
        if delivery is PLAIN and subscription.held is None:
            self._write(broadcast, subscription)
        elif delivery.lost:
            broadcast.entry.lost.append(ordinal)
        elif delivery.delay:
            broadcast.begin()
            delayed = DelayedDelivery(broadcast, subscription, delivery)
            self._delayed[delayed] = asyncio.get_running_loop().call_later(
                delivery.delay, self._write_delayed, delayed
            )
        elif delivery.held and subscription.held is None:
            broadcast.begin()
            timer = asyncio.get_running_loop().call_later(
                self._plan.faults.reorder_seconds, self._release, subscription, "delayed"
            )
            subscription.held = HeldDelivery(broadcast, delivery, timer)
        else:
            self._write_all(broadcast, subscription, delivery)
            if subscription.held is not None:
                self._release(subscription, "reordered")

    def _write_delayed(self, delayed: DelayedDelivery) -> None:
        """Write a delivery whose delay is over."""
        del self._delayed[delayed]
        if delayed.subscription in self._subscriptions:
            self._write_all(delayed.broadcast, delayed.subscription, delayed.delivery, "delayed")
            delayed.broadcast.end()
        else:
            abandon(delayed.broadcast, delayed.subscription.subscriber)

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
        broadcast: Broadcast,
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
            put(broadcast, subscriber, broadcast.payload(form), (entry.duplicated,))
        if delivery.garbage:
            garbage = form.garbage(self._plan.faults.garbage_how)
            put(broadcast, subscriber, garbage, (entry.garbage,))
        if delivery.foreign:
            put(broadcast, subscriber, form.foreign(), (entry.foreign,))

    def _write(self, broadcast: Broadcast, subscription: Subscription, why: str = "") -> None:
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
        put(broadcast, subscription.subscriber, payload, lists, (entry.failed,))
