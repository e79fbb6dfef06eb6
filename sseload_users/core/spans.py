"""Times during which a session belongs to a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: Time, or sequence number, that is never reached. It fits into 64 bits.
NEVER = (1 << 63) - 1

#: How a code relates to a session's time in the code's channel: it was sent before the session
#: asked to join, and arrived afterwards ("before"); before the server confirmed that ("joining");
#: while the session was in the channel ("owed"); after it asked to leave ("leaving"); or otherwise
#: ("outside").
Relation: TypeAlias = Literal["before", "joining", "owed", "leaving", "outside"]


@dataclass(slots=True)
class Span:
    """One stretch of a session in a channel. All times are wall clock, ns.

    Attributes:
        asked_ns: when it asked to join, or when the oldest code was sent that could still be meant
            for it then.
        joined_ns: since when it is owed the channel's codes; NEVER before that is confirmed.
        leaving_ns: until when it is; NEVER unless it is about to leave.
        left_ns: when the server had confirmed that it left; NEVER before.
        begun_ns: when it asked to join: a copy that arrived before that, of a code that was sent
            before that, is of an earlier span.
    """

    asked_ns: int
    joined_ns: int = NEVER
    leaving_ns: int = NEVER
    left_ns: int = NEVER
    begun_ns: int = 0

    def relation(self, sent_ns: int) -> Relation:
        """Return how a code relates to the span that was sent after the session asked to join.

        Args:
            sent_ns: when it was sent (wall clock, ns).
        """
        if sent_ns > self.leaving_ns:
            return "leaving" if sent_ns <= self.left_ns else "outside"
        return "joining" if sent_ns < self.joined_ns else "owed"


#: The span of a channel that a session belongs to for as long as it lasts.
ALWAYS = Span(0, 0)


def after_leaving(spans: Sequence[Span], asked_ns: int) -> int:
    """Return when a session asked to join a channel again: not while it was owed its codes.

    Args:
        spans: the earlier spans, in order of time.
        asked_ns: when it asked, or when the oldest code was sent that may be meant for it then
            (wall clock, ns).
    """
    leaving_ns = spans[-1].leaving_ns if spans else NEVER
    return asked_ns if leaving_ns == NEVER else max(asked_ns, leaving_ns + 1)


def without_details(spans: tuple[Span, ...], before_ns: int) -> tuple[Span, ...]:
    """Return the spans of a channel, with the earliest ones as one, so that they stay few.

    What was sent in that time, and arrives after all, is not judged.

    Args:
        spans: the spans, in order of time.
        before_ns: those that others followed before this time (wall clock, ns) become one.
    """
    old = sum(each.asked_ns < before_ns for each in spans[1:])
    if not old:
        return spans
    asked_ns, left_ns = spans[0].asked_ns, min(spans[old - 1].left_ns, spans[old].asked_ns)
    return (Span(asked_ns, asked_ns, asked_ns - 1, left_ns), *spans[old:])


def relation_in(spans: Sequence[Span], sent_ns: int, arrived_ns: int) -> Relation:
    """Return how a code relates to the spans of its channel.

    Args:
        spans: the spans, in order of time.
        sent_ns: when it was sent (wall clock, ns).
        arrived_ns: when it arrived (wall clock, ns); NEVER if it did not.
    """
    for span in reversed(spans):
        if span.asked_ns <= sent_ns and span.begun_ns <= max(sent_ns, arrived_ns):
            relation = span.relation(sent_ns)
            break
    else:
        relation = "outside"
    if relation == "outside":
        # The channel's history may come to a session that joins later.
        later = (span.asked_ns <= arrived_ns < NEVER for span in spans if span.asked_ns > sent_ns)
        relation = "before" if any(later) else "outside"
    return relation
