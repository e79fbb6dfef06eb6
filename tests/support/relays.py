"""What stands between clients and a server: relays on addresses of their own, and an HTTP proxy.

Each writes down what came through.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.socket_servers import read_until


@dataclass
class Passed:
    """The connections that came through.

    Attributes:
        starts: the first line of what each one sent to the server.
        tunnels: the destination of each request for a tunnel.
    """

    starts: list[str] = field(default_factory=list)
    tunnels: list[str] = field(default_factory=list)

    def count(self, start: str) -> int:
        """Return how many connections began with a text."""
        return sum(line.startswith(start) for line in self.starts)


@contextlib.contextmanager
def relays(addresses: list[str], server: str) -> Iterator[tuple[int, dict[str, Passed]]]:
    """Relay from several local addresses to a server; yield the port, and what passed by address.

    Args:
        addresses: local addresses.
        server: URL of the server.
    """
    passed = {address: Passed() for address in addresses}
    destination = address_of(server)
    with contextlib.ExitStack() as stack:
        port = 0
        for address in addresses:
            listener = stack.enter_context(listening(address, port))
            port = listener.getsockname()[1]
            accept(listener, lambda client, seen: _relay(client, destination, seen, b""),
                    passed[address])  # fmt: skip
        yield port, passed


@contextlib.contextmanager
def proxy(
    names: Mapping[str, str], *, password: str = "", refuses: int = 0
) -> Iterator[tuple[str, Passed]]:
    """Serve as an HTTP proxy that knows CONNECT; yield its host and port, and what passed.

    Args:
        names: URL of the server behind each "host:port" that it can resolve.
        password: the "user:password" that it wants.
        refuses: status with which it refuses everything.
    """
    passed = Passed()

    def handle(client: socket.socket, seen: Passed) -> None:
        head = read_until(client, b"\r\n\r\n").decode()
        method, destination, _ = head.split("\r\n")[0].split()
        seen.tunnels.append(destination)
        given = f"Proxy-Authorization: Basic {base64.b64encode(password.encode()).decode()}"
        status = refuses
        if method != "CONNECT":
            status = 405
        elif password and given not in head:
            status = 407
        elif not status and destination not in names:
            status = 502
        if status:
            client.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        _relay(client, address_of(names[destination]), seen, b"HTTP/1.1 200 OK\r\n\r\n")

    with listening("127.0.0.1", 0) as listener:
        accept(listener, handle, passed)
        yield f"127.0.0.1:{listener.getsockname()[1]}", passed


def address_of(url: str) -> tuple[str, int]:
    """Return the host and port of a URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


@contextlib.contextmanager
def listening(address: str, port: int) -> Iterator[socket.socket]:
    """Listen on an address; port 0 is any free one."""
    listener = socket.create_server((address, port), backlog=100)
    try:
        yield listener
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def accept(listener: socket.socket, handle, passed: Passed) -> None:  # type: ignore[no-untyped-def]
    """Handle each connection in a thread, until the listener is closed."""

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client:
            handle(client, passed)

    def wait() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=wait, daemon=True).start()


def _relay(client: socket.socket, server: tuple[str, int], seen: Passed, hello: bytes) -> None:
    with socket.create_connection(server) as behind:
        client.sendall(hello)
        first = client.recv(65536)
        seen.starts.append(first.split(b"\r\n")[0].decode("latin-1"))
        behind.sendall(first)
        back = threading.Thread(target=pump, args=(behind, client), daemon=True)
        back.start()
        pump(client, behind)
        back.join()


def pump(source: socket.socket, drain: socket.socket) -> None:
    """Pass data on until one side closes; then shut both down."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            drain.sendall(data)
    for each in (source, drain):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def balancer(servers: list[str]) -> Iterator[str]:
    """Pass connections on to servers in turn, as a balancer does; yield its URL.

    Args:
        servers: their URLs.
    """
    turn = itertools.cycle([address_of(each) for each in servers])

    def handle(client: socket.socket, _: Passed) -> None:
        with socket.create_connection(next(turn)) as behind:
            back = threading.Thread(target=pump, args=(behind, client), daemon=True)
            back.start()
            pump(client, behind)
            back.join()

    with listening("127.0.0.1", 0) as listener:
        accept(listener, handle, Passed())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
