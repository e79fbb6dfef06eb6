"""Assign answers to codes on a connection with several codes in flight; pure.

An acknowledgement has the number of its code, and a message may contain the code's text. Any
other refusal is assumed to concern

- the oldest code in flight if a message accepts a code: answers arrive in order;
- the code that is acknowledged next if codes are acknowledged: servers send the error and then
  return from the handler, which acknowledges. If only one code can be meant, it is that one;
  if no acknowledgement follows, it is the oldest;
- the newest code if nothing else is ever answered: the earlier ones went unanswered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sseload_users.core.code_tally import Status
from sseload_users.targets.messages import ReceivedMessage
from sseload_users.targets.publishing import Refused

Expects = Literal["ack", "message", "none"]

#: Most expired codes that are kept in case the server acknowledges them after all.
_MAX_EXPIRED = 256


@dataclass(frozen=True, slots=True)
class PublishOutcome:
    """The outcome of a code.

    Attributes:
        status: its status.
        cause: why it failed; None if it did not.
        at_ns: arrival of the answer (wall clock, ns); None if there was none.
        server_text: the server's own words if it failed.
    """

    status: Status
    cause: str | None = None
    at_ns: int | None = None
    server_text: str = ""

    @classmethod
    def rejected(cls, refused: Refused, at_ns: int) -> PublishOutcome:
        """Return the outcome of a code that the server refused."""
        return cls("rejected", refused.cause, at_ns, refused.server_text)


@dataclass(frozen=True, slots=True)
class AwaitedCode:
    """A code whose answer is awaited.

    Attributes:
        is_accepted_by: whether a message accepts it.
        refusal_in: returns the refusal in a message that names this code; None if there is none.
        settle: called once with its outcome.
    """

    is_accepted_by: Callable[[ReceivedMessage], bool]
    refusal_in: Callable[[ReceivedMessage], Refused | None]
    settle: Callable[[PublishOutcome], None]


@dataclass(eq=False, slots=True)
class _PendingRefusal:
    """A refusal of one of several codes.

    Attributes:
        outcome: of the code that is refused.
        candidates: numbers of the codes that it can concern.
    """

    outcome: PublishOutcome
    candidates: set[int] = field(default_factory=set)


class AnswerMatcher:
    """Matches a connection's answers with the codes in flight.

    Args:
        expects: what answers a code.
        refusal_in: returns the refusal in a message that names no code; None if there is none.
    """

    def __init__(
        self, expects: Expects, refusal_in: Callable[[ReceivedMessage], Refused | None]
    ) -> None:
        self._expects = expects
        self._refusal_in = refusal_in
        # By number, in the order of sending.
        self._awaited: dict[int, AwaitedCode] = {}
        # Codes that timed out and may still be acknowledged, in the order of expiry.
        self._expired: dict[int, None] = {}
        self._refusals: list[_PendingRefusal] = []

    def add(self, number: int, awaited: AwaitedCode) -> None:
        """Add a code that was sent."""
        self._awaited[number] = awaited

    def on_acknowledgement(self, number: int, what: ReceivedMessage, at_ns: int) -> None:
        """Match an acknowledgement.

        Args:
            number: number of its code, which may have expired.
            what: its arguments.
            at_ns: its arrival (wall clock, ns).
        """
        awaited = self._awaited.get(number)
        if awaited is None:
            if number in self._expired:
                del self._expired[number]
                self._take_refusal(number)
                self.discard(number)
            return
        refused = awaited.refusal_in(what) or self._refusal_in(what)
        if refused is not None:
            self._settle(number, PublishOutcome.rejected(refused, at_ns))
        else:
            self._settle(
                number, self._take_refusal(number) or PublishOutcome("accepted", None, at_ns)
            )

    def on_message(self, what: ReceivedMessage, at_ns: int) -> None:
        """Match a message; most concern no code in flight.

        Args:
            what: the message.
            at_ns: its arrival (wall clock, ns).
        """
        for number, awaited in self._awaited.items():
            if (refused := awaited.refusal_in(what)) is not None:
                self._settle(number, PublishOutcome.rejected(refused, at_ns))
                return
        if (refused := self._refusal_in(what)) is not None:
            self._on_unnamed_refusal(PublishOutcome.rejected(refused, at_ns))
            return
        for number, awaited in self._awaited.items():
            if awaited.is_accepted_by(what):
                self._settle(number, PublishOutcome("accepted", None, at_ns))
                return

    def expire(self, number: int) -> PublishOutcome:
        """Stop waiting for a code's answer; return the code's outcome."""
        refusal = self._take_refusal(number)
        self.discard(number)
        if refusal is not None:
            return refusal
        if self._expects == "none":
            return PublishOutcome("accepted")
        if self._expects == "ack":
            self._expired[number] = None
            if len(self._expired) > _MAX_EXPIRED:
                del self._expired[next(iter(self._expired))]
        return PublishOutcome("unanswered", "no answer in time")

    def on_connection_lost(self, cause: str, server_text: str = "") -> None:
        """Settle all codes in flight: the connection has ended, and nothing more will arrive.

        Args:
            cause: why it ended.
            server_text: the server's own words.
        """
        self._expired.clear()
        for number in list(self._awaited):
            if number not in self._awaited:
                continue  # settling an earlier one has settled it
            outcome = self._take_refusal(number) or PublishOutcome(
                "unanswered", cause, None, server_text
            )
            self._settle(number, outcome)

    def discard(self, number: int) -> None:
        """Forget a code."""
        self._awaited.pop(number, None)
        for refusal in list(self._refusals):
            refusal.candidates.discard(number)
            if not refusal.candidates:
                self._refusals.remove(refusal)
        for refusal in list(self._refusals):
            if len(refusal.candidates) == 1 and refusal in self._refusals:
                self._refusals.remove(refusal)
                (only,) = refusal.candidates
                self._settle(only, refusal.outcome)

    def _on_unnamed_refusal(self, outcome: PublishOutcome) -> None:
        """Assign a refusal that does not say which code it concerns."""
        numbers = [*self._expired, *self._awaited]
        if self._expects == "ack" and len(numbers) > 1:
            if len(self._refusals) >= len(numbers):
                return  # no code is left that it can concern
            self._refusals.append(_PendingRefusal(outcome, set(numbers)))
        elif numbers:
            newest = self._expects == "none"
            self._settle(numbers[-1 if newest else 0], outcome)

    def _take_refusal(self, number: int) -> PublishOutcome | None:
        """Remove the oldest pending refusal that can concern a code; return its outcome."""
        found = next((each for each in self._refusals if number in each.candidates), None)
        if found is None:
            return None
        self._refusals.remove(found)
        return found.outcome

    def _settle(self, number: int, outcome: PublishOutcome) -> None:
        awaited = self._awaited.pop(number, None)
        if awaited is not None:
            awaited.settle(outcome)
            self.discard(number)
