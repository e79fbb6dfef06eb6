"""The server's life cycle: listen, serve, stop in order or be killed."""

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
from sseload_users.demo.client_socket import ClientSocket
from sseload_users.demo.faults import FaultPlan
from sseload_users.demo.history import History
from sseload_users.demo.http import HttpConnection
from sseload_users.demo.hub import Hub
from sseload_users.demo.options import Settings
from sseload_users.demo.push import Context
from sseload_users.demo.record import Recorder
from sseload_users.demo.routes import Routes

#: Close code "going away" (RFC 6455 §7.4.1), sent when the server stops.
_GOING_AWAY = 1001
#: Seconds to wait for clients when the server stops. Longer than the wait for one close
#: frame's answer, so that most connections close in order.
_STOP_SECONDS = 2.0
_BACKLOG = 4096


class Server:
    """One embedded target.

    Args:
        settings: its configuration.
        options: its options as given, for the record.

    Raises:
        ConfigError: the record cannot be written, or the certificate is invalid.
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
            History(
                settings.history,
                to_all=settings.replay,
                again=settings.replay_all,
                loses=settings.lose_gap,
            ),
            cost=settings.cost_per_delivery,
            on_broadcast=self._after_broadcast,
        )
        self._context = Context(settings, plan, self._recorder, self._hub, self._kill)
        self._routes = Routes(self._context)
        self._stopped: asyncio.Future[str]

    async def serve(self) -> None:
        """Listen, print the URL, and serve until a signal or the parent's end.

        Raises:
            ConfigError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        self._stopped = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number.name)
        host, port = self._settings.host, self._settings.port
        try:
            listening = await loop.create_server(self._new_socket, host, port, backlog=_BACKLOG)
        except OSError as error:
            # asyncio replaces strerror by its own text; resolver errors have negative numbers.
            reason = error.strerror
            if error.errno is not None and error.errno > 0:
                reason = os.strerror(error.errno)
            raise ConfigError(
                f"Cannot listen on {host}:{port}: {reason}. Use another --port or --host."
            ) from error
        if self._settings.exit_with_parent:
            _at_end_of_input(loop, lambda: self._stop("end of the parent"))
        port = listening.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        scheme = "http" if self._tls is None else "https"
        print(f"sseload demo listening on {scheme}://{name}:{port}", flush=True)
        broadcasting = asyncio.create_task(self._hub.run())
        ends: list[asyncio.Future[Any]] = [self._stopped, broadcasting]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        listening.close()
        broadcasting.cancel()
        # An exception in the broadcast task ends the server and propagates.
        await asyncio.gather(broadcasting, return_exceptions=self._stopped.done())
        await self._close_all()
        self._recorder.write("stopped", why=self._stopped.result())
        self._recorder.close()

    def _new_socket(self) -> ClientSocket:
        def on_ready(socket: ClientSocket) -> None:
            if not self._settings.accept_only:
                HttpConnection(socket, self._routes.handle)

        return ClientSocket(on_ready, self._tls)

    def _stop(self, why: str) -> None:
        if not self._stopped.done():
            self._stopped.set_result(why)

    async def _close_all(self) -> None:
        """Close all connections in order, and wait up to `_STOP_SECONDS` for them."""
        self._hub.close()
        for connection in list(self._context.open):
            connection.close(_GOING_AWAY)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STOP_SECONDS
        while self._context.open and loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self._context.open):
            connection.socket.discard_pending()
        # Again, for codes ingested meanwhile.
        self._hub.close()

    def _kill(self, why: str) -> NoReturn:
        """Kill the process: no client is notified, and nothing more is written."""
        self._hub.close()
        for connection in self._context.open:
            connection.socket.discard_pending()
        self._recorder.write("stopped", why=why)
        self._recorder.close()
        os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit(1)

    def _after_broadcast(self, index: int) -> None:
        if index == self._settings.stop_after:
            self._kill("codes")


def raise_file_limit() -> None:
    """Raise the limit of open files to the hard limit."""
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
        # An empty password keeps OpenSSL from prompting on the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"--tls-cert {settings.tls_cert}: invalid certificate or private key; give unencrypted "
            "PEM files."
        ) from error
    return context


def _at_end_of_input(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    """Call ``action`` at the end of standard input: a pipe, a terminal or a file."""

    def read() -> None:
        # Not through sys.stdin: a daemon thread must not hold its lock at exit.
        while os.read(0, 4096):
            pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(action)

    threading.Thread(target=read, daemon=True).start()
