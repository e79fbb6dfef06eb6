"""What connects the nodes: it numbers codes, and passes each on to the nodes that it reaches."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Literal, Protocol

from sseload_users.demo.history import CodeLog, History
from sseload_users.demo.messages import IngestedCode

#: What nodes share: codes and the history, codes only, or nothing.
BackplaneKind = Literal["history", "live", "none"]


class Member(Protocol):
    """A node as the backplane sees it."""

    def enqueue(self, code: IngestedCode) -> None:
        """Broadcast a numbered code to the node's subscriptions."""


class Backplane:
    """Connects the nodes that are up.

    Indices are unique among all nodes, so that a client may return to any of them, and so that
    the record can name a code by its index. Like a broker, it outlives the nodes.

    Args:
        kind: what the nodes share.
        make_history: creates an empty history.

    Attributes:
        log: all codes that were handed in.
        used: set with the first code.
    """

    def __init__(self, kind: BackplaneKind, make_history: Callable[[], History]) -> None:
        self.log = CodeLog()
        self.used = asyncio.Event()
        self._kind = kind
        self._make_history = make_history
        self._shared = make_history()
        self._members: dict[Member, None] = {}

    def history(self) -> History:
        """Return the history of a node that starts: the shared one, or an empty one."""
        return self._shared if self._kind == "history" else self._make_history()

    def join(self, member: Member) -> None:
        """Add a node that has started."""
        self._members[member] = None

    def leave(self, member: Member) -> None:
        """Remove a node that stops: it gets no further codes."""
        self._members.pop(member, None)

    def publish(self, code: IngestedCode, source: Member) -> int:
        """Number a code and pass it on; return its index.

        Args:
            code: the code.
            source: the node that it was handed in at.
        """
        code = dataclasses.replace(code, index=self.log.add(code.channel))
        self.used.set()
        for member in [source] if self._kind == "none" else list(self._members):
            member.enqueue(code)
        return code.index
