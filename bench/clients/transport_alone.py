"""sseload's transport without its users: connections that count their messages.

Arguments: the WebSocket URL and the number of connections.
Prints the number of received messages on SIGTERM.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402
from gevent.pool import Pool  # noqa: E402

from sseload_users.transports.endpoint import Endpoint  # noqa: E402
from sseload_users.transports.network import Network  # noqa: E402
from sseload_users.transports.websocket import WebSocketTransport  # noqa: E402


def main(url: str, connections: int) -> None:
    """Open the connections, and receive until SIGTERM."""
    network = Network(ca_file=os.environ["WEBSOCKET_CLIENT_CA_BUNDLE"])
    endpoint = Endpoint(url)
    total = 0

    def count(_payload: bytes, _arrived_ns: int) -> None:
        nonlocal total
        total += 1

    def connect(transport: WebSocketTransport) -> None:
        transport.connect()
        gevent.spawn(transport.listen)

    pool = Pool(20)
    for _ in range(connections):
        pool.spawn(connect, WebSocketTransport(endpoint, network, count, lambda _cause: None))
    pool.join()
    ended = Event()
    gevent.signal_handler(signal.SIGTERM, ended.set)
    while not ended.wait(1):
        network.lag.drain()
    print(f"received {total} messages", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
