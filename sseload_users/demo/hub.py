"""The broadcast: every subscriber gets every code, less what the faults take.

Each payload is encoded once per format and written to all, waiting for nobody; only
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
from sseload_users.demo.faults import PLAIN, Delivery, FaultPlan
from sseload_users.demo.messages import Format, IngestedCode
from sseload_users.demo.record import CodeRecord, Recorder
from sseload_users.demo.wire import Wire

#: Codes that are remembered, for ``--replay`` and ``Last-Event-ID``.
HISTORY = 10_000


class Push(Protocol):
    """A connection that codes are pushed to, as the broadcast sees it.

    Attributes:
        ordinal: its number in the record.
        wire: where it is written to.
        silent: it gets no more codes, though it stays open.
        doomed: it ends after its codes.
    """

    ordinal: int
    wire: Wire
    silent: bool
    doomed: bool

    def drop(self) -> None:
        """End it, or silence it, as the faults say."""


@dataclass(eq=False, slots=True)
class Subscription:
    """One subscriber: a connection, or one namespace of it."""

    push: Push
    format: Format
    newest: int = 0
    held: _Held | None = None


@dataclass(eq=False, slots=True)
class _Held:
    """A delivery that waits for the next code."""

    running: _Broadcast
    delivery: Delivery
    timer: asyncio.TimerHandle


@dataclass(eq=False, slots=True)
class _Delayed:
    """A delivery that waits for its time."""

    running: _Broadcast
    subscription: Subscription
    delivery: Delivery


class _Broadcast:
    """One code on its way: its payloads, its record, and what of it is still open.

    Attributes:
        rest: the subscribers whose turn has not come.
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
        """All that was to be written at once was written; what was not never will be."""
        self.entry.failed.extend(subscription.push.ordinal for subscription in self.rest)
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
    """All subscribers, the codes on their way to them, and the history.

    Args:
        plan: the faults.
        recorder: where the truth goes.
        cost: seconds that each delivery takes, one after the other.
        replay: send the history to everybody who joins late.
        on_broadcast: called with the index of each code whose broadcast is over.
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
        self._doomed: dict[Push, int] = {}
        self._delayed: dict[_Delayed, asyncio.TimerHandle] = {}
        self._waiting: deque[_Broadcast] = deque()
        self._woken = asyncio.Event()

    def subscribe(
        self, push: Push, form: Format, namespace: str = "", after: int | None = None
    ) -> Subscription:
        """Send this connection all codes from now on, and maybe earlier ones first.

        Args:
            push: the connection.
            form: what its messages look like.
            namespace: for the record.
            after: the index of the newest code that the client has, if it says that it
                wants the later ones.
        """
        subscription = Subscription(push, form)
        self._subscriptions[subscription] = None
        if push.doomed:
            self._doomed.setdefault(push, 0)
        self._recorder.write(
            "subscribed", connection=push.ordinal, namespace=namespace, ns=wall_ns()
        )
        if after is None and self._replay:
            after = 0
        if after is not None:
            self._write_history(push, form, after)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Send it nothing more."""
        self._subscriptions.pop(subscription, None)
        held, subscription.held = subscription.held, None
        if held is not None:
            held.timer.cancel()
            _give_up(held.running, subscription.push)

    def forget(self, push: Push) -> None:
        """The connection is over."""
        self._doomed.pop(push, None)

    def broadcast(self, code: IngestedCode) -> int:
        """Write a code to all subscribers, soon; its index."""
        self._codes += 1
        code = dataclasses.replace(code, index=self._codes)
        self._waiting.append(_Broadcast(code, self._recorder))
        self._woken.set()
        return code.index

    async def run(self) -> None:
        """Broadcast what comes, one code after the other, for ever."""
        loop = asyncio.get_running_loop()
        free = loop.time()
        while True:
            if not self._waiting:
                self._woken.clear()
                await self._woken.wait()
            # Whoever has left by now is not to be written to and then counted as served: let
            # the loop come to its sockets, read them, and end the connections that are over.
            for _ in range(3):
                await asyncio.sleep(0)
            running = self._waiting[0]
            self._history.append(running.code)
            running.start(self._subscriptions)
            members = list(running.rest)
            free = max(free, loop.time())
            while running.rest:
                self._deliver(running, running.rest.popleft())
                if self._cost:
                    free += self._cost
                    if (ahead := free - loop.time()) > 0:
                        await asyncio.sleep(ahead)
            self._waiting.popleft()
            running.finish()
            self._drop_doomed(members)
            self._on_broadcast(running.code.index)

    def close(self) -> None:
        """The server stops: what still waits will not be written."""
        for running in self._waiting:
            if not running.entry.start_ns:
                running.start(self._subscriptions)
            running.finish()
        self._waiting.clear()
        for delayed, timer in self._delayed.items():
            timer.cancel()
            _give_up(delayed.running, delayed.subscription.push)
        self._delayed.clear()
        for subscription in list(self._subscriptions):
            self.unsubscribe(subscription)

    def _write_history(self, push: Push, form: Format, after: int) -> None:
        codes = [code for code in self._history if code.index > after]

        def settle(taken: bool) -> None:
            if taken and codes:
                self._recorder.write("replayed", connection=push.ordinal, codes=len(codes))

        push.wire.write(b"".join(form.code(code) for code in codes), settle)

    def _drop_doomed(self, members: list[Subscription]) -> None:
        """Count a code for the connections that got it, and end those that are due."""
        if not self._doomed:
            return
        for push in {subscription.push: None for subscription in members}:
            if push not in self._doomed:
                continue
            self._doomed[push] += 1
            if self._doomed[push] >= self._plan.faults.drop_after:
                del self._doomed[push]
                push.drop()

    def _deliver(self, running: _Broadcast, subscription: Subscription) -> None:
        ordinal = subscription.push.ordinal
        if subscription not in self._subscriptions:
            running.entry.failed.append(ordinal)
            return
        if subscription.push.silent:
            running.entry.silenced.append(ordinal)
            return
        delivery = self._plan.delivery(running.code.index, ordinal)
        if delivery is PLAIN and subscription.held is None:
            self._write(running, subscription)
        elif delivery.lost:
            running.entry.lost.append(ordinal)
        elif delivery.delay:
            running.begin()
            delayed = _Delayed(running, subscription, delivery)
            self._delayed[delayed] = asyncio.get_running_loop().call_later(
                delivery.delay, self._late, delayed
            )
        elif delivery.held and subscription.held is None:
            running.begin()
            timer = asyncio.get_running_loop().call_later(
                self._plan.faults.reorder_seconds, self._release, subscription, "delayed"
            )
            subscription.held = _Held(running, delivery, timer)
        else:
            self._write_all(running, subscription, delivery)
            if subscription.held is not None:
                self._release(subscription, "reordered")

    def _late(self, delayed: _Delayed) -> None:
        """The delay of a delivery is over."""
        del self._delayed[delayed]
        if delayed.subscription in self._subscriptions:
            self._write_all(delayed.running, delayed.subscription, delayed.delivery, "delayed")
            delayed.running.end()
        else:
            _give_up(delayed.running, delayed.subscription.push)

    def _release(self, subscription: Subscription, why: str) -> None:
        """What was held is written now."""
        held, subscription.held = subscription.held, None
        if held is not None:
            held.timer.cancel()
            self._write_all(held.running, subscription, held.delivery, why)
            held.running.end()

    def _write_all(
        self, running: _Broadcast, subscription: Subscription, delivery: Delivery, why: str = ""
    ) -> None:
        entry, push, form = running.entry, subscription.push, subscription.format
        if push.silent:
            entry.silenced.append(push.ordinal)
            return
        self._write(running, subscription, why)
        for _ in range(delivery.copies - 1):
            _put(running, push, running.payload(form), (entry.duplicated,))
        if delivery.garbage:
            garbage = form.garbage(self._plan.faults.garbage_how)
            _put(running, push, garbage, (entry.garbage,))
        if delivery.foreign:
            _put(running, push, form.foreign(), (entry.foreign,))

    def _write(self, running: _Broadcast, subscription: Subscription, why: str = "") -> None:
        """Write the first copy."""
        entry = running.entry
        lists = [entry.sent]
        if why:
            lists.append(entry.delayed if why == "delayed" else entry.reordered)
        if entry.index < subscription.newest:
            lists.append(entry.out_of_order)
        else:
            subscription.newest = entry.index
        payload = running.payload(subscription.format)
        _put(running, subscription.push, payload, lists, (entry.failed,))


def _put(
    running: _Broadcast,
    push: Push,
    payload: bytes,
    taken_by: Iterable[list[int]],
    failed: Iterable[list[int]] = (),
) -> None:
    """Write, and note on the lists whether the kernel took it, now or later."""
    running.begin()

    def settle(taken: bool) -> None:
        for each in taken_by if taken else failed:
            each.append(push.ordinal)
        running.end()

    push.wire.write(payload, settle)


def _give_up(running: _Broadcast, push: Push) -> None:
    """A delivery that waited will never be written."""
    entry = running.entry
    (entry.silenced if push.silent else entry.failed).append(push.ordinal)
    running.end()
