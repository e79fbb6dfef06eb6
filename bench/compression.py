"""The cost of compressed messages, and of messages that differ from connection to connection."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.children import ROOT, BenchError, child, python
from bench.measure import WARM_UP
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from sseload_users.core.config_path import config_path
from tests.servers.compressing import CompressingServer, compressing_server

#: Bytes beside the code in each message.
PADDING = 400
#: Connections that are opened in a second, and seconds that a run has beside its codes.
_RATE, _PATIENCE = 100, 120.0

_FRESH = {"threshold": 0, "serverNoContextTakeover": True}
_TAKEOVER = {"threshold": 0}


@dataclass(frozen=True, slots=True)
class Kind:
    """A way in which a server sends a code.

    Attributes:
        title: its name in the table.
        options: of the server, see compressing_node.js.
        target: the profile.
        batch: how many codes a message has.
        field: where it has its code.
    """

    title: str
    options: dict[str, Any]
    target: str = "websocket"
    batch: int = 1
    field: str = "code"


KINDS = (
    Kind("WebSocket, uncompressed", {}),
    Kind("WebSocket, without context takeover", {"deflate": _FRESH}),
    Kind("WebSocket, with context takeover", {"deflate": _TAKEOVER}),
    Kind("WebSocket, uncompressed, each copy different", {"own": True}),
    Kind(
        "WebSocket, with context takeover, each copy different",
        {"own": True, "deflate": _TAKEOVER},
    ),
    Kind("event stream, uncompressed", {}, "sse"),
    Kind("event stream, gzip", {"coding": "gzip"}, "sse"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What sseload used.

    Attributes:
        us_per_receipt: CPU time for each code on each connection, in microseconds.
        resident_bytes: memory after the measured codes.
        wire_share: bytes as they came, of the inflated ones; None for no compression.
        lost: deliveries that are not in its report.
    """

    us_per_receipt: float
    resident_bytes: int
    wire_share: float | None
    lost: int


def run(*, quick: bool, rounds: int) -> Table:
    """Measure all kinds, round after round."""
    connections, codes, interval = (50, 20, 0.1) if quick else (500, 100, 0.1)
    table = Table(
        "compression",
        ["messages", "µs a receipt", "of uncompressed", "KiB a connection more", "on the wire, %"],
    )
    measured: dict[str, list[Measured]] = {kind.title: [] for kind in KINDS}
    lost = 0
    for number in range(rounds):
        for kind in KINDS:
            result = measure(kind, connections, codes, interval)
            measured[kind.title].append(result)
            lost += result.lost
            row = {
                "messages": kind.title,
                "round": number + 1,
                "us_per_receipt": result.us_per_receipt,
                "mib": result.resident_bytes / (1 << 20),
                "wire_share": result.wire_share,
                "lost": result.lost,
            }
            table.raw.append(row)
            print_row(row)
    for kind in KINDS:
        plain = KINDS[0] if kind.target == "websocket" else KINDS[5]
        results, beside = measured[kind.title], measured[plain.title]
        share = results[0].wire_share
        table.rows.append(
            [
                kind.title,
                spread([each.us_per_receipt for each in results], 1),
                f"{_us(results) / _us(beside):.2f}",
                f"{(_bytes(results) - _bytes(beside)) / connections / 1024:.1f}",
                "" if share is None else f"{share * 100:.0f}",
            ]
        )
    table.notes.append(
        f"CPU of the whole program, user and system, for each receipt. {connections:,} connections "
        f"to a server on Node, {codes} codes, one each {interval * 1000:g} ms, with {PADDING} "
        f"bytes beside each; {lost} deliveries lost; {in_rounds(rounds)}."
    )
    return table


def measure(
    kind: Kind, connections: int, codes: int, interval: float, *, padding: int = PADDING
) -> Measured:
    """Run sseload against a new server; see `bench.measure.measure`.

    Args:
        kind: the way in which it sends codes.
        connections: of sseload.
        codes: sent to each connection and measured.
        interval: seconds between codes.
        padding: bytes beside each code.
    """
    first = _whole(WARM_UP, kind.batch)
    last = first + _whole(codes, kind.batch)
    whole = last + kind.batch
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        compressing_server(padding=padding, batch=kind.batch, **kind.options) as server,
    ):
        command = [
            *python("-m", "locust", "-f", str(ROOT / "locustfile.py"), "--headless"),
            *("-u", str(connections + 1), "-r", str(_RATE), "--host", server.url),
            *("--target", _profile(kind, Path(folder)), "--codes", str(whole)),
            *("--duration", str(whole * interval), "--settle", "2"),
            *("--delivery-report", "report"),
        ]
        with child(command, machine.GENERATOR_CORE, Path(folder)) as program:

            def sent(count: int) -> bool:
                return server.truth()["messages"] >= connections * (1 + count // kind.batch)

            program.wait_until(lambda: sent(first), _PATIENCE, "the warm-up")
            used, done = machine.cpu_seconds(program.pid), _messages_sent(server, connections)
            program.wait_until(lambda: sent(last), _PATIENCE, "the codes")
            used = machine.cpu_seconds(program.pid) - used
            done = (_messages_sent(server, connections) - done) * kind.batch
            resident = machine.resident_bytes(program.pid)
            program.wait(_PATIENCE)
        try:
            report = json.loads((Path(folder) / "report" / "report.json").read_text())
        except OSError as error:
            raise BenchError("sseload left no report") from error
    compression = report["compression"]
    inflated = compression["inflated_bytes"]
    return Measured(
        us_per_receipt=used / (connections * done) * 1e6,
        resident_bytes=resident,
        wire_share=compression["wire_bytes"] / inflated if inflated else None,
        lost=connections * whole - report["deliveries"]["delivered"],
    )


def _us(results: list[Measured]) -> float:
    return statistics.median(each.us_per_receipt for each in results)


def _bytes(results: list[Measured]) -> float:
    return statistics.median(each.resident_bytes for each in results)


def _messages_sent(server: CompressingServer, connections: int) -> int:
    """Return how many messages have gone to all connections, once none is under way."""
    while (messages := server.truth()["messages"]) % connections:
        time.sleep(0.001)
    return messages // connections - 1


def _whole(codes: int, batch: int) -> int:
    """Return at least so many codes that fill whole batches."""
    return -(-codes // batch) * batch


def _profile(kind: Kind, folder: Path) -> str:
    """Return the profile that reads the server's messages."""
    field = kind.field if kind.batch == 1 else "[*].code"
    if field == "code":
        return kind.target
    path = folder / "target.toml"
    single = config_path(f"targets/{kind.target}.toml").read_text("utf-8")
    path.write_text(single.replace('field = "code"', f'field = "{field}"'), "utf-8")
    return str(path)
