"""What each client was owed over all its sessions and channels, and what it got.

Worked out from the target's record, by docs/ledger.md and docs/audiences.md. Only the client
knows exactly when it learned of a change, so some numbers have bounds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sseload_users.demo.record import CodeRecord, ConnectionRecord, Record
from tests.campaign.bounds import Bounds, share
from tests.campaign.clients import ClientPlay
from tests.support.channel_truth import has_left, sent_ns, stays
from tests.support.returning_clients import clients_of

_S = 1_000_000_000
#: Outcomes of copies: each copy that a client read has one of them.
_OF_COPIES = (
    "delivered", "late", "recovered", "released", "duplicate", "unexpected", "leaked", "replayed",
    "history",
)  # fmt: skip
#: What is counted code by code.
_COUNTED = ("lost", "received", "recovered", "leaked", "unexpected", "copies")


@dataclass
class Span:
    """When a client was owed the codes of a channel (wall clock, ns).

    Attributes:
        possible: the longest span.
        certain: the shortest one.
    """

    channel: str
    possible: tuple[int, int]
    certain: tuple[int, int]


class ClientTruth:
    """A record, read client by client.

    Args:
        play: the run.
        record: the target's record of it.
        slack_s: how far the two sides' times can be apart.
    """

    def __init__(self, play: ClientPlay, record: Record, *, slack_s: float) -> None:
        self.play = play
        self.record = record
        self._slack = round(slack_s * _S)
        # A connection that lacks a code waits for it until it has timed out, and leaves then.
        self._leaving = round(play.delivery_timeout_s * _S) + 8 * self._slack

    def differences(self, report: Mapping[str, Any]) -> Iterator[str]:
        """Yield where a report and the record contradict each other, each in one line."""
        deliveries = report["deliveries"]
        said = {**deliveries, "lost": deliveries["missing"] + deliveries["interrupted"]}
        said["received"] = sum(deliveries[name] for name in ("delivered", "recovered", "late"))
        said["copies"] = sum(deliveries[name] for name in _OF_COPIES)
        for name, bounds in self.figures.items():
            if said[name] not in bounds:
                yield f"deliveries.{name}: the report says {said[name]}, the record {bounds}"
        reasons = {
            each["rule"]: each["grade"]
            for each in report["verdict"]["reasons"]
            if each["grade"] != "good" and each["rule"] != "generator"
        }
        yield from self._wrong_reasons(reasons)

    def _wrong_reasons(self, reasons: Mapping[str, str]) -> Iterator[str]:
        figures = self.figures
        leaked, lost = figures["leaked"], figures["lost"]
        low, high = share(figures["received"], lost)
        received = reasons.get("codes_received", "good")
        if (received == "good" and lost.low) or (received != "good" and not lost.high):
            yield f"rule codes_received: {received}, but the record has {lost} losses"
        if (received == "warning" and high < 0.95) or (received == "issues" and low >= 0.95):
            yield f"rule codes_received: {received} at {low:.3f} to {high:.3f}"
        isolation = reasons.get("isolation", "good")
        if (isolation == "good" and leaked.low) or (isolation != "good" and not leaked.high):
            yield f"rule isolation: {isolation}, but the record has {leaked} leaks"
        if not self.play.faults and reasons:
            yield f"the server did nothing wrong: {reasons}"

    @cached_property
    def figures(self) -> dict[str, Bounds]:
        """The bounds of each figure of the deliveries."""
        zero = Bounds(0, 0)
        found = dict.fromkeys(_COUNTED, zero)
        for sessions in clients_of(self.record).values():
            spans = self._spans(sessions)
            for code in self.record.codes.values():
                for name, bounds in self._outcome(sessions, spans, code):
                    found[name] += bounds
        found["replayed"] = self._replayed
        found["owed"] = found["lost"] + found["received"]
        found["late"] = zero
        duplicated = self.record.total("duplicated")
        # A copy may have been unread when its session ended.
        whole = not self.play.ends
        found["duplicate"] = Bounds(duplicated if whole else 0, duplicated)
        found["copies"] += found["duplicate"]
        return found

    @cached_property
    def _replayed(self) -> Bounds:
        more = sum(
            max(0, len(self._brought(sessions, code)) - 1)
            for sessions in clients_of(self.record).values()
            for code in self.record.codes.values()
        )
        # What a client that had moved gets again may be of a channel that it had left meanwhile.
        return Bounds(0 if self.play.churn_s or not self.play.resumes else more, more)

    @staticmethod
    def _brought(sessions: list[ConnectionRecord], code: CodeRecord) -> list[ConnectionRecord]:
        """Return the sessions of a client that brought it a code."""
        # What a client had read when a session ended, it says when it returns.
        read = [*(each.after or 0 for each in sessions[1:]), sys.maxsize]
        reached = {*code.sent, *code.leaked}
        return [
            each
            for each, newest in zip(sessions, read, strict=True)
            if newest >= code.index and (each.connection in reached or code.index in each.replayed)
        ]

    def _outcome(
        self, sessions: list[ConnectionRecord], spans: list[Span], code: CodeRecord
    ) -> Iterator[tuple[str, Bounds]]:
        """Yield what a code adds to the figures of a client."""
        at_ns = sent_ns(code)
        own = [each for each in spans if each.channel == code.channel]
        certain = any(each.certain[0] < at_ns < each.certain[1] for each in own)
        possible = any(each.possible[0] < at_ns < each.possible[1] for each in own)
        brought = self._brought(sessions, code)
        if not brought:
            yield "lost", Bounds(int(certain), int(possible))
            return
        yield "copies", Bounds(len(brought), len(brought))
        yield "received", Bounds(int(certain), int(possible))
        # A client can get again what was sent before it joined the channel.
        again = sum(code.index in each.replayed for each in brought)
        yield "unexpected", Bounds(0, 0 if certain else again)
        first = brought[0]
        if first is not sessions[0]:
            opened_ns = first.opened_ns or 0
            yield (
                "recovered",
                Bounds(
                    int(certain and at_ns < opened_ns - self._slack),
                    int(possible and at_ns < opened_ns + self._slack),
                ),
            )
        for each in brought:
            if each.connection in code.sent or each.connection in code.leaked:
                own_stays = stays(self.record, each)
                yield (
                    "leaked",
                    Bounds(
                        int(has_left(own_stays, code, self._slack)),
                        int(has_left(own_stays, code, -self._slack)),
                    ),
                )

    def _spans(self, sessions: list[ConnectionRecord]) -> list[Span]:
        slack, forever = self._slack, sys.maxsize
        if not self.play.churn_s:
            begin = min(sessions[0].subscribed.values())
            return [
                Span(channel, (begin - slack, forever), (begin + slack, forever))
                for channel in sessions[0].channels
            ]
        found = []
        for at, session in enumerate(sessions):
            # Until it has returned, a client is owed what is sent in the channels that it was in.
            later = sessions[at + 1 :]
            back = min(later[0].subscribed.values()) + slack if later else forever
            # A server does not notice at once that a client is gone.
            closed = min(session.closed_ns or forever, back)
            for stay in stays(self.record, session):
                left = stay.left_ns
                # That it has left, or joined, may not have reached it before the session ended.
                told = left is not None and left < closed - self._leaving
                until = (left or 0) + slack if told else back
                ends = min(left or forever, closed) - self._leaving
                found.append(
                    Span(stay.channel, (stay.joined_ns - slack, until),
                         (stay.joined_ns + slack, ends))
                )  # fmt: skip
        return found
