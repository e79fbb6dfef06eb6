"""Which answer is whose, on a connection with several codes under way; pure.

An acknowledgement says by its number which code it answers, and a message may say so by the
code in it. A message that does neither is taken to be about

- the oldest code under way, where a message is what takes a code: answers come in order;
- the code that is acknowledged next, where codes are acknowledged: servers say what is wrong
  and then return from what acknowledges. If only one code can be meant, it is that one, and if
  no acknowledgement follows, the oldest;
- the newest code, where nothing else is ever answered: the ones before have gone without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sseload_users.core.tally import Status
from sseload_users.targets.messages import Said
from sseload_users.targets.publishing import Refused

Expects = Literal["ack", "message", "none"]

#: Most codes that are remembered after their time, for what the server still says of them.
_MOST_GIVEN_UP = 256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a code.

    Attributes:
        status: what.
        cause: why it failed; None if it did not.
        at_ns: when the answer arrived (wall clock, ns); None where there was none.
        said: the server's own words where it failed.
    """

    status: Status
    cause: str | None = None
    at_ns: int | None = None
    said: str = ""

    @classmethod
    def rejected(cls, why: Refused, at_ns: int) -> Outcome:
        """That of a code which the server refuses."""
        return cls("rejected", why.cause, at_ns, why.said)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A code whose answer is awaited.

    Attributes:
        accepted_by: whether a message takes it.
        refused_by: why, if a message that says which code it is about refuses it.
        settle: is told what became of it, once.
    """

    accepted_by: Callable[[Said], bool]
    refused_by: Callable[[Said], Refused | None]
    settle: Callable[[Outcome], None]


@dataclass(eq=False, slots=True)
class _Refusal:
    """A refusal of one of several codes."""

    outcome: Outcome
    of: set[int] = field(default_factory=set)


class Answers:
    """The codes under way on one connection, by their numbers.

    Args:
        expects: what answers a code.
        refusal: why, if a message refuses a code without saying which.
    """

    def __init__(self, expects: Expects, refusal: Callable[[Said], Refused | None]) -> None:
        self._expects = expects
        self._refusal = refusal
        # In the order in which they were sent.
        self._awaited: dict[int, Awaited] = {}
        # Those whose time was over, and that may yet be acknowledged.
        self._given_up: dict[int, None] = {}
        self._refusals: list[_Refusal] = []

    def sent(self, number: int, awaited: Awaited) -> None:
        """A code is under way."""
        self._awaited[number] = awaited

    def acknowledged(self, number: int, what: Said, at_ns: int) -> None:
        """An acknowledgement has come.

        Args:
            number: the code's; it may have been given up.
            what: its arguments.
            at_ns: when it arrived (wall clock, ns).
        """
        awaited = self._awaited.get(number)
        if awaited is None:
            if number in self._given_up:
                del self._given_up[number]
                self._take_refusal(number)
                self.forget(number)
            return
        why = awaited.refused_by(what) or self._refusal(what)
        if why is not None:
            self._settle(number, Outcome.rejected(why, at_ns))
        else:
            self._settle(number, self._take_refusal(number) or Outcome("accepted", None, at_ns))

    def heard(self, what: Said, at_ns: int) -> None:
        """A message has come; most are about no code under way.

        Args:
            what: the message.
            at_ns: when it arrived (wall clock, ns).
        """
        for number, awaited in self._awaited.items():
            if (why := awaited.refused_by(what)) is not None:
                self._settle(number, Outcome.rejected(why, at_ns))
                return
        if (why := self._refusal(what)) is not None:
            self._refused(Outcome.rejected(why, at_ns))
            return
        for number, awaited in self._awaited.items():
            if awaited.accepted_by(what):
                self._settle(number, Outcome("accepted", None, at_ns))
                return

    def expired(self, number: int) -> Outcome:
        """A code's time is over: nothing is awaited any more."""
        refusal = self._take_refusal(number)
        self.forget(number)
        if refusal is not None:
            return refusal
        if self._expects == "none":
            return Outcome("accepted")
        if self._expects == "ack":
            self._given_up[number] = None
            if len(self._given_up) > _MOST_GIVEN_UP:
                del self._given_up[next(iter(self._given_up))]
        return Outcome("unanswered", "no answer in time")

    def lost(self, cause: str, said: str = "") -> None:
        """The connection has ended: nothing that is under way will be answered.

        Args:
            cause: why.
            said: the server's own words.
        """
        self._given_up.clear()
        for number in list(self._awaited):
            if number not in self._awaited:
                continue  # with the one before it, it was clear what became of it
            outcome = self._take_refusal(number) or Outcome("unanswered", cause, None, said)
            self._settle(number, outcome)

    def forget(self, number: int) -> None:
        """Await no answer for a code any more."""
        self._awaited.pop(number, None)
        for refusal in list(self._refusals):
            refusal.of.discard(number)
            if not refusal.of:
                self._refusals.remove(refusal)
        for refusal in list(self._refusals):
            if len(refusal.of) == 1 and refusal in self._refusals:
                self._refusals.remove(refusal)
                (only,) = refusal.of
                self._settle(only, refusal.outcome)

    def _refused(self, outcome: Outcome) -> None:
        """A code is refused, and the server does not say which."""
        numbers = [*self._given_up, *self._awaited]
        if self._expects == "ack" and len(numbers) > 1:
            if len(self._refusals) >= len(numbers):
                return  # there is no code left that it could be of
            self._refusals.append(_Refusal(outcome, set(numbers)))
        elif numbers:
            newest = self._expects == "none"
            self._settle(numbers[-1 if newest else 0], outcome)

    def _take_refusal(self, number: int) -> Outcome | None:
        """What becomes of a code by the oldest refusal that can be of it."""
        found = next((each for each in self._refusals if number in each.of), None)
        if found is None:
            return None
        self._refusals.remove(found)
        return found.outcome

    def _settle(self, number: int, outcome: Outcome) -> None:
        awaited = self._awaited.pop(number, None)
        if awaited is not None:
            awaited.settle(outcome)
            self.forget(number)
