"""One node: an address, and what serves it from each start to the next stop."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sseload_users.core.clock import wall_ns
from sseload_users.core.errors import ConfigError
from sseload_users.demo.backplane import Backplane
from sseload_users.demo.client_socket import ClientSocket
from sseload_users.demo.faults import FaultPlan
from sseload_users.demo.http import HttpConnection
from sseload_users.demo.hub import Hub
from sseload_users.demo.options import Settings
from sseload_users.demo.push import Context, Counts
from sseload_users.demo.record import Recorder
from sseload_users.demo.routes import Routes

#: Close code "going away" (RFC 6455 §7.4.1), sent when a node stops.
_GOING_AWAY = 1001
#: Seconds to wait for clients when a node stops. Longer than the wait for one close frame's
#: answer, so that most connections close in order.
_STOP_SECONDS = 2.0
_BACKLOG = 4096
#: Bytes of the send buffers with --wait-for-slow; Linux allocates twice as much.
_SMALL_BUFFER = 4096


@dataclass(frozen=True, slots=True)
class Shared:
    """What all nodes of a server share.

    Attributes:
        tls: the TLS context; None for plain connections.
        kill: kill the process; takes the reason for the record.
        on_failure: called with an exception that ended a node's broadcast.
    """

    settings: Settings
    plan: FaultPlan
    recorder: Recorder
    backplane: Backplane
    counts: Counts
    tls: ssl.SSLContext | None
    kill: Callable[[str], None]
    on_failure: Callable[[BaseException], None]


class Node:
    """One node. Each start is that of a new process: nothing of an earlier one is left.

    Args:
        number: its number, from 1.
        port: the port that it listens on; 0 for a free one, which it then keeps.
        shared: what it shares with the other nodes.
    """

    def __init__(self, number: int, port: int, shared: Shared) -> None:
        self.number = number
        self._port = port
        self._shared = shared
        self._sockets: set[ClientSocket] = set()
        self._reservation: socket.socket | None = None
        self._context: Context
        self._listening: asyncio.Server
        self._broadcasting: asyncio.Task[None]

    @property
    def url(self) -> str:
        """The address that it listens on."""
        host = self._shared.settings.host
        name = f"[{host}]" if ":" in host else host
        scheme = "http" if self._shared.tls is None else "https"
        return f"{scheme}://{name}:{self._port}"

    async def start(self) -> None:
        """Listen and serve.

        Raises:
            ConfigError: the address cannot be bound.
        """
        shared, settings = self._shared, self._shared.settings
        hub = Hub(
            shared.plan,
            shared.recorder,
            shared.backplane,
            cost=settings.cost_per_delivery,
            waits=settings.wait_for_slow,
            on_broadcast=self._after_broadcast,
        )
        self._context = Context(
            settings, shared.plan, shared.recorder, hub, shared.kill, shared.counts, self.number
        )
        routes = Routes(self._context)

        def on_ready(client: ClientSocket) -> None:
            if not settings.accept_only:
                HttpConnection(client, routes.handle)

        await self._listen(lambda: ClientSocket(on_ready, shared.tls, self._sockets))
        shared.backplane.join(hub)
        self._broadcasting = asyncio.create_task(hub.run())
        self._broadcasting.add_done_callback(self._on_broadcast_end)
        shared.recorder.write("node started", node=self.number, url=self.url, ns=wall_ns())

    async def restart(self, away: float, how: Literal["close", "reset"]) -> None:
        """Stop, be away for some seconds, and start again at the same port.

        Args:
            away: the seconds.
            how: how the sessions end: in order, or by a TCP reset.
        """
        address = self._listening.sockets[0].getsockname()
        self._withdraw()
        self._reserve(address)
        for connection in list(self._context.open):
            connection.leave(how, _GOING_AWAY)
        await self._finish()
        for client in list(self._sockets):
            # Clients that only make requests, and those that did not close in time.
            if how == "reset":
                client.reset()
            else:
                client.close()
        self._shared.recorder.write("node stopped", node=self.number, ns=wall_ns())
        await asyncio.sleep(away)
        await self.start()

    async def stop(self) -> None:
        """Stop for good: close all connections in order."""
        self._withdraw()
        for connection in list(self._context.open):
            connection.close(_GOING_AWAY)
        await self._finish()

    def abandon(self) -> None:
        """Settle what is not written, as the process is about to be killed."""
        self._context.hub.close()
        for connection in self._context.open:
            connection.socket.discard_pending()

    async def _listen(self, make_socket: Callable[[], ClientSocket]) -> None:
        loop, host = asyncio.get_running_loop(), self._shared.settings.host
        try:
            self._listening = await loop.create_server(
                make_socket, host, self._port, backlog=_BACKLOG
            )
        except OSError as error:
            # asyncio replaces strerror by its own text; resolver errors have negative numbers.
            # Newer versions of it leave out the number if the machine has no such address.
            number = errno.EADDRNOTAVAIL if error.errno is None else error.errno
            reason = os.strerror(number) if number > 0 else error.strerror
            raise ConfigError(
                f"Cannot listen on {host}:{self._port}: {reason}. Use another --port or --host."
            ) from error
        finally:
            if self._reservation is not None:
                self._reservation.close()
                self._reservation = None
        self._port = self._listening.sockets[0].getsockname()[1]
        if self._shared.settings.wait_for_slow:
            # Linux grows send buffers to megabytes unless their size is set.
            for each in self._listening.sockets:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL_BUFFER)

    def _reserve(self, address: Any) -> None:
        """Bind the node's address without listening: nobody else gets it, nobody can connect."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._reservation = held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(address)

    def _withdraw(self) -> None:
        """Accept no connection any more, and broadcast nothing."""
        self._listening.close()
        self._broadcasting.cancel()
        self._context.hub.close()

    async def _finish(self) -> None:
        """Wait up to `_STOP_SECONDS` for the push connections to end."""
        context = self._context
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STOP_SECONDS
        while context.open and loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(context.open):
            connection.socket.discard_pending()
        self._shared.backplane.leave(context.hub)
        # Again, for codes ingested meanwhile.
        context.hub.close()

    def _on_broadcast_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._shared.on_failure(error)

    def _after_broadcast(self, index: int) -> None:
        if index == self._shared.settings.stop_after:
            self._shared.kill("codes")
