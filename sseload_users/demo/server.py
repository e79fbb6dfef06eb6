"""The server's life: listening, serving, stopping in order or hard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import ssl
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from sseload_users.core.errors import ConfigError
from sseload_users.demo.faults import FaultPlan
from sseload_users.demo.http import Http
from sseload_users.demo.hub import Hub
from sseload_users.demo.options import Settings
from sseload_users.demo.push import Context
from sseload_users.demo.record import Recorder
from sseload_users.demo.routes import Routes
from sseload_users.demo.wire import Wire

#: WebSocket's "going away" (RFC 6455 §7.4.1), for those who are connected when it stops.
_GOING_AWAY = 1001
#: Seconds that clients may take to go when the server stops in order. Longer than each of
#: them may take to answer a close frame, so that most get away in order.
_STOP_SECONDS = 2.0
_BACKLOG = 4096


class Server:
    """One server.

    Args:
        settings: what it is told.
        options: its options as given, for the record.

    Raises:
        ConfigError: the record or the certificate cannot be used.
    """

    def __init__(self, settings: Settings, options: dict[str, Any]) -> None:
        self._settings = settings
        self._tls = _tls(settings)
        try:
            self._recorder = Recorder(settings.record)
        except OSError as error:
            raise ConfigError(f"--record {settings.record}: {error.strerror}.") from error
        self._recorder.write("started", options=options)
        plan = FaultPlan(settings.faults, settings.seed)
        self._hub = Hub(
            plan,
            self._recorder,
            cost=settings.cost_per_delivery,
            replay=settings.replay,
            on_broadcast=self._broadcast_over,
        )
        self._context = Context(settings, plan, self._recorder, self._hub, self._stop_hard)
        self._routes = Routes(self._context)
        self._stopped: asyncio.Future[str]

    async def serve(self) -> None:
        """Listen, say where, and serve until a signal, or the parent's end.

        Raises:
            ConfigError: it cannot listen there.
        """
        loop = asyncio.get_running_loop()
        self._stopped = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number.name)
        host, port = self._settings.host, self._settings.port
        try:
            listening = await loop.create_server(self._wire, host, port, backlog=_BACKLOG)
        except OSError as error:
            # asyncio puts its own sentence into strerror; resolvers' numbers are negative.
            reason = error.strerror
            if error.errno is not None and error.errno > 0:
                reason = os.strerror(error.errno)
            raise ConfigError(f"Cannot listen on {host}:{port}: {reason}.") from error
        if self._settings.exit_with_parent:
            _when_input_ends(loop, lambda: self._stop("end of the parent"))
        port = listening.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        scheme = "http" if self._tls is None else "https"
        print(f"sseload demo listening on {scheme}://{name}:{port}", flush=True)
        broadcasting = asyncio.create_task(self._hub.run())
        ends: list[asyncio.Future[Any]] = [self._stopped, broadcasting]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        listening.close()
        broadcasting.cancel()
        # A mistake in the broadcast ends the server, and shows.
        await asyncio.gather(broadcasting, return_exceptions=self._stopped.done())
        await self._hang_up()
        self._recorder.write("stopped", why=self._stopped.result())
        self._recorder.close()

    def _wire(self) -> Wire:
        def made(wire: Wire) -> None:
            if not self._settings.accept_only:
                Http(wire, self._routes.handle)

        return Wire(made, self._tls)

    def _stop(self, why: str) -> None:
        if not self._stopped.done():
            self._stopped.set_result(why)

    async def _hang_up(self) -> None:
        """End all connections in order, and wait a moment for them to go."""
        self._hub.close()
        for connection in list(self._context.open):
            connection.hang_up(_GOING_AWAY)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STOP_SECONDS
        while self._context.open and loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self._context.open):
            connection.wire.give_up()
        # Once more, for codes that came meanwhile.
        self._hub.close()

    def _stop_hard(self, why: str) -> NoReturn:
        """End as a killed process does: nobody is told, and nothing more is written."""
        self._hub.close()
        for connection in self._context.open:
            connection.wire.give_up()
        self._recorder.write("stopped", why=why)
        self._recorder.close()
        os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit(1)

    def _broadcast_over(self, index: int) -> None:
        if index == self._settings.stop_after:
            self._stop_hard("codes")


def raise_file_limit() -> None:
    """Let the process hold as many connections as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    files = {"--tls-cert": settings.tls_cert, "--tls-key": settings.tls_key}
    for option, path in files.items():
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{option} {path}: {error.strerror}.") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password, lest OpenSSL ask for one on the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"--tls-cert {settings.tls_cert}: no certificate with its unencrypted private key; "
            "give PEM files."
        ) from error
    return context


def _when_input_ends(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    """Call when standard input ends, whatever it is: a pipe, a terminal, a file."""

    def read() -> None:
        # Past Python's own buffer, whose lock a daemon thread must not hold at the exit.
        while os.read(0, 4096):
            pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(action)

    threading.Thread(target=read, daemon=True).start()
