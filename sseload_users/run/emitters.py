"""The listeners of a process over whose connections codes can be emitted, in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sseload_users.core.sessions import Session
from sseload_users.targets.identities import Identity
from sseload_users.transports.transport import Transport


# Nobody changes one. But each connect makes one, and a frozen one takes three times as long.
@dataclass(slots=True, eq=False)
class Emitter:
    """A listener that is subscribed.

    Attributes:
        transport: its connection.
        session: its session.
        identity: the user that is connected.
        captured: values captured from the server, by name.
    """

    transport: Transport
    session: Session
    identity: Identity
    captured: Mapping[str, str]

    @property
    def is_leaving(self) -> bool:
        """Whether it is about to leave, or has left."""
        return self.session.is_leaving


class Emitters:
    """The emitters of one process; each has its turn."""

    def __init__(self) -> None:
        # In the order of turns.
        self._waiting: dict[Emitter, None] = {}

    def add(self, emitter: Emitter) -> None:
        """Let a listener that is subscribed have its turns."""
        self._waiting[emitter] = None

    def remove(self, emitter: Emitter) -> None:
        """Give a listener no further turns."""
        self._waiting.pop(emitter, None)

    def next(self, channel: str | None = None, node: int | None = None) -> Emitter | None:
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
