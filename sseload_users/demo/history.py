"""What was broadcast, for clients that return."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from sseload_users.demo.messages import IngestedCode


class Replay(NamedTuple):
    """What a subscription gets of what was broadcast before it.

    Attributes:
        codes: what is written to it, in order.
        withheld: indices of the codes that it lacks and does not get.
    """

    codes: list[IngestedCode]
    withheld: list[int]


class History:
    """The newest codes of all channels.

    Args:
        size: how many codes are kept.
        to_all: replay everything to late joiners.
        again: replay everything to each client that returns, whatever it has.
        loses: replay nothing.

    Attributes:
        newest: index of the newest code; 0 before the first.
    """

    def __init__(self, size: int, *, to_all: bool, again: bool, loses: bool) -> None:
        self.newest = 0
        self._kept: deque[IngestedCode] = deque(maxlen=size)
        # Of all codes, in the order of their indices.
        self._channels: list[str] = []
        self._to_all = to_all
        self._again = again
        self._loses = loses

    def add(self, code: IngestedCode) -> None:
        """Keep a code that is being broadcast."""
        self.newest = code.index
        self._channels.append(code.channel)
        self._kept.append(code)

    def replay(self, channels: Collection[str], after: int | None) -> Replay:
        """Return what a subscription to these channels gets of what was broadcast before it.

        Args:
            channels: its channels.
            after: index of the newest code that the client has; None if it does not say.
        """
        if after is None and not self._to_all:
            return Replay([], [])
        has = after or 0
        since = 0 if self._again else has
        found = (each for each in self._kept if each.index > since and each.channel in channels)
        codes = [] if self._loses else list(found)
        brought = {each.index for each in codes}
        lacking = range(min(has, self.newest) + 1, self.newest + 1)
        withheld = [
            each for each in lacking if self._channels[each - 1] in channels and each not in brought
        ]
        return Replay(codes, withheld)
