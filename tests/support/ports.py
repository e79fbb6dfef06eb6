"""Find free ports."""

from __future__ import annotations

import contextlib
import random
import socket

#: Below the ports that systems give to connections and to servers that ask for any: whoever wants
#: to listen on one of them later still can.
_PORTS = range(10_000, 30_000)


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port on which nothing listens."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, port))
            return port


def free_pair(address: str = "127.0.0.1") -> int:
    """Return a TCP port on which nothing listens, nor on the next one."""
    while True:
        first = free_port(address)
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.bind((address, first + 1))
            return first
