"""Find free ports."""

from __future__ import annotations

import contextlib
import socket


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def free_pair(address: str = "127.0.0.1") -> int:
    """Return a TCP port on which nothing listens, nor on the next one."""
    while True:
        first = free_port(address)
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.bind((address, first + 1))
            return first
