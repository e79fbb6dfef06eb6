"""The cost of a connect: the CPU time of the whole program for one more connection."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from bench import machine
from bench.children import ROOT, child, python
from bench.generators import CLIENTS
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from bench.traffic import CHANNEL, connect_timeout, publishing, wait_for_subscribers
from sseload_users.core.config_path import config_path
from tests.servers.nchan import nchan
from tests.servers.socketio_servers import socketio_server

#: Connections of the run whose cost is that of starting a program.
_FEW = 10
#: How many connect at a time.
_AT_A_TIME = 200
#: What sseload says when all of its connections are there.
_SETTLING = "before the first code"
AUTHORITY = str(ROOT / "tests" / "certificates" / "ca.pem")
KINDS = {
    "ws": "WebSocket",
    "wss": "WebSocket, TLS",
    "sse": "event stream",
    "sio": "Socket.IO over WebSocket",
}


@dataclass(frozen=True, slots=True)
class Connects:
    """What is connected.

    Attributes:
        kind: a key of `KINDS`.
        connections: how many.
        at_a_time: how many connect at the same time.
    """

    kind: str
    connections: int
    at_a_time: int = _AT_A_TIME


class Server(Protocol):
    """What is connected to."""

    @property
    def port(self) -> int:
        """The plain port."""

    @property
    def tls_port(self) -> int:
        """The TLS port."""

    def origin(self, *, tls: bool = False) -> str:
        """Return its URL for HTTP."""


@dataclass(frozen=True, slots=True)
class _SocketIO:
    """A Socket.IO server, which has no TLS port."""

    port: int
    tls_port: int = 0

    def origin(self, *, tls: bool = False) -> str:
        """Return its URL for HTTP."""
        del tls
        return f"http://127.0.0.1:{self.port}"


class BareConnect:
    """An epoll loop that sends one request for all: the lower bound in Python."""

    title = "bare epoll loop"
    broadcasts = False

    def command(self, server: Server, load: Connects, folder: Path) -> Sequence[str]:
        """Return the command of the client script."""
        del folder
        port = server.tls_port if load.kind == "wss" else server.port
        numbers = (str(load.connections), str(load.at_a_time))
        return python(str(CLIENTS / "bare_connect.py"), str(port), load.kind, *numbers, AUTHORITY)


class SseloadConnect:
    """sseload in a headless Locust, with its users, events and ledger."""

    title = "sseload"
    broadcasts = True

    def command(self, server: Server, load: Connects, folder: Path, *more: str) -> Sequence[str]:
        """Return the command of Locust with one more user, the broadcaster."""
        path = folder / "target.toml"
        path.write_text(_profile(load.kind))
        count = load.connections
        return [
            *python("-m", "locust", "-f", str(ROOT / "locustfile.py"), "--headless"),
            *("-u", str(count + 1), "-r", str(count + 1), "--target", str(path)),
            *("--host", server.origin(tls=load.kind == "wss"), "--ca-file", AUTHORITY),
            *("--connect-concurrency", str(load.at_a_time), "--settle", "2"),
            *("--codes", "2", "--duration", "2", "--delivery-report", "report"),
            *more,
        ]


class PlainLocustConnect:
    """The usual Locust user, with websocket-client."""

    title = "plain Locust user"
    broadcasts = False

    def command(self, server: Server, load: Connects, folder: Path) -> Sequence[str]:
        """Return the command of a headless Locust."""
        del folder
        count, origin = str(load.connections), server.origin(tls=load.kind == "wss")
        return [
            *python("-m", "locust", "-f", str(CLIENTS / "plain_locustfile.py"), "--headless"),
            *("-u", count, "-r", count, "--only-summary", "LoopUser"),
            *("--host", f"ws{origin.removeprefix('http')}/sub?id={CHANNEL}"),
        ]


PROGRAMS: tuple[BareConnect | SseloadConnect | PlainLocustConnect, ...] = (
    BareConnect(),
    SseloadConnect(),
    PlainLocustConnect(),
)


def run(*, quick: bool, rounds: int) -> Table:
    """Measure all programs, round after round."""
    count = 500 if quick else 5000
    table = Table("connect", ["connects", "program", "µs each", "of bare", "a second and core"])
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for kind in KINDS:
            for program in PROGRAMS:
                if kind in ("sse", "sio") and isinstance(program, PlainLocustConnect):
                    continue
                many, few = (_cpu_s(program, Connects(kind, each)) for each in (count, _FEW))
                each_us = (many - few) / (count - _FEW) * 1e6
                found.setdefault((kind, program.title), []).append(each_us)
                row = {
                    "kind": kind,
                    "program": program.title,
                    "round": number + 1,
                    "us_per_connect": each_us,
                    "load_average": machine.load_average(),
                }
                table.raw.append(row)
                print_row(row)
    for (kind, title), values in found.items():
        median = statistics.median(values)
        bare = statistics.median(found[kind, BareConnect.title])
        rate = f"{1e6 / median:,.0f}"
        table.rows.append([KINDS[kind], title, spread(values, 0), f"{median / bare:.2f}", rate])
    table.notes.append(
        "CPU of the whole program, user and system, from its start until all are subscribed, less "
        f"that of the program with {_FEW} connections, for each further connection. "
        f"{count:,} connections, {_AT_A_TIME} at a time; {in_rounds(rounds)}."
    )
    return table


def _cpu_s(program: BareConnect | SseloadConnect | PlainLocustConnect, load: Connects) -> float:
    """Return the CPU time of a program when its connections are subscribed.

    Raises:
        BenchError: they were not in time.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        if load.kind == "sio":
            command = program.command(stack.enter_context(_socketio()), load, folder)
            running = stack.enter_context(child(command, machine.GENERATOR_CORE, folder))
            running.wait_until(
                lambda: any(each in running.output() for each in ("connected within", _SETTLING)),
                connect_timeout(load.connections),
                "the connections",
            )
            return machine.cpu_seconds(running.pid)
        server = stack.enter_context(
            nchan(connections=load.connections + _FEW, core=machine.SERVER_CORE)
        )
        publisher = stack.enter_context(publishing(server))
        command = program.command(server, load, folder)
        running = stack.enter_context(child(command, machine.GENERATOR_CORE, folder))
        wait_for_subscribers(publisher, running, load.connections)
        return machine.cpu_seconds(running.pid)


@contextlib.contextmanager
def _socketio() -> Iterator[_SocketIO]:
    """Run Socket.IO's reference server, on Node."""
    with socketio_server("node") as server:
        yield _SocketIO(urlsplit(server.url).port or 0)


def _profile(kind: str) -> str:
    """Return the profile for a kind of connects."""
    if kind == "sio":
        text = config_path("targets/socketio.toml").read_text("utf-8")
        return text.replace('# transports = ["websocket"]', 'transports = ["websocket"]')
    text = (CLIENTS / "nchan.toml").read_text("utf-8")
    return text.replace('"websocket"', '"sse"') if kind == "sse" else text
