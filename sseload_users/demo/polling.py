"""Engine.IO's long polling, and the way over to WebSocket.

A session's socket is a queue: what is written to it leaves with the answer to the next poll, or
over the WebSocket once the client has gone over to one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from wsproto.frame_protocol import Opcode

from sseload_users.demo.client_socket import PushSocket, Settle
from sseload_users.demo.http import Exchange
from sseload_users.demo.messages import frame

_SEPARATOR = "\x1e"
_CLOSE, _UPGRADE, _NOOP = "1", "5", "6"
_PROBE, _PROBE_ANSWER = "2probe", "3probe"
_TEXT = "text/plain; charset=UTF-8"
#: Seconds between two times that a held poll is released once the client has probed a WebSocket.
_RELEASE_SECONDS = 0.05


class PollingSocket:
    """The socket of a session that polls.

    Attributes:
        on_bytes: not called before the client has gone over to WebSocket.
        on_end: called once when the session ends, with the error, if any.
        on_packet: called with each packet that the client posts.
        on_upgrade: called when the client has gone over to WebSocket.
    """

    def __init__(self) -> None:
        self.on_bytes: Callable[[bytes], None] = _ignore
        self.on_end: Callable[[Exception | None], None] = _ignore
        self.on_packet: Callable[[str], None] = _ignore
        self.on_upgrade: Callable[[], None] = lambda: None
        self._queue: deque[tuple[str, bytes, Settle]] = deque()
        self._poll: Exchange | None = None
        self._websocket: PushSocket | None = None
        self._probing: PushSocket | None = None
        self._over = False

    # As a socket

    def write(self, data: bytes, settle: Settle = lambda _: None) -> None:
        """Write frames as packets, with the answer to the next poll."""
        if self._websocket is not None:
            self._websocket.write(data, settle)
            return
        if self._over:
            settle(False)
            return
        packets = list(_packets(data))
        for index, (text, part) in enumerate(packets, 1):
            # The write is taken when its last packet is.
            self._queue.append((text, part, settle if index == len(packets) else lambda _: None))
        if not packets:
            settle(True)
        self._answer()

    def close(self) -> None:
        """End the session."""
        if self._websocket is not None:
            self._websocket.close()
            return
        if self._poll is not None and not self._queue:
            self.write(frame(_NOOP))
        self._end(None)

    def reset(self, error: Exception | None = None) -> None:
        """Reset the connection that polls, and end the session."""
        if self._websocket is not None:
            self._websocket.reset(error)
            return
        if self._poll is not None:
            self._poll.socket.reset()
        self._end(error)

    def discard_pending(self) -> None:
        """Write nothing more, and settle what has not been polled."""
        if self._websocket is not None:
            self._websocket.discard_pending()
        self._over = True
        while self._queue:
            self._queue.popleft()[2](False)

    # Requests

    def poll(self, exchange: Exchange) -> None:
        """Hold a poll until there is something to answer."""
        if self._over or self._poll is not None:
            exchange.answer(400, {"code": 3, "message": "Bad request"})
            return
        self._poll = exchange
        exchange.socket.on_end = self._on_lost
        self._answer()

    def post(self, exchange: Exchange) -> None:
        """Take the packets that a client posts."""
        exchange.send(200, "text/html", "ok")
        for packet in exchange.body.decode(errors="replace").split(_SEPARATOR):
            self.on_packet(packet)

    def probe(self, websocket: PushSocket) -> None:
        """Take a WebSocket for the session, which the client has still to confirm."""
        self._probing = websocket
        websocket.on_end = self._on_probe_end

    def on_probe_packet(self, text: str) -> bool:
        """Handle what confirms a WebSocket; return whether a packet does."""
        websocket = self._probing
        if websocket is None or text not in (_PROBE, _UPGRADE):
            return False
        if text == _PROBE:
            websocket.write(frame(_PROBE_ANSWER))
            self._release_later()
        else:
            self._go_over(websocket)
        return True

    def _release_later(self) -> None:
        # The client waits for the answer to its last poll, and may have polled once more before
        # it read the answer to its probe.
        asyncio.get_running_loop().call_later(_RELEASE_SECONDS, self._release)

    def _release(self) -> None:
        if self._over or self._probing is None:
            return
        if self._poll is not None:
            self.write(frame(_NOOP))
        self._release_later()

    def _on_probe_end(self, _: Exception | None) -> None:
        self._probing = None

    def _go_over(self, websocket: PushSocket) -> None:
        self._websocket, self._probing = websocket, None
        websocket.on_end = self._end
        self.on_upgrade()
        while self._queue:
            _, data, settle = self._queue.popleft()
            websocket.write(data, settle)

    def _answer(self) -> None:
        exchange = self._poll
        if exchange is None or not self._queue or self._over:
            return
        self._poll = None
        exchange.socket.on_end = _ignore
        packets, self._queue = self._queue, deque()

        def settle_all(taken: bool) -> None:
            for _, _, settle in packets:
                settle(taken)

        exchange.send(
            200, _TEXT, _SEPARATOR.join(text for text, _, _ in packets), settle=settle_all
        )

    def _on_lost(self, error: Exception | None) -> None:
        """End the session: the client has closed the connection on which it polled."""
        self._poll = None
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        self.discard_pending()
        on_end, self.on_end = self.on_end, _ignore
        on_end(error)


def _packets(data: bytes) -> list[tuple[str, bytes]]:
    """Return the packets in unmasked frames, each with its frame."""
    found, at = [], 0
    while at < len(data):
        opcode, length, start = data[at] & 0x0F, data[at + 1] & 0x7F, at + 2
        if length == 126:
            length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif length == 127:
            length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        end = start + length
        # A close frame is a packet as well here; of others, the content is as invalid.
        text = _CLOSE if opcode == Opcode.CLOSE else data[start:end].decode(errors="replace")
        found.append((text, data[at:end]))
        at = end
    return found


def _ignore(_: object) -> None:
    pass
