"""The broadcast: every subscriber gets every code, less what the faults take.

One loop writes one encoded payload per format to all, never waiting for anybody.
"""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import Protocol

from sseload_users.clock import wall_ns
from sseload_users.demo.faults import PLAIN, Delivery, Plan
from sseload_users.demo.messages import Code, Format
from sseload_users.demo.record import CodeRecord, Recorder
from sseload_users.demo.wire import Wire, Written


class Push(Protocol):
    """A connection that codes are pushed to, as the broadcast sees it.

    Attributes:
        ordinal: its number in the record.
        wire: where it is written to.
        silent: nothing is written to it any more, though it stays open.
    """

    ordinal: int
    wire: Wire
    silent: bool

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
    """One code on its way: its payloads, its record, and what of it is still open."""

    def __init__(self, code: Code, recorder: Recorder) -> None:
        self.code = code
        self.entry = CodeRecord(code.index, code.code, start_ns=wall_ns())
        self._payloads: dict[Format, bytes] = {}
        self._open = 1
        self._recorder = recorder

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
    """All subscribers, and the history.

    Args:
        plan: the faults.
        recorder: where the truth goes.
        keep_history: remember all codes, for late joiners.
    """

    def __init__(self, plan: Plan, recorder: Recorder, *, keep_history: bool) -> None:
        self.codes = 0
        self._plan = plan
        self._recorder = recorder
        self._keep_history = keep_history
        self._history: list[Code] = []
        self._subscriptions: dict[Subscription, None] = {}
        self._doomed: dict[Push, int] = {}
        self._delayed: dict[_Delayed, asyncio.TimerHandle] = {}

    def subscribe(self, push: Push, form: Format, namespace: str = "", after: int = 0) -> Subscription:
        """Send this connection all codes from now on; first the history, if it is kept.

        Args:
            push: the connection.
            form: what its messages look like.
            namespace: for the record.
            after: the index of the newest code that the client has already.
        """
        subscription = Subscription(push, form, newest=self.codes)
        self._subscriptions[subscription] = None
        if self._plan.drops(push.ordinal):
            self._doomed.setdefault(push, 0)
        history = self._history[after:]
        for code in history:
            push.wire.write(form.code(code))
        self._recorder.write(
            "subscribed",
            connection=push.ordinal,
            namespace=namespace,
            replayed=len(history),
            ns=wall_ns(),
        )
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

    def close(self) -> None:
        """The server stops: what still waits will not be written."""
        for delayed, timer in self._delayed.items():
            timer.cancel()
            _give_up(delayed.running, delayed.subscription.push)
        self._delayed.clear()
        for subscription in list(self._subscriptions):
            self.unsubscribe(subscription)

    def broadcast(self, code: Code) -> None:
        """Write a code to all subscribers."""
        self.codes += 1
        code = dataclasses.replace(code, index=self.codes)
        if self._keep_history:
            self._history.append(code)
        running = _Broadcast(code, self._recorder)
        entry = running.entry
        subscriptions = list(self._subscriptions)
        entry.subscribers = len(subscriptions)
        for subscription in subscriptions:
            self._deliver(running, subscription)
        entry.end_ns = wall_ns()
        running.end()
        for push in list(self._doomed):
            self._doomed[push] += 1
            if self._doomed[push] >= self._plan.faults.drop_after:
                del self._doomed[push]
                push.drop()

    def _deliver(self, running: _Broadcast, subscription: Subscription) -> None:
        ordinal = subscription.push.ordinal
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
        assert held is not None
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
            self._put(running, push, running.payload(form), entry.duplicated)
        if delivery.garbage:
            garbage = form.garbage(self._plan.faults.garbage_how)
            self._put(running, push, garbage, entry.garbage)
        if delivery.foreign:
            self._put(running, push, form.foreign(), entry.foreign)

    def _write(self, running: _Broadcast, subscription: Subscription, why: str = "") -> None:
        """Write the first copy."""
        entry, push = running.entry, subscription.push
        lists = [entry.sent]
        if why:
            lists.append(entry.delayed if why == "delayed" else entry.reordered)
        if entry.index < subscription.newest:
            lists.append(entry.out_of_order)
        else:
            subscription.newest = entry.index
        payload = running.payload(subscription.format)
        self._put(running, push, payload, *lists, failed=entry.failed)

    def _put(
        self,
        running: _Broadcast,
        push: Push,
        payload: bytes,
        *lists: list[int],
        failed: list[int] | None = None,
    ) -> None:
        """Write, and note on the lists whether the kernel took it, now or later."""
        written = push.wire.write(payload)
        if written is Written.LATER:
            running.begin()

            def settle(taken: bool) -> None:  # noqa: FBT001 - the wire's callback
                _note(push.ordinal, lists if taken else (failed,))
                running.end()

            push.wire.then(settle)
        else:
            _note(push.ordinal, lists if written is Written.YES else (failed,))


def _give_up(running: _Broadcast, push: Push) -> None:
    """A delivery that waited will never be written."""
    entry = running.entry
    (entry.silenced if push.silent else entry.failed).append(push.ordinal)
    running.end()


def _note(ordinal: int, lists: tuple[list[int] | None, ...]) -> None:
    for each in lists:
        if each is not None:
            each.append(ordinal)
