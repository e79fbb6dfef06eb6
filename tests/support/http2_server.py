"""A scripted HTTP/2 server of event streams; it records its connections and streams."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from hyperframe.frame import GoAwayFrame

from tests.support.socket_servers import serving

HEAD = [(":status", "200"), ("content-type", "text/event-stream")]


@dataclass(eq=False)
class ServedConnection:
    """One connection of the server.

    Attributes:
        streams: numbers of its open streams.
        cancelled: numbers of the streams that the client has reset.
    """

    sock: socket.socket
    h2: h2.connection.H2Connection
    lock: threading.RLock
    streams: list[int] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)

    def send(self, payload: bytes, streams: list[int] | None = None) -> None:
        """Send an event on streams, in one write; by default on all."""
        with self.lock:
            for each in self.streams if streams is None else streams:
                self.h2.send_data(each, b"data: " + payload + b"\n\n")
            self.flush()

    def reset(self, stream: int) -> None:
        """Reset a stream."""
        with self.lock:
            self.streams.remove(stream)
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self.flush()

    def go_away(self, last: int) -> None:
        """Announce the end of the connection; streams up to the last one go on."""
        with self.lock:
            frame = GoAwayFrame(0, last_stream_id=last, error_code=h2.errors.ErrorCodes.NO_ERROR)
            self.sock.sendall(frame.serialize())

    def flush(self) -> None:
        """Write what waits."""
        with contextlib.suppress(OSError):
            self.sock.sendall(self.h2.data_to_send())


class Http2Server:
    """A server that accepts each stream, by prior knowledge or with TLS.

    Args:
        most: how many streams it takes on a connection at a time.
        status: of its responses.

    Attributes:
        connections: in the order in which they were accepted.
    """

    def __init__(self, most: int = 100, status: str = "200") -> None:
        self.connections: list[ServedConnection] = []
        self._most = most
        self._head = [(":status", status), HEAD[1]]

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve by prior knowledge; yield the URL."""
        with serving(self._handle) as port:
            yield f"http://127.0.0.1:{port}/events"

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait for a condition, from another thread than the server's."""
        deadline = time.monotonic() + 5
        while not until():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def _handle(self, sock: socket.socket) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        codes = h2.settings.SettingCodes
        connection.local_settings = h2.settings.Settings(
            client=False, initial_values={codes.MAX_CONCURRENT_STREAMS: self._most}
        )
        connection.initiate_connection()
        served = ServedConnection(sock, connection, threading.RLock())
        self.connections.append(served)
        served.flush()
        while data := sock.recv(65536):
            with served.lock:
                for event in connection.receive_data(data):
                    self._take(served, event)
                served.flush()

    def _take(self, served: ServedConnection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            served.h2.send_headers(event.stream_id, self._head)
            served.streams.append(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            assert event.stream_id is not None
            served.cancelled.append(event.stream_id)
            with contextlib.suppress(ValueError):
                served.streams.remove(event.stream_id)
