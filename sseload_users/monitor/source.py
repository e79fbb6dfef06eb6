"""The interface of what the server monitor reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias

from sseload_users.core.vitals import Series

Figures: TypeAlias = Iterable[tuple[Series, float]]


class SourceUnavailable(Exception):  # noqa: N818 - the server's state, not this program's error
    """A source could not be read this time; the message is one sentence."""


class Source(Protocol):
    """A source of figures about the server."""

    def read(self) -> Figures:
        """Return the current figures.

        May wait, but must not block other greenlets.

        Raises:
            SourceUnavailable: the source cannot be read.
        """
