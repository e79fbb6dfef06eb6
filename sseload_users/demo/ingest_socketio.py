"""Ingest by Socket.IO: the code server's namespace ``/ws/ingest``."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from sseload_users.core.clock import wall_ns
from sseload_users.demo import ingest_handler
from sseload_users.demo.client_socket import PushSocket
from sseload_users.demo.ingest_handler import IngestHandler, Rejection
from sseload_users.demo.messages import IngestedCode, event, packet
from sseload_users.demo.push import Context
from sseload_users.demo.socketio import GREETINGS, SocketIOConnection

_INGEST = "/ws/ingest"
#: An event in that namespace: an optional acknowledgement id, and the array.
_EVENT = re.compile(rf"42{_INGEST},(\d*)(\[.*)", re.DOTALL)


class PublishingConnection(SocketIOConnection):
    """A Socket.IO client that may submit codes over ``/ws/ingest``.

    Args:
        ingest_handler: handles the codes.
        context: the server's shared state.
        socket: the client's.
        ordinal: its number in the record.
        username: as given by the client.
        query: of the handshake.
    """

    greetings = GREETINGS | {_INGEST: "Connected to ingest endpoint"}

    def __init__(
        self,
        ingest_handler: IngestHandler,
        context: Context,
        socket: PushSocket,
        ordinal: int,
        username: str,
        query: Mapping[str, str] = {},
    ) -> None:
        super().__init__(context, socket, ordinal, username, query)
        self._ingest_handler = ingest_handler

    def message(self, text: str) -> None:
        """Handle an Engine.IO packet from the client."""
        found = _EVENT.fullmatch(text)
        if found is None:
            super().message(text)
        elif _INGEST in self.joined:
            self._handle_event(found[1], _array(found[2]))

    def reply(self, error: str, ack_id: str) -> None:
        """Send an error event unless ``error`` is empty; acknowledge if the client asked for it.

        Args:
            error: the message; empty for success.
            ack_id: the id to acknowledge; empty if none was requested.
        """
        if error:
            self.send(event(_INGEST, "error", {"message": error}))
        if ack_id:
            self.send(packet("3", _INGEST, f"{ack_id}[]"))

    def welcome(self, namespace: str) -> None:
        """Start serving a namespace that the client has joined."""
        if namespace != _INGEST:
            super().welcome(namespace)
            return
        self.context.recorder.write("publishing", connection=self.ordinal, ns=wall_ns())

    def _handle_event(self, ack_id: str, array: list[Any]) -> None:
        # Like python-socketio, which does not acknowledge an event without a handler.
        if array[:1] == ["code"]:
            payload = array[1] if len(array) > 1 and isinstance(array[1], dict) else {}
            self._ingest_handler.submit(SocketSubmission(self, payload, ack_id))


class SocketSubmission:
    """A code submitted by a Socket.IO event.

    Args:
        publisher: the submitting connection.
        payload: the event's argument.
        ack_id: the id to acknowledge; empty if none was requested.
    """

    def __init__(
        self, publisher: PublishingConnection, payload: dict[str, Any], ack_id: str
    ) -> None:
        self.username = publisher.username
        self.payload = payload
        self.connection: int | None = publisher.ordinal
        self._publisher = publisher
        self._ack_id = ack_id

    def rejection(self) -> Rejection | None:
        """Return why it is invalid, or None: check the token, then the code."""
        token, expected = self.payload.get("token"), self._publisher.context.settings.ingest_token
        if not token:
            return Rejection(401, "Ingest token is required")
        if expected is not None and not hmac.compare_digest(str(token).encode(), expected.encode()):
            return Rejection(401, "Invalid ingest token")
        return ingest_handler.invalid(self.payload)

    def code(self) -> IngestedCode:
        """Return the code to broadcast."""
        kind = ingest_handler.text(self.payload, "type") or "default"
        return IngestedCode(
            ingest_handler.text(self.payload, "code"),
            username=self.username,
            user_id=self._publisher.context.user_id(self.username) or 0,
            timestamp=ingest_handler.now(),
            source=ingest_handler.text(self.payload, "source"),
            type=kind,
            codetype=kind,
            padding=ingest_handler.text(self.payload, "padding"),
            channel=ingest_handler.channel(self.payload, {}),
            metadata={
                **ingest_handler.metadata(self.payload),
                "ingested_via": _INGEST.removeprefix("/"),
            },
        )

    def accept(self) -> str:
        """Acknowledge the event, if requested."""
        self._publisher.reply("", self._ack_id)
        return "accepted"

    def reject(self, rejection: Rejection) -> str:
        """Send an error event, then acknowledge, if requested."""
        self._publisher.reply(rejection.error, self._ack_id)
        return rejection.error

    def reset(self) -> None:
        """Reset the connection by TCP."""
        self._publisher.mark_ended("server")
        self._publisher.socket.reset()


def _array(text: str) -> list[Any]:
    """Parse an event's array; empty if invalid."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []
