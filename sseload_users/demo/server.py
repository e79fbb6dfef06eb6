"""The server's life cycle: start the nodes, serve, stop in order or be killed."""

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
from sseload_users.demo.backplane import Backplane
from sseload_users.demo.faults import FaultPlan
from sseload_users.demo.history import History
from sseload_users.demo.node import Node, Shared
from sseload_users.demo.options import Settings
from sseload_users.demo.push import Counts
from sseload_users.demo.record import Recorder
from sseload_users.demo.rolling_restart import restart_in_turn


class Server:
    """One embedded target, of one node or several.

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
        self._backplane = Backplane(settings.backplane, self._make_history)
        shared = Shared(
            settings,
            FaultPlan(settings.faults, settings.seed),
            self._recorder,
            self._backplane,
            Counts(),
            self._tls,
            self._kill,
            self._fail,
        )
        self._nodes = [
            Node(number, settings.port and settings.port + number - 1, shared)
            for number in range(1, settings.nodes + 1)
        ]
        self._stopped: asyncio.Future[str]

    async def serve(self) -> None:
        """Start the nodes, print their URLs, and serve until a signal or the parent's end.

        Raises:
            ConfigError: an address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        self._stopped = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number.name)
        for node in self._nodes:
            await node.start()
        if self._settings.exit_with_parent:
            _at_end_of_input(loop, lambda: self._stop("end of the parent"))
        print("sseload demo listening on", *(node.url for node in self._nodes), flush=True)
        restarting = asyncio.create_task(
            restart_in_turn(self._nodes, self._backplane.used, self._settings)
        )
        restarting.add_done_callback(self._on_restarts_end)
        # An exception in a node ends the server and propagates.
        why = await self._stopped
        restarting.cancel()
        await asyncio.gather(restarting, return_exceptions=True)
        await asyncio.gather(*(node.stop() for node in self._nodes))
        self._recorder.write("stopped", why=why)
        self._recorder.close()

    def _make_history(self) -> History:
        settings = self._settings
        return History(
            settings.history,
            to_all=settings.replay,
            again=settings.replay_all,
            loses=settings.lose_gap,
        )

    def _on_restarts_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _stop(self, why: str) -> None:
        if not self._stopped.done():
            self._stopped.set_result(why)

    def _fail(self, error: BaseException) -> None:
        if not self._stopped.done():
            self._stopped.set_exception(error)

    def _kill(self, why: str) -> NoReturn:
        """Kill the process: no client is notified, and nothing more is written."""
        for node in self._nodes:
            node.abandon()
        self._recorder.write("stopped", why=why)
        self._recorder.close()
        os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit(1)


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
