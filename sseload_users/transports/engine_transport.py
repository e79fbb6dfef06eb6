"""Engine.IO as a transport: over WebSocket, by long polling, or first the one, then the other.

It opens the session, keeps its heartbeat, and goes over from polling to WebSocket as the official
client does. What Engine.IO's messages mean is for `socketio` to say.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

import gevent
import gevent.event

from sseload_users.core.clock import wall_ns
from sseload_users.transports import Closed, ConnectFailed, OnMalformed, OnMessage
from sseload_users.transports.carrier import Carrier
from sseload_users.transports.causes import cause_of
from sseload_users.transports.client_frames import message_frame
from sseload_users.transports.connect_times import ConnectTimes
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.engineio import (
    CLOSE,
    NOOP,
    PING,
    PONG,
    PROBE,
    PROBE_ANSWER,
    UPGRADE,
    Opening,
    engine_refusal,
    is_revision_3,
    parse_opening,
    with_query,
)
from sseload_users.transports.frames import FrameDecoder
from sseload_users.transports.heartbeat import Heartbeat, PingingHeartbeat
from sseload_users.transports.network import Network
from sseload_users.transports.payload_decoder import BAD_PAYLOAD, PayloadDecoder
from sseload_users.transports.polling import Polling
from sseload_users.transports.reading import READ_BYTES
from sseload_users.transports.stamped_socket import StampedSocket
from sseload_users.transports.websocket import WebSocketTransport

#: What becomes of a session: it began by polling, has gone over from there to WebSocket, could
#: not, or has the state of the session before.
Passage: TypeAlias = Literal["polling", "upgraded", "failed", "resumed"]
#: Called, in the hub or a greenlet, with what became of a session, and if it failed with the
#: cause and the server's text.
OnPassage: TypeAlias = Callable[[Passage, str, str], None]

#: How a session ends that the server ends with a packet.
DISCONNECTED = Closed("server", "disconnected by server")
_MISSED = Closed("network", "heartbeat missed")
#: What a server of Socket.IO 2 is known by.
OLD_SERVER = "Socket.IO 2: no session ID"


class EngineTransport(WebSocketTransport):
    """One Engine.IO session; each of its messages is a message, with its type.

    Args:
        endpoint: where and how to connect.
        network: shared by all connections.
        on_message: gets each packet, in the hub.
        on_malformed: gets a cause for each frame or packet that cannot be decoded, in the hub.

    Attributes:
        on_passage: gets what becomes of the session; None to ignore it.
    """

    __slots__ = ("_heartbeat", "_passing", "_polling", "_upgrades", "_url", "on_passage")

    def __init__(
        self,
        endpoint: Endpoint,
        network: Network,
        on_message: OnMessage,
        on_malformed: OnMalformed,
    ) -> None:
        self._url = with_query(endpoint.url, EIO=str(endpoint.engine))
        url = with_query(self._url, transport=endpoint.transports[0])
        if url == self._url and "transport=websocket" in url:
            # The profile's own query says how to connect.
            endpoint = dataclasses.replace(endpoint, transports=("websocket",))
        endpoint = dataclasses.replace(endpoint, url=url)
        super().__init__(endpoint, network, on_message, on_malformed)
        self.on_passage: OnPassage | None = None
        self._polling: Polling | None = None
        self._heartbeat: Heartbeat | None = None
        # The URL to go over to; empty for none.
        self._upgrades = ""
        self._passing: gevent.Greenlet[..., None] | None = None

    # Connect

    def _open(self, times: ConnectTimes) -> Carrier:
        endpoint = self.endpoint
        if endpoint.transports[0] == "websocket":
            return self._open_websocket(times)
        deadline = time.monotonic() + self.network.connect_timeout
        polling = Polling(endpoint, self.network, endpoint.engine, deadline)
        self._connection = self._polling = polling
        self._held = deque()
        self._decoder = PayloadDecoder(
            self._hold, self._on_bad_payload, endpoint.engine, endpoint.max_message
        )
        asked_ns = wall_ns()
        polling.handshake()
        self._check_left()
        self.subscribed_ns = polling.arrived_ns
        times.handshake_ns = max(polling.arrived_ns - polling.late_ns - asked_ns, 0)
        return polling

    def _open_websocket(self, times: ConnectTimes) -> Carrier:
        try:
            return super()._open(times)
        except ConnectFailed as failed:
            raise _in_its_words(failed) from failed

    def _open_engine(self) -> None:
        """Take the server's open packet, and begin to poll if need be.

        Raises:
            ConnectFailed: at "subscribe": there is none, or it is invalid.
        """
        try:
            packet, _ = self._receive()
        except ConnectFailed as failed:
            if not failed.cause.startswith("protocol error"):
                raise
            # Engine.IO on Node sends a second HTTP response if it wants another version.
            raise ConnectFailed("subscribe", "bad handshake answer", failed.cause) from failed
        opening = parse_opening(packet)
        if opening is None:
            detail = packet[:200].decode(errors="replace")
            cause = OLD_SERVER if is_revision_3(packet) else "bad handshake answer"
            raise ConnectFailed("subscribe", cause, detail)
        if self.endpoint.engine == 3:
            self._heartbeat = PingingHeartbeat(opening, self._on_silence, self._ping)
        else:
            self._heartbeat = Heartbeat(opening, self._on_silence)
        if self._polling is not None:
            self._begin_to_poll(self._polling, opening)

    def _begin_to_poll(self, polling: Polling, opening: Opening) -> None:
        polling.begin(opening)
        if "websocket" in self.endpoint.transports and "websocket" in opening.upgrades:
            self._upgrades = with_query(self._url, transport="websocket", sid=opening.sid)

    # Listen

    def _begin_to_listen(self, wake: Callable[[], object]) -> None:
        if self._connection is not None and self._closed is None and self._heartbeat is not None:
            self._heartbeat.start()
            if self._polling is not None:
                self._report("polling")
                if self._upgrades:
                    self._passing = gevent.spawn(self._go_over, self._polling)
        super()._begin_to_listen(wake)

    def _stop_listening(self) -> None:
        super()._stop_listening()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._passing is not None:
            self._passing.kill(block=False)

    def send(self, message: str | bytes) -> bool:
        """Send a packet without waiting, from the hub or any greenlet.

        Args:
            message: the packet; bytes are a binary message.

        Returns:
            Whether it was accepted: not if the connection is broken or its backlog is full.
        """
        if self._polling is None:
            return super().send(message)
        return self._polling.send_now(message.encode() if isinstance(message, str) else message)

    @property
    def congested(self) -> bool:
        """Whether a message that is sent now would wait in a backlog."""
        return self._polling.backlog if self._polling is not None else super().congested

    def _say_goodbye(self) -> None:
        if self._polling is None:
            super()._say_goodbye()
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        """Close a session that polls, as the official client does when it is of no use any more.

        Otherwise, the server would keep it until it times out. A WebSocket is closed anyway.
        """
        if self._polling is not None:
            self._polling.leave(CLOSE.decode())

    def _on_end(self, error: Exception | None) -> None:
        if isinstance(error, ConnectFailed):
            by: Literal["server", "network"] = (
                "server" if error.operation == "subscribe" else "network"
            )
            self.end(Closed(by, error.cause, reason=error.server_text))
        else:
            super()._on_end(error)

    # Going over to WebSocket

    def _go_over(self, polling: Polling) -> None:
        """Go over from polling to WebSocket; stay, as the official client does, if that fails."""
        try:
            connection, decoder = self._probe(polling)
        except ConnectFailed as failed:
            self._report("failed", f"{failed.operation}: {failed.cause}", failed.server_text)
            return
        try:
            paused = gevent.event.Event()
            polling.pause(paused.set)
            paused.wait()
        except BaseException:
            connection.close()
            raise
        if self._closed is not None:
            connection.close()
            return
        # From here on nothing waits: no message can be lost or come twice.
        connection.send_now(message_frame(UPGRADE.decode()))
        for packet in polling.take_unsent():
            connection.send_now(message_frame(packet))
        polling.close()
        self._polling = None
        decoder.on_close = self._on_close
        decoder.on_message = self._on_message
        self._connection, self._decoder = connection, decoder
        self._report("upgraded")
        connection.watch(decoder.feed, self._on_end)

    def _probe(self, polling: Polling) -> tuple[StampedSocket, FrameDecoder]:
        """Connect by WebSocket, and have the server confirm that it knows the session.

        Raises:
            ConnectFailed: it does not.
        """
        endpoint = dataclasses.replace(self.endpoint, url=self._upgrades)
        headers = polling.cookies.add_to(endpoint.url, endpoint.headers)
        endpoint = dataclasses.replace(endpoint, headers=headers)
        deadline = time.monotonic() + self.network.connect_timeout
        connection = self.network.open(endpoint.url, deadline, slow=endpoint.slow)
        try:
            answers: deque[bytes] = deque()
            ends: deque[Closed] = deque()
            decoder = self._open_frames(
                endpoint,
                connection,
                lambda packet, _: answers.append(packet),
                lambda closed, _: ends.append(closed),
            )
            _confirm(connection, decoder, answers, ends)
        except OSError as error:
            connection.close()
            raise ConnectFailed("probe", cause_of(error), str(error)) from error
        except ConnectFailed as failed:
            connection.close()
            raise _in_its_words(failed) from failed
        except BaseException:
            connection.close()
            raise
        return connection, decoder

    def _report(self, passage: Passage, cause: str = "", text: str = "") -> None:
        if self.on_passage is not None:
            self.on_passage(passage, cause, text)

    # In the hub

    def _on_engine_packet(self, packet: bytes) -> None:
        """Handle a packet that is no message."""
        heartbeat = self._heartbeat
        if packet == PING and heartbeat is not None:
            heartbeat.hear()
            self.send(PONG.decode())
        elif packet == PONG and isinstance(heartbeat, PingingHeartbeat):
            heartbeat.on_pong()
        elif packet == CLOSE:
            self.end(DISCONNECTED, by="data")
        elif packet not in (PONG, UPGRADE, NOOP):
            self._on_malformed("bad packet")

    def _on_bad_payload(self, closed: Closed) -> None:
        if closed is BAD_PAYLOAD:
            self._on_malformed("bad payload")
        self.end(closed, by="data")

    def _on_silence(self) -> None:
        self.end(_MISSED)

    def _ping(self) -> None:
        self.send(PING.decode())


def _in_its_words(failed: ConnectFailed) -> ConnectFailed:
    """Return the failure of a handshake with the reason that Engine.IO gives in JSON."""
    found = failed.cause.removeprefix("HTTP ")
    if failed.operation != "handshake" or not found.isdecimal():
        return failed
    cause, text = engine_refusal(int(found), failed.server_text.encode())
    return ConnectFailed("handshake", cause, server_text=text)


def _confirm(
    connection: StampedSocket, decoder: FrameDecoder, answers: deque[bytes], ends: deque[Closed]
) -> None:
    """Have the server confirm that it knows the session.

    Args:
        connection: the WebSocket.
        decoder: decodes its frames.
        answers: gets the packets.
        ends: gets how it closes.

    Raises:
        ConnectFailed: at "probe": it does not.
        OSError: the connection is broken, or the time is up.
    """
    connection.sendall(message_frame(PROBE))
    while not answers and not ends:
        data = connection.recv(READ_BYTES)
        if not data:
            raise ConnectFailed("probe", "connection closed")
        decoder.feed(data, connection.arrived_ns, connection.emptied_ns)
    if ends:
        raise ConnectFailed("probe", ends[0].cause, server_text=ends[0].reason)
    if answers[0] != PROBE_ANSWER:
        raise ConnectFailed("probe", "bad packet")
