"""Servers in their own threads, for tests whose main thread runs the gevent hub.

The threads are real: a server goes on while its test keeps the hub busy.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

CERTIFICATES = Path(__file__).parents[1] / "certificates"

Handler = Callable[[socket.socket], object]


@contextlib.contextmanager
def serving(
    handler: Handler, *, certificate: str | None = None, client_ca: str | None = None
) -> Iterator[int]:
    """Serve: give each connection to the handler, in a thread; yield the port.

    Args:
        handler: may return or fail at any time; the connection is closed then.
        certificate: serve TLS with this file of ``tests/certificates``.
        client_ca: ask clients for a certificate of this authority.
    """
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / certificate)
        if client_ca is not None:
            context.load_verify_locations(CERTIFICATES / client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    handlers: list[threading.Thread] = []

    def handle(connection: socket.socket) -> None:
        connection.settimeout(10)
        # A test may end, and close the connection, before the handler returns.
        with contextlib.suppress(OSError):
            if context is not None:
                try:
                    connection = context.wrap_socket(connection, server_side=True)
                except OSError:
                    connection.close()
                    raise
            with connection:
                handler(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=handle, args=(connection,), daemon=True)
            thread.start()
            handlers.append(thread)

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for thread in handlers:
            thread.join(5)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Receive up to and including the given bytes, or up to the end of the stream."""
    data = b""
    while not data.endswith(end) and (byte := connection.recv(1)):
        data += byte
    return data
