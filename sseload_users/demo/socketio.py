"""Socket.IO (protocol 5) over Engine.IO 4, by WebSocket or polling, as the code server speaks it.

Like that server, it sends the "connected" event before the acknowledgement of the
namespace, and leaves the socket of a refused user open.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping

from sseload_users.core.clock import wall_ns
from sseload_users.demo.client_socket import PushSocket
from sseload_users.demo.messages import SocketIOFormat, dump, event, frame, packet
from sseload_users.demo.polling import PollingSocket
from sseload_users.demo.push import Context
from sseload_users.demo.subscriptions import channels_in
from sseload_users.demo.websocket import WebSocketConnection

#: The namespaces, each with the greeting for a client that joins; empty: none.
GREETINGS: dict[str, str] = {"/": "", "/events": "Connected to events endpoint"}

_MAX_PAYLOAD = 1_000_000


class SocketIOConnection(WebSocketConnection):
    """A Socket.IO client in the default namespace, in ``/events``, or in both.

    It is subscribed to the channels in the query of its handshake, or in the object that it
    sends when it joins a namespace. The events ``["join", "c"]`` and ``["leave", "c"]`` join a
    further channel and leave one.

    Attributes:
        greetings: see ``GREETINGS``.
        username: as given by the client.
        joined: the joined namespaces.
        sid: ID of the Engine.IO session.
    """

    transport = "socketio"
    greetings = GREETINGS

    def __init__(
        self,
        context: Context,
        socket: PushSocket,
        ordinal: int,
        username: str,
        query: Mapping[str, str] = {},
    ) -> None:
        super().__init__(context, socket, ordinal, username, query)
        self._channels = query.get("channel", "")
        self.joined: set[str] = set()
        self.sid = secrets.token_urlsafe(15)
        self._heartbeat: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Send the Engine.IO open packet after the answered handshake."""
        settings = self.context.settings
        opening = {
            "sid": self.sid,
            "upgrades": ["websocket"] if isinstance(self.socket, PollingSocket) else [],
            "pingTimeout": round(settings.ping_timeout * 1000),
            "pingInterval": round(settings.ping_interval * 1000),
            "maxPayload": _MAX_PAYLOAD,
        }
        self.send(f"0{dump(opening)}")
        self._schedule(settings.ping_interval, self._ping)

    def stop(self) -> None:
        """Cancel the heartbeat."""
        super().stop()
        if self._heartbeat is not None:
            self._heartbeat.cancel()

    def message(self, text: str) -> None:
        """Handle an Engine.IO packet from the client."""
        if isinstance(self.socket, PollingSocket) and self.socket.on_probe_packet(text):
            return
        if text == "3":
            self._schedule(self.context.settings.ping_interval, self._ping)
        elif text == "1":
            self.mark_ended("client")
            self.socket.close()
        elif text.startswith("40"):
            self._channels = _channel_in(text) or self._channels
            self._join(_namespace(text))
        elif text.startswith("41"):
            self.joined.discard(_namespace(text))
            self.unsubscribe(_namespace(text))
        elif text.startswith("42"):
            self._change_channel(_namespace(text), text)

    def welcome(self, namespace: str) -> None:
        """Subscribe a client that has joined a namespace."""
        channels = channels_in(self._channels)
        self.subscribe(SocketIOFormat(namespace), namespace, channels=channels)

    def send(self, text: str) -> None:
        """Send an Engine.IO packet."""
        if not self.silent:
            self.socket.write(frame(text))

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

    def _change_channel(self, namespace: str, text: str) -> None:
        """Join or leave a channel, and confirm it; ignore any other event."""
        try:
            match json.loads(text[text.index("[") :]):
                case ["join", str(channel)] if namespace in self.joined:
                    self.send(event(namespace, "joined", channel))
                    self.join_channel(SocketIOFormat(namespace), channel)
                case ["leave", str(channel)] if namespace in self.joined:
                    self.leave_channel(channel)
                    self.send(event(namespace, "left", channel))
        except (ValueError, RecursionError):
            return

    def _refuse(self, namespace: str) -> None:
        why = {"message": "Unauthorized or unknown username"}
        self.send(event(namespace, "error", why))
        self.send(packet("1", namespace))
        self.send(packet("4", namespace, dump({"message": "Connection rejected by server"})))
        self.context.recorder.write(
            "refused",
            connection=self.ordinal,
            node=self.context.node,
            transport=self.transport,
            username=self.username,
            how="unknown username",
            ns=wall_ns(),
        )

    def _ping(self) -> None:
        self.send("2")
        self._schedule(self.context.settings.ping_timeout, self._on_missed_pong)

    def _on_missed_pong(self) -> None:
        if not self.silent:
            self.close(1011)

    def _schedule(self, seconds: float, action: Callable[[], None]) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._heartbeat = asyncio.get_running_loop().call_later(seconds, action)


def _namespace(text: str) -> str:
    """Return the namespace of a CONNECT or DISCONNECT packet; "/" if not given."""
    if not text.startswith("/", 2):
        return "/"
    # Some clients still send a query after the namespace, as older revisions had it.
    return text[2:].partition(",")[0].partition("?")[0]


def _channel_in(text: str) -> str:
    """Return the channels in the object of a CONNECT packet; empty if it names none."""
    try:
        auth = json.loads(text[text.index("{") :])
    except (ValueError, RecursionError):
        return ""
    channel = auth.get("channel") if isinstance(auth, dict) else None
    return channel if isinstance(channel, str) else ""
