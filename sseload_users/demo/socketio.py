"""Socket.IO (protocol 5) over Engine.IO 4 over WebSocket, as the code server speaks it.

As that server does, it tells of the connection before it acknowledges it, and leaves the
socket of a refused user open.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from sseload_users.core.clock import wall_ns
from sseload_users.demo.messages import SocketIOFormat, dump, event, frame, packet
from sseload_users.demo.push import Context
from sseload_users.demo.websocket import WebSocketConnection
from sseload_users.demo.wire import Wire

#: What a client is told that joins a namespace, if anything; it can join no others.
GREETINGS: dict[str, str] = {"/": "", "/events": "Connected to events endpoint"}

_MAX_PAYLOAD = 1_000_000


class SocketIOConnection(WebSocketConnection):
    """A client of Socket.IO, in the default namespace, in ``/events``, or in both.

    Attributes:
        greetings: as ``GREETINGS``.
        username: as the client gave it.
        joined: the namespaces that it is in.
    """

    transport = "socketio"
    greetings = GREETINGS

    def __init__(self, context: Context, wire: Wire, ordinal: int, username: str) -> None:
        super().__init__(context, wire, ordinal, username)
        self.username = username
        self.joined: set[str] = set()
        self._heartbeat: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The handshake was answered: open Engine.IO."""
        settings = self.context.settings
        opening = {
            "sid": secrets.token_urlsafe(15),
            "upgrades": [],
            "pingTimeout": round(settings.ping_timeout * 1000),
            "pingInterval": round(settings.ping_interval * 1000),
            "maxPayload": _MAX_PAYLOAD,
        }
        self.send(f"0{dump(opening)}")
        self._later(settings.ping_interval, self._ping)

    def stop(self) -> None:
        """Stop pinging."""
        super().stop()
        if self._heartbeat is not None:
            self._heartbeat.cancel()

    def message(self, text: str) -> None:
        """The client sent an Engine.IO packet."""
        if text == "3":
            self._later(self.context.settings.ping_interval, self._ping)
        elif text == "1":
            self.ending("client")
            self.wire.close()
        elif text.startswith("40"):
            self._join(_namespace(text))
        elif text.startswith("41"):
            self.joined.discard(_namespace(text))
            self.unsubscribe(_namespace(text))

    def welcome(self, namespace: str) -> None:
        """The client has joined a namespace: send it codes."""
        self.subscribe(SocketIOFormat(namespace), namespace)

    def send(self, text: str) -> None:
        """Write an Engine.IO packet."""
        if not self.silent:
            self.wire.write(frame(text))

    def _join(self, namespace: str) -> None:
        if namespace in self.joined:
            return
        if namespace not in self.greetings:
            self.send(packet("4", namespace, dump("Unable to connect")))
            return
        greeting = self.greetings[namespace]
        if greeting:
            if self.context.user_id(self.username) is None:
                self._refuse(namespace)
                return
            self.send(event(namespace, "connected", {"message": greeting}))
        self.send(packet("0", namespace, dump({"sid": secrets.token_urlsafe(15)})))
        self.joined.add(namespace)
        self.welcome(namespace)

    def _refuse(self, namespace: str) -> None:
        why = {"message": "Unauthorized or unknown username"}
        self.send(event(namespace, "error", why))
        self.send(packet("1", namespace))
        self.send(packet("4", namespace, dump({"message": "Connection rejected by server"})))
        self.context.recorder.write(
            "refused",
            connection=self.ordinal,
            transport=self.transport,
            username=self.username,
            how="unknown username",
            ns=wall_ns(),
        )

    def _ping(self) -> None:
        self.send("2")
        self._later(self.context.settings.ping_timeout, self._miss)

    def _miss(self) -> None:
        if not self.silent:
            self.hang_up(1011)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._heartbeat = asyncio.get_running_loop().call_later(seconds, action)


def _namespace(text: str) -> str:
    """The namespace of a packet of type 0 or 1: up to the comma, or the default one."""
    if not text.startswith("/", 2):
        return "/"
    # A query after the namespace is old, and still sent by some clients.
    return text[2:].partition(",")[0].partition("?")[0]
