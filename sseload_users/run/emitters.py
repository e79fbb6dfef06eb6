"""The sessions of a process that are open, over which codes can be emitted in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sseload_users.core.sessions import Session
from sseload_users.targets import Identity, Target
from sseload_users.transports.transport import Transport


# Nobody changes one. But each connect makes one, and a frozen one takes three times as long.
@dataclass(slots=True, eq=False)
class HeldSession:
    """A session that listens.

    Attributes:
        transport: its connection.
        session: its account.
        identity: the user that is connected.
        target: its target.
        captured: values captured from the server, by name.
    """

    transport: Transport
    session: Session
    identity: Identity
    target: Target
    captured: Mapping[str, str] = field(repr=False)

    @property
    def is_leaving(self) -> bool:
        """Whether it is about to leave, or has left."""
        return self.session.is_leaving


class Emitters:
    """The emitters of one process; each has its turn."""

    def __init__(self) -> None:
        # In the order of turns.
        self._waiting: dict[HeldSession, None] = {}

    def add(self, held: HeldSession) -> None:
        """Let a session have its turns."""
        self._waiting[held] = None

    def remove(self, held: HeldSession) -> None:
        """Give a session no further turns."""
        self._waiting.pop(held, None)

    def next(self, channel: str | None = None, node: int | None = None) -> HeldSession | None:
        """Return the next emitter that can send at once; None if there is none.

        Args:
            channel: only an emitter that is subscribed to it can send; None for any.
            node: only an emitter that is connected to that node can send; None for any.
        """
        for emitter in list(self._waiting):
            if channel is not None and not emitter.session.is_in(channel):
                continue
            if node is not None and emitter.session.connection.node != node:
                continue
            if emitter.is_leaving or emitter.transport.congested:
                continue
            del self._waiting[emitter]
            self._waiting[emitter] = None
            return emitter
        return None

    def __len__(self) -> int:
        return len(self._waiting)
