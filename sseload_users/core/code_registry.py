"""The codes that a worker knows of: in flight, not announced, or settled."""

from __future__ import annotations

from sseload_users.core.audience import Audience
from sseload_users.core.channels import ChannelPlan
from sseload_users.core.sessions import TrackedCode
from sseload_users.core.settled_codes import SettledCodes
from sseload_users.core.streams import ONE_STREAM, StreamPlan

#: Limits of unannounced codes, and of their copies: a server that makes up numbers must not
#: exhaust the memory. The oldest are discarded first.
_MAX_UNANNOUNCED, _MAX_UNANNOUNCED_COPIES = 10_000, 1_000_000


class CodeRegistry:
    """All codes of one worker.

    Args:
        channels: deals codes to channels; None for a run without channels.
        streams: deals codes to publishers and nodes.

    Attributes:
        in_flight: codes that are announced and not settled, by sequence number.
        unannounced: codes that arrived and are not announced, by sequence number and the time
            in their text, oldest first.
        settled: codes that were announced and are settled.
    """

    def __init__(
        self, channels: ChannelPlan | None = None, streams: StreamPlan = ONE_STREAM
    ) -> None:
        self._channels = channels
        self._streams = streams
        self.in_flight: dict[int, TrackedCode] = {}
        self.unannounced: dict[tuple[int, int | None], TrackedCode] = {}
        self.settled = SettledCodes(self._channel_of, self._make)

    def _channel_of(self, sequence: int) -> str | None:
        return None if self._channels is None else self._channels.channel_of(sequence)

    def _make(self, sequence: int, sent_ns: int | None) -> TrackedCode:
        channel = self._channel_of(sequence)
        return TrackedCode(sequence, sent_ns, channel, self._streams.order_key(sequence, channel))

    def find(self, sequence: int, text_ns: int | None) -> TrackedCode | None:
        """Return a code; None if it is not known.

        Args:
            sequence: its sequence number.
            text_ns: send time in its text; None if there is none. A text with a different
                time than the code's is not that code: the server made it up.
        """
        known = self.in_flight.get(sequence) or self.settled.find(sequence)
        if known is not None and (text_ns is None or known.text_ns in (None, text_ns)):
            return known
        return self.unannounced.get((sequence, text_ns))

    def add_unannounced(self, sequence: int, text_ns: int | None) -> TrackedCode:
        """Add a code that arrived before its announcement."""
        new = self._make(sequence, text_ns)
        self.unannounced[sequence, text_ns] = new
        return new

    def beyond_limit(self) -> TrackedCode | None:
        """Return the oldest unannounced code if there are too many; None otherwise."""
        if len(self.unannounced) <= _MAX_UNANNOUNCED:
            return None
        return next(iter(self.unannounced.values()))

    def to_discard(self, *, final: bool) -> list[TrackedCode]:
        """Return the oldest unannounced codes, if too many copies of such have come.

        Args:
            final: the run is over: return all of them.
        """
        found = []
        copies = sum(len(code.copies or ()) for code in self.unannounced.values())
        for code in self.unannounced.values():
            if not final and copies <= _MAX_UNANNOUNCED_COPIES:
                break
            copies -= len(code.copies or ())
            found.append(code)
        return found

    def announce(self, sequence: int, text_ns: int | None = None) -> TrackedCode:
        """Return a code that is announced; it is in flight unless it is settled.

        Args:
            sequence: its sequence number.
            text_ns: send time in its text; None if there is none.
        """
        code = self.unannounced.pop((sequence, text_ns), None) or self.find(sequence, text_ns)
        if code is None and text_ns is None:
            # As far as is known, whatever arrived with its sequence number was this code.
            code = next(
                (each for each in self.unannounced.values() if each.sequence == sequence), None
            )
            if code is not None:
                del self.unannounced[sequence, code.text_ns]
        code = code or self._make(sequence, text_ns)
        if not code.announced:
            self._withdraw(sequence)
            code.announced = True
            self.in_flight[sequence] = code
        return code

    def _withdraw(self, sequence: int) -> None:
        """Take back the announcement of a code that was refused and is sent again."""
        refused = self.in_flight.pop(sequence, None)
        if refused is not None:
            refused.announced = False
            self.unannounced[sequence, refused.text_ns] = refused

    def settle(self, code: TrackedCode) -> None:
        """Move a code from those in flight to the settled ones."""
        del self.in_flight[code.sequence]
        code.copies = code.in_time = code.lacks = None
        self.settled.add(code)

    def discard(self, code: TrackedCode) -> None:
        """Discard a code that was not announced."""
        del self.unannounced[code.sequence, code.text_ns]
        code.copies = None

    def oldest_unreceived_ns(self, at_ns: int, channel: str | None = None) -> int | None:
        """Return when the oldest code was sent that had not arrived anywhere at a time.

        The server may not have broadcast it by then, so a session that began to connect then may
        receive it.

        Args:
            at_ns: the time (wall clock, ns).
            channel: only codes of that channel count; None for all.

        Returns:
            The time (wall clock, ns); None if there is no such code in flight.
        """
        if not self.in_flight:
            return None
        return min(
            (
                code.sent_ns
                for code in self.in_flight.values()
                if code.sent_ns is not None
                and channel in (None, code.channel)
                and code.is_owed
                and not code.had_arrived(at_ns)
            ),
            default=None,
        )

    def oldest_sent_ns(self, default_ns: int) -> int:
        """Return when the oldest code in flight was sent (wall clock, ns).

        Args:
            default_ns: returned if there is none.
        """
        sent = (code.sent_ns for code in self.in_flight.values() if code.sent_ns is not None)
        return min(sent, default=default_ns)

    def awaited(self) -> int:
        """Return how many codes in flight will be settled before the end of the run.

        Nobody knows whether the others were sent.
        """
        return sum(code.status != "unknown" for code in self.in_flight.values())

    def pairs_in_flight(self, audience: Audience) -> tuple[int, int]:
        """Return how many pairs of codes in flight are owed, as far as is known, and delivered.

        Args:
            audience: the sessions.
        """
        owed = delivered = 0
        for code in self.in_flight.values():
            if code.copies is not None and code.is_owed:
                delivered += len(code.counted_copies())
                owed += max(audience.owed(code), len(code.copies))
        return owed, delivered
