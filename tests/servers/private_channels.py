"""A server of private channels that wants to be talked to; it keeps a record.

A client gets a socket ID, has it signed for each of two channels by ``POST /auth``, and subscribes
to them with the signatures. Codes come in by ``POST /in`` and go out in binary messages, each
after a ping with an ID, which has to be repeated. A client that sends no WebSocket ping for too
long is disconnected, and so is one that says anything else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.servers.broadcast import Peer
from tests.support.socket_servers import read_until, serving

CHANNELS = ("private-a", "private-b")
_KEY = "app-secret"


def sign(socket_id: str, channel: str) -> str:
    """Return the signature for a client and a channel."""
    return hashlib.sha256(f"{_KEY}:{socket_id}:{channel}".encode()).hexdigest()


@dataclass
class Client:
    """One client.

    Attributes:
        peer: its connection.
        socket_id: its ID.
        channels: those that it has subscribed to, in order.
        pings: WebSocket pings that came.
        asked: IDs of the pings that it was sent.
        repeated: IDs that it has sent back.
        faults: what it did wrong.
    """

    peer: Peer
    socket_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    channels: list[str] = field(default_factory=list)
    pings: int = 0
    asked: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield opcode and payload of each frame."""
        stream = self.peer.sock.makefile("rb")
        while len(head := stream.read(2)) == 2:
            size = head[1] & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", stream.read(2))
            mask = stream.read(4)
            data = stream.read(size)
            yield head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


class PrivateChannels:
    """The server.

    Args:
        auth_delay: seconds that a signature takes.
        refused: number of signatures that are refused, the first ones.
        silence: seconds without a ping after which a client is disconnected.

    Attributes:
        clients: all clients, in the order in which they connected.
        signed: number of signatures that were given.
    """

    def __init__(self, auth_delay: float = 0.0, refused: int = 0, silence: float = 2.0) -> None:
        self.clients: list[Client] = []
        self.signed = 0
        self._auth_delay = auth_delay
        self._refused = refused
        self._silence = silence
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve; yield the URL."""
        with serving(self._handle) as port:
            yield f"http://127.0.0.1:{port}"

    def _handle(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while head := read_until(sock, b"\r\n\r\n"):
            request, *lines = head.decode().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (e.partition(":") for e in lines)
            }
            path = request.split()[1]
            if "sec-websocket-key" in headers:
                sock.settimeout(self._silence)
                sock.sendall(Peer.accepting(headers["sec-websocket-key"]))
                self._serve(Client(Peer(sock)))
                return
            body = b""
            while len(body) < int(headers.get("content-length", 0)):
                body += sock.recv(65536)
            status, answer = self._post(path, body)
            sock.sendall(
                f"HTTP/1.1 {status} x\r\nContent-Length: {len(answer)}\r\n\r\n{answer}".encode()
            )

    def _post(self, path: str, body: bytes) -> tuple[int, str]:
        if path == "/auth":
            time.sleep(self._auth_delay)
            asked = json.loads(body)
            with self._lock:
                if self._refused:
                    self._refused -= 1
                    return 403, f"{asked['socket_id']} may not listen"
                self.signed += 1
            return 200, json.dumps({"auth": sign(asked["socket_id"], asked["channel"])})
        for each in list(self.clients):
            if len(each.channels) == len(CHANNELS):
                self._push(each, body)
        return 200, ""

    def _push(self, client: Client, code: bytes) -> None:
        ping = uuid.uuid4().hex
        client.asked.append(ping)
        client.peer.send(json.dumps({"msg": "ping", "id": ping}))
        data = b"\x00\xff\x07" + code + b"\xfe"
        with client.peer.lock, contextlib.suppress(OSError):
            client.peer.sock.sendall(bytes([0x82, len(data)]) + data)

    def _serve(self, client: Client) -> None:
        with self._lock:
            self.clients.append(client)
        client.peer.send(json.dumps({"event": "established", "data": {"id": client.socket_id}}))
        pinged = time.monotonic()
        try:
            for opcode, payload in client.frames():
                if opcode == 9:
                    client.pings += 1
                    pinged = time.monotonic()
                elif opcode == 1:
                    self._take(client, json.loads(payload))
                elif opcode == 8:
                    return
                if time.monotonic() > pinged + self._silence:
                    break
        except TimeoutError:
            pass
        client.faults.append("silent")
        client.peer.close(1008)

    @staticmethod
    def _take(client: Client, said: dict[str, Any]) -> None:
        channel = said.get("subscribe", "")
        if said.get("msg") == "pong":
            client.repeated.append(said["id"])
        elif channel in CHANNELS and said["auth"] == sign(client.socket_id, channel):
            client.channels.append(channel)
            client.peer.send(json.dumps({"event": "subscribed", "channel": channel}))
        else:
            client.faults.append(json.dumps(said))
            client.peer.close(4000)
