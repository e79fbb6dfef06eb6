"""WebSocket (RFC 6455) as a transport."""

from __future__ import annotations

from typing import ClassVar

from sseload_users.transports import Closed, OnMessage, ParsedMessage
from sseload_users.transports.client_frames import close_frame, message_frame, ping_frame
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.frames import FrameDecoder, FrameError, OnClose
from sseload_users.transports.permessage_deflate import MessageInflater
from sseload_users.transports.stamped_socket import StampedSocket
from sseload_users.transports.transport import Transport
from sseload_users.transports.websocket_handshake import open_websocket

#: The status code of a close frame when nothing is wrong (RFC 6455 §7.4.1).
_NORMAL = 1000


class WebSocketTransport(Transport):
    """One WebSocket connection; each text or binary message is a message."""

    __slots__ = ()

    kind: ClassVar[str] = "WS"

    @staticmethod
    def parse(payload: bytes) -> ParsedMessage | None:
        """Return the message as text, or as bytes if it is not UTF-8."""
        try:
            return ParsedMessage("", payload.decode())
        except UnicodeDecodeError:
            return ParsedMessage("", payload)

    def send(self, message: str | bytes) -> bool:
        """Send a text or binary message without waiting, from the hub or any greenlet.

        Returns:
            Whether it was accepted: not if the connection is broken or its backlog is full.
        """
        return self._connection is not None and self._connection.send_now(message_frame(message))

    def ping(self) -> bool:
        """Send a ping frame, without waiting; return whether it was accepted; see `send`."""
        return self._connection is not None and self._connection.send_now(ping_frame())

    @property
    def congested(self) -> bool:
        """Whether a message that is sent now would wait in a backlog."""
        return self._connection is not None and bool(self._connection.backlog)

    def _handshake(self, connection: StampedSocket) -> FrameDecoder:
        return self._open_frames(self.endpoint, connection, self._hold, self._on_close)

    def _open_frames(
        self,
        endpoint: Endpoint,
        connection: StampedSocket,
        on_message: OnMessage,
        on_close: OnClose,
    ) -> FrameDecoder:
        """Make a handshake; return what decodes the frames that follow.

        Raises:
            ConnectFailed: at "handshake".
        """
        network, max_message = self.network, endpoint.max_message
        agreed, rest = open_websocket(endpoint, connection, compression=network.compression)
        inflate = None
        if agreed is not None:
            self.compression = str(agreed)
            inflate = MessageInflater(agreed, max_message, network.inflation).inflate
        decoder = FrameDecoder(
            on_message,
            on_close,
            connection.send_now,
            max_message,
            network.share,
            inflate,
            network.frame_memo(max_message),
        )
        if rest:
            decoder.feed(rest, connection.arrived_ns, connection.emptied_ns)
        return decoder

    def _say_goodbye(self) -> None:
        if self._connection is not None and self._decoder is not None:
            self._connection.send_now(close_frame(_NORMAL))

    def _on_close(self, closed: Closed, error: FrameError | None) -> None:
        if error is not None and self._connection is not None:
            if error.is_malformed:
                self._on_malformed(error.cause)
            self._connection.send_now(close_frame(error.status))
        self.end(closed, by="data")
