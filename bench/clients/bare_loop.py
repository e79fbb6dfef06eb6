"""The minimum that a program can do: an epoll loop that only receives.

Arguments: the WebSocket URL and the number of connections.
Prints the number of received bytes on SIGTERM.
"""

from __future__ import annotations

import select
import signal
import ssl
import sys
from typing import Any

import websocket


def main(url: str, connections: int) -> None:
    """Open the connections, and receive until SIGTERM."""
    epoll = select.epoll()
    sockets: list[Any] = []
    receive: dict[int, Any] = {}
    for _ in range(connections):
        client: Any = websocket.create_connection(url, timeout=30)
        sock = client.sock
        sock.setblocking(False)
        sockets.append(sock)
        receive[sock.fileno()] = sock.recv
        epoll.register(sock.fileno(), select.EPOLLIN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    total = 0
    try:
        while True:
            for fd, _ in epoll.poll():
                try:  # noqa: SIM105 - a context manager would double the cost
                    total += len(receive[fd](16384))
                except ssl.SSLWantReadError:
                    pass  # a record without data, such as a session ticket
    finally:
        print(f"received {total} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
