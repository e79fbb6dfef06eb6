"""From where the server resumes a connection: what its newest messages said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sseload_users.targets import Target
from sseload_users.transports import OnMessage
from sseload_users.transports.endpoint import Endpoint, Send


class Resumption:
    """What the newest messages of one connection gave for its next handshake.

    Args:
        target: its profile says what is captured.

    Attributes:
        values: the captured values by name; empty before the first.
    """

    def __init__(self, target: Target) -> None:
        self.values: Mapping[str, str] = {}
        self._reader = target.reader
        self._confirming: list[tuple[bytes, int]] = []

    def taking(self, on_message: OnMessage) -> OnMessage:
        """Return a function that notes what a message gives, and hands it on."""

        def note_and_hand_on(payload: bytes, arrived_ns: int) -> None:
            self._note(payload)
            on_message(payload, arrived_ns)

        return note_and_hand_on

    def confirming(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint whose confirming messages are noted, and kept for `take`."""
        confirm = endpoint.confirm
        self._confirming.clear()
        if confirm is None:
            return endpoint

        def note_and_confirm(payload: bytes, arrived_ns: int, send: Send) -> int | None:
            self._note(payload)
            self._confirming.append((payload, arrived_ns))
            return confirm(payload, arrived_ns, send)

        return replace(endpoint, confirm=note_and_confirm)

    def take(self) -> list[tuple[bytes, int]]:
        """Return the messages, and their arrivals, that came while the connection subscribed.

        A server may put what the client missed into the message that confirms.
        """
        taken, self._confirming = self._confirming, []
        return taken

    def _note(self, payload: bytes) -> None:
        found = self._reader.position_in(payload)
        if found:
            self.values = {**self.values, **found}
