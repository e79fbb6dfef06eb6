"""A transport with everything that it has handed over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sseload_users.transports import (
    Closed,
    ConnectFailed,
    ParsedMessage,
    TransportName,
)
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from sseload_users.transports.registry import transport_for
from sseload_users.transports.transport import Transport
from tests.support.socket_servers import CERTIFICATES

#: How a session ends that this side has left.
LEFT = Closed("client", "left")
#: How a session ends that a Socket.IO server disconnects.
DISCONNECTED = Closed("server", "disconnected by server")


class Listener:
    """A transport, and what it has handed over.

    Args:
        name: the transport's, as profiles have it.
        endpoint: where to connect, or its URL.
        network: by default one that trusts the tests' certificates and waits 5 s.
        also: called with each payload.
    """

    def __init__(
        self,
        name: TransportName,
        endpoint: Endpoint | str,
        network: Network | None = None,
        also: Callable[[bytes], object] = lambda _: None,
    ) -> None:
        self.also = also
        self.messages: list[tuple[bytes, int]] = []
        self.malformed: list[str] = []
        self.transport: Transport = transport_for(name)(
            Endpoint(endpoint) if isinstance(endpoint, str) else endpoint,
            network or Network(connect_timeout=5, ca_file=str(CERTIFICATES / "ca.pem")),
            self._on_message,
            self.malformed.append,
        )

    def _on_message(self, payload: bytes, arrived_ns: int) -> None:
        self.messages.append((payload, arrived_ns))
        self.also(payload)

    @property
    def payloads(self) -> list[bytes]:
        return [payload for payload, _ in self.messages]

    @property
    def parsed(self) -> list[ParsedMessage | None]:
        return [self.transport.parse(payload) for payload in self.payloads]

    def run(self) -> Closed:
        """Connect and listen; return how the session ended."""
        self.transport.connect()
        return self.transport.listen()

    def fails(self) -> ConnectFailed:
        """Connect in vain; return why."""
        with pytest.raises(ConnectFailed) as failed:
            self.transport.connect()
        assert self.messages == []
        assert self.transport.listen().by != "network"
        return failed.value


def events_listener(url: str, connect_timeout: float = 5, **more: Any) -> Listener:
    """Return a Socket.IO listener, by default in the namespace ``/events``."""
    endpoint = Endpoint(url, **{"namespace": "/events", **more})
    return Listener("socketio", endpoint, Network(connect_timeout=connect_timeout))
