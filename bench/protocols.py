"""The cost of a receipt by protocol, from the servers of the tests, against plain WebSocket."""

from __future__ import annotations

import contextlib
import importlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import machine
from bench.children import ROOT, BenchError, child, python
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from sseload_users.demo import process
from tests.protocols.contract import ProtocolContract, Served
from tests.servers.compressing import compressing_server

#: Connections that are opened in a second; seconds that a run has beside its codes; and seconds
#: from the first code until CPU is measured.
_RATE, _PATIENCE, _LEAD = 200, 90.0, 1.5
#: Seconds between two copies of a code, from a server that is slow.
_SPACE = 0.00025
_TESTS = ROOT / "tests" / "protocols"


@dataclass(frozen=True)
class Protocol:
    """A protocol that is measured.

    Attributes:
        profile: name of its target profile.
        server: the server, with its version.
        serve: runs the server.
        words: returns the options of a run, for the server and a folder.
    """

    profile: str
    server: str
    serve: Callable[[Path], contextlib.AbstractContextManager[Served]]
    words: Callable[[Served, Path], list[str]]


def run(*, quick: bool, rounds: int) -> Table:
    """Measure all protocols, round after round."""
    connections, seconds, interval = (20, 1.0, 0.1) if quick else (300, 8.0, 0.1)
    table = Table("protocols", ["profile", "server", "µs a receipt", "of plain WebSocket", "lost"])
    measured: dict[Protocol, list[float]] = {}
    lost: dict[Protocol, int] = {}
    skipped: set[str] = set()
    protocols = [_plain(), _spaced(), *_tested()]
    for number in range(rounds):
        for protocol in protocols:
            try:
                us, missing = _measure(protocol, connections, seconds, interval)
            except pytest.skip.Exception as why:
                skipped.add(f"{protocol.profile}: {why.msg}")
                continue
            lost[protocol] = lost.get(protocol, 0) + missing
            values = measured.setdefault(protocol, [])
            if not missing:  # otherwise there were fewer receipts than codes were sent
                values.append(us)
            row = {"profile": protocol.profile, "server": protocol.server, "round": number + 1}
            table.raw.append({**row, "us_per_receipt": us, "lost": missing})
            print_row(table.raw[-1])
    plain = statistics.median(measured[protocols[0]])
    for protocol, values in measured.items():
        table.rows.append(
            [
                f"`{protocol.profile}`",
                protocol.server,
                spread(values, 1) if values else "",
                f"{statistics.median(values) / plain:.2f}" if values else "",
                str(lost[protocol]),
            ]
        )
    table.notes.append(
        f"CPU of the whole program, user and system, for each receipt. {connections:,} "
        f"connections, a code each {interval * 1000:g} ms, over {seconds:g} s; "
        f"{in_rounds(rounds)}; rounds in which codes were lost or late are not counted."
    )
    table.notes += [f"Not measured: {each}" for each in sorted(skipped)]
    return table


def _plain() -> Protocol:
    @contextlib.contextmanager
    def serve(folder: Path) -> Iterator[Served]:
        del folder
        with compressing_server(padding=0) as server:
            yield Served(server.url)

    return Protocol("websocket", "ws, on Node", serve, _websocket)


def _spaced() -> Protocol:
    """Return plain WebSocket from a server that is slow, so that copies come one by one."""

    @contextlib.contextmanager
    def serve(folder: Path) -> Iterator[Served]:
        del folder
        with process.start("--cost-per-delivery", str(_SPACE)) as server:
            yield Served(server.url)

    title = f"embedded target, a copy each {_SPACE * 1000:g} ms"
    return Protocol("websocket", title, serve, _websocket)


def _websocket(served: Served, folder: Path) -> list[str]:
    del folder
    return ["--target", "websocket", "--host", served.url]


def _tested() -> Iterator[Protocol]:
    """Yield the protocols that have tests of their own."""
    for path in sorted(_TESTS.glob("test_*.py")):
        module = importlib.import_module(f"tests.protocols.{path.stem}")
        for suite in vars(module).values():
            if (
                isinstance(suite, type)
                and issubclass(suite, ProtocolContract)
                and suite.__module__ == module.__name__
                and suite.__name__.startswith("Test")
            ):
                yield _of(suite)


def _of(suite: type[ProtocolContract]) -> Protocol:
    return Protocol(
        Path(suite.profile).stem,
        suite.server,
        suite.serve,
        lambda served, folder: suite.words(served, folder, served.url),
    )


def _measure(
    protocol: Protocol, connections: int, seconds: float, interval: float
) -> tuple[float, int]:
    """Run sseload against a new server.

    Returns:
        CPU time for each receipt, in microseconds, and how many deliveries were lost.
    """
    codes = round((seconds + 2 * _LEAD) / interval)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        protocol.serve(Path(name) / "server") as served,
    ):
        folder = Path(name) / "run"
        command = [
            *python("-m", "sseload_users", str(connections), str(codes), f"{codes * interval:.0f}"),
            *("-r", str(_RATE), *protocol.words(served, folder)),
            *("--settle", "1", "--delivery-report", str(folder / "report")),
        ]
        with child(command, machine.GENERATOR_CORE, folder) as program:
            program.wait_until(
                lambda: "Broadcasting" in program.output(), _PATIENCE, protocol.profile
            )
            time.sleep(_LEAD)
            used, began = machine.cpu_seconds(program.pid), time.monotonic()
            time.sleep(seconds)
            used = machine.cpu_seconds(program.pid) - used
            sent = (time.monotonic() - began) / interval
            program.wait(_PATIENCE)
        deliveries = _deliveries(folder / "report" / "report.json")
    return used / (connections * sent) * 1e6, connections * codes - deliveries


def _deliveries(report: Path) -> int:
    try:
        return int(json.loads(report.read_text())["deliveries"]["delivered"])
    except OSError as error:
        raise BenchError("sseload left no report") from error
