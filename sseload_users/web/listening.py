"""Listen on an address that an option names."""

from __future__ import annotations

from gevent import socket

from sseload_users.core.errors import ConfigError


def listen(host: str, port: int, port_option: str, host_option: str) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: the address to listen on; empty for all addresses.
        port: the port; 0 for any free one.
        port_option: the option that names the port.
        host_option: the option that names the address.

    Raises:
        ConfigError: the address is not available.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        why = (error.strerror or type(error).__name__).lower()
        raise ConfigError(
            f"{port_option} {port}: cannot listen on {host or 'any address'} ({why}); "
            f"use another port, or another address ({host_option})."
        ) from error
    return listener
