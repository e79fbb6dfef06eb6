"""Codes in over Socket.IO: the code server's namespace ``/ws/ingest``."""

from __future__ import annotations

import hmac
import json
import re
from typing import Any

from sseload_users.core.clock import wall_ns
from sseload_users.demo import intake
from sseload_users.demo.intake import Intake, Mistake
from sseload_users.demo.messages import IngestedCode, event, packet
from sseload_users.demo.push import Context
from sseload_users.demo.socketio import GREETINGS, SocketIOConnection
from sseload_users.demo.wire import Wire

_INGEST = "/ws/ingest"
#: An event in that namespace: the id that asks for an acknowledgement, if any, and the array.
_EVENT = re.compile(rf"42{_INGEST},(\d*)(\[.*)", re.DOTALL)


class PublishingConnection(SocketIOConnection):
    """A client of Socket.IO that may hand in codes over ``/ws/ingest``.

    Args:
        codes_in: takes the codes.
        context: the server.
        wire: the connection.
        ordinal: its number in the record.
        username: as the client gave it.
    """

    greetings = GREETINGS | {_INGEST: "Connected to ingest endpoint"}

    def __init__(
        self, codes_in: Intake, context: Context, wire: Wire, ordinal: int, username: str
    ) -> None:
        super().__init__(context, wire, ordinal, username)
        self._codes_in = codes_in

    def message(self, text: str) -> None:
        """The client sent an Engine.IO packet."""
        found = _EVENT.fullmatch(text)
        if found is None:
            super().message(text)
        elif _INGEST in self.joined:
            self._handle_event(found[1], _array(found[2]))

    def reply(self, error: str, number: str) -> None:
        """Say what is wrong, if anything is, and acknowledge if that was asked for."""
        if error:
            self.send(event(_INGEST, "error", {"message": error}))
        if number:
            self.send(packet("3", _INGEST, f"{number}[]"))

    def welcome(self, namespace: str) -> None:
        """The client has joined a namespace: send it codes, or take codes from it."""
        if namespace != _INGEST:
            super().welcome(namespace)
            return
        self.context.recorder.write("publishing", connection=self.ordinal, ns=wall_ns())

    def _handle_event(self, number: str, array: list[Any]) -> None:
        # As python-socketio's server: an event that nobody handles is not acknowledged.
        if array[:1] == ["code"]:
            payload = array[1] if len(array) > 1 and isinstance(array[1], dict) else {}
            self._codes_in.take(SocketSubmission(self, payload, number))


class SocketSubmission:
    """A code in an event.

    Args:
        publisher: the connection that it came over.
        payload: the event's argument.
        number: the id for the acknowledgement; empty if none was asked for.
    """

    def __init__(
        self, publisher: PublishingConnection, payload: dict[str, Any], number: str
    ) -> None:
        self.username = publisher.username
        self.payload = payload
        self.connection: int | None = publisher.ordinal
        self._publisher = publisher
        self._number = number

    def mistake(self) -> Mistake | None:
        """What is wrong with it: the token first, then the code."""
        token, expected = self.payload.get("token"), self._publisher.context.settings.ingest_token
        if not token:
            return Mistake(401, "Ingest token is required")
        if expected is not None and not hmac.compare_digest(str(token).encode(), expected.encode()):
            return Mistake(401, "Invalid ingest token")
        return intake.invalid(self.payload)

    def code(self) -> IngestedCode:
        """What is to be broadcast."""
        kind = intake.text(self.payload, "type") or "default"
        return IngestedCode(
            intake.text(self.payload, "code"),
            username=self.username,
            user_id=self._publisher.context.user_id(self.username) or 0,
            timestamp=intake.now(),
            source=intake.text(self.payload, "source"),
            type=kind,
            codetype=kind,
            metadata={**intake.metadata(self.payload), "ingested_via": _INGEST.removeprefix("/")},
        )

    def accept(self) -> str:
        """Acknowledge it, if that was asked for."""
        self._publisher.reply("", self._number)
        return "accepted"

    def reject(self, mistake: Mistake) -> str:
        """Say why, then acknowledge it all the same."""
        self._publisher.reply(mistake.error, self._number)
        return mistake.error

    def reset(self) -> None:
        """Reset the connection."""
        self._publisher.ending("server")
        self._publisher.wire.reset()


def _array(text: str) -> list[Any]:
    """The array of an event; empty if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []
