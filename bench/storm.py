"""Storms and connect times: how fast all connections return, and whether the wire agrees."""

from __future__ import annotations

import contextlib
import json
import math
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import machine
from bench.children import BenchError, child
from bench.connect import KINDS, BareConnect, Connects, SseloadConnect
from bench.progress import print_row
from bench.tables import Table
from bench.wire import connect_times_ms, witness
from tests.servers.nchan import nchan

#: The compared percentiles of the connect time.
_PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
#: The allowed deviation from the witness: a share or milliseconds, whichever is larger.
_RELATIVE, _ABSOLUTE_MS = 0.01, 0.05
#: Steady rates: what connects, and how many a second.
_STEADY = (("ws", 1000), ("wss", 500), ("wss", 5000))
#: Seconds that a run takes at most.
_TIMEOUT = 120.0


def run(*, quick: bool, rounds: int) -> Table:
    """Measure a storm beside the bare loop, and connects on the wire."""
    del rounds
    count = 300 if quick else 5000
    columns = ["connections", "all at once, s", "limit", "account", *_PERCENTILES, "agree"]
    table = Table("storm", columns)
    load = Connects("ws", count)
    bare_s = _bare_s(replace(load, at_a_time=count))
    words = f"{count:,}, {KINDS[load.kind]}"
    table.rows.append(
        [words, f"{bare_s:.2f}", "", "bare epoll loop", *("" for _ in _PERCENTILES), ""]
    )
    # No code comes with a response: one read of both would have the code's timestamp.
    _add_rows(table, words, load, "--storm-after", "0.5", "--duration", "12")
    for kind, rate in _STEADY:
        words = f"{count:,}, {KINDS[kind]}, {rate:,} a second"
        _add_rows(table, words, Connects(kind, count), "-r", str(rate))
    table.notes.append(
        "All at once: seconds until all connections are there that begin to connect together, for "
        "sseload after a storm without jitter. The percentiles are those of all connects, in "
        "milliseconds, each connection's time on the wire from SYN to SYN-ACK and from request to "
        "response, with TLS also from the client's hello to the end of the server's; they agree "
        "within 1 % or 50 µs; one round."
    )
    return table


def _add_rows(table: Table, words: str, load: Connects, *more: str) -> None:
    """Compare a run's connect times with those on the wire."""
    report, wire = _witnessed(load, *more)
    storm, connections = report["storm"], report["connections"]
    reported = {each: float(connections["connect_ms"][each]) for each in _PERCENTILES}
    agree = all(
        abs(reported[each] - wire[each]) <= max(_RELATIVE * wire[each], _ABSOLUTE_MS)
        for each in _PERCENTILES
    )
    at_once, limit = ("", connections["ramp"]["limited_by"])
    if storm is not None:
        at_once, limit = f"{storm['back_100_s']:.2f}", storm["limited_by"]
    table.rows += [
        [words, "", "", "wire, for sseload", *_cells(wire), ""],
        [
            words,
            at_once,
            str(limit or ""),
            "**sseload**",
            *_cells(reported),
            "yes" if agree else "no",
        ],
    ]
    table.raw.append({"load": words, "storm": storm, "wire": wire, "reported": reported})
    print_row({"load": words, "wire": wire, "reported": reported})


def _bare_s(load: Connects) -> float:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(
            nchan(connections=load.connections + 10, core=machine.SERVER_CORE)
        )
        command = BareConnect().command(server, load, folder)
        running = stack.enter_context(child(command, machine.GENERATOR_CORE, folder))
        running.wait_until(lambda: "connected" in running.output(), _TIMEOUT, "the connections")
        match = re.search(r"connected within ([\d.]+) s", running.output())
        assert match is not None
        return float(match[1])


def _witnessed(load: Connects, *more: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the report of a run, and the connect times on the wire.

    Raises:
        BenchError: there is no report, or the witness is incomplete.
    """
    tls = load.kind == "wss"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(
            nchan(connections=2 * load.connections + 10, core=machine.SERVER_CORE)
        )
        port = server.tls_port if tls else server.port
        capture = stack.enter_context(witness(port, folder / "witness"))
        command = SseloadConnect().command(server, load, folder, *more)
        running = stack.enter_context(child(command, machine.GENERATOR_CORE, folder))
        running.wait(_TIMEOUT)
        capture.stop()
        try:
            report: dict[str, Any] = json.loads((folder / "report" / "report.json").read_text())
        except OSError as error:
            raise BenchError("sseload left no report") from error
        times = connect_times_ms(capture, report["connections"]["succeeded"], tls=tls)
    return report, {
        name: times[max(math.ceil(share * len(times)), 1) - 1]
        for name, share in _PERCENTILES.items()
    }


def _cells(figures: dict[str, float]) -> list[str]:
    return [f"{figures[name]:.3f}" for name in _PERCENTILES]
