"""What was handed in, and what is kept of it for clients that return."""

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


class CodeLog:
    """The channels of all codes that were handed in, at whatever node."""

    def __init__(self) -> None:
        self._channels: list[str] = []

    @property
    def newest(self) -> int:
        """The index of the newest code; 0 before the first."""
        return len(self._channels)

    def add(self, channel: str) -> int:
        """Number a code: return its index, from 1."""
        self._channels.append(channel)
        return len(self._channels)

    def between(self, after: int, newest: int, channels: Collection[str]) -> list[int]:
        """Return the indices of the codes in some channels, after one and up to another."""
        indices = range(min(after, newest) + 1, newest + 1)
        return [each for each in indices if self._channels[each - 1] in channels]


class History:
    """The newest codes of all channels: of one node, or shared by all.

    Args:
        size: how many codes are kept.
        to_all: replay everything to late joiners.
        again: replay everything to each client that returns, whatever it has.
        loses: replay nothing.
    """

    def __init__(self, size: int, *, to_all: bool, again: bool, loses: bool) -> None:
        self._kept: deque[IngestedCode] = deque(maxlen=size)
        self._newest = 0
        self._to_all = to_all
        self._again = again
        self._loses = loses

    def add(self, code: IngestedCode) -> None:
        """Keep a code, unless another node that shares the history has added it."""
        if code.index > self._newest:
            self._newest = code.index
            self._kept.append(code)

    def replay(
        self, channels: Collection[str], after: int | None, newest: int, log: CodeLog
    ) -> Replay:
        """Return what a subscription to these channels gets of what was broadcast before it.

        Args:
            channels: its channels.
            after: index of the newest code that the client has; None if it does not say.
            newest: index of the newest code that it cannot get in another way.
            log: all codes that were handed in.
        """
        if after is None and not self._to_all:
            return Replay([], [])
        has = after or 0
        since = 0 if self._again else has
        codes = [
            each
            for each in self._kept
            if since < each.index <= newest and each.channel in channels and not self._loses
        ]
        brought = {each.index for each in codes}
        lacking = log.between(has, newest, channels)
        return Replay(codes, [each for each in lacking if each not in brought])
