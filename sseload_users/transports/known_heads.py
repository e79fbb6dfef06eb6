"""Heads of responses that were judged before.

A server answers thousands of handshakes with the same head, but for what differs by design. What
h11 said of one holds for all of them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Judged = TypeVar("Judged")

#: Ends a head, unless the server takes RFC 9112 §2.2 at its word and omits carriage returns.
HEAD_END = b"\r\n\r\n"

#: Most bytes of a head that is remembered.
MAX_KNOWN_BYTES = 4096
#: Most heads that are known: a server can send any number of them.
_MAX_HEADS = 256


class KnownHeads(Generic[Judged]):
    """What is known of accepted heads.

    A head is known by its bytes and by all else that the judgement depends on.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Hashable, Judged] = {}

    def get(self, key: Hashable) -> Judged | None:
        """Return what was said of a head; None if it is not known."""
        return self._known.get(key)

    def add(self, key: Hashable, judged: Judged) -> None:
        """Remember what was said of a head that is not longer than `MAX_KNOWN_BYTES`."""
        if len(self._known) >= _MAX_HEADS:
            self._known.clear()
        self._known[key] = judged
