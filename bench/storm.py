"""Storms and connect times: how fast all connections return, and whether the wire agrees."""

from __future__ import annotations

import array
import contextlib
import json
import math
import re
import tempfile
from pathlib import Path
from typing import Any

from bench import machine
from bench.children import BenchError, Child, child, python
from bench.connect import KINDS, BareConnect, Connects, SseloadConnect
from bench.generators import CLIENTS
from bench.progress import print_row
from bench.tables import Table
from tests.servers.nchan import nchan

#: The compared percentiles of the connect time.
_PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
#: The allowed deviation from the witness: a share or milliseconds, whichever is larger.
_RELATIVE, _ABSOLUTE_MS = 0.01, 0.05
#: Seconds that a run takes at most.
_TIMEOUT = 120.0


def run(*, quick: bool, rounds: int) -> Table:
    """Measure a storm beside the bare loop, and the first connects on the wire."""
    del rounds
    count = 300 if quick else 5000
    columns = ["connections", "all at once, s", "limit", "account", *_PERCENTILES, "agree"]
    table = Table("storm", columns)
    for kind in ("ws",):
        bare_s = _bare_s(Connects(kind, count, at_a_time=count))
        report, wire = _storm(Connects(kind, count))
        storm, connect = report["storm"], report["connections"]["connect_ms"]
        reported = {each: float(connect[each]) for each in _PERCENTILES}
        agree = all(
            abs(reported[each] - wire[each]) <= max(_RELATIVE * wire[each], _ABSOLUTE_MS)
            for each in _PERCENTILES
        )
        words = f"{count:,}, {KINDS[kind]}"
        dashes = ["" for _ in _PERCENTILES]
        table.rows += [
            [words, f"{bare_s:.2f}", "", "bare epoll loop", *dashes, ""],
            [words, "", "", "wire, for sseload", *_cells(wire), ""],
            [
                words,
                f"{storm['back_100_s']:.2f}",
                str(storm["limited_by"]),
                "**sseload**",
                *_cells(reported),
                "yes" if agree else "no",
            ],
        ]
        row = {"load": words, "bare_s": bare_s, "storm": storm, "wire": wire, "reported": reported}
        table.raw.append(row)
        print_row({**row, "storm": storm["back_100_s"]})
    table.notes.append(
        "All at once: seconds until all connections are there that begin to connect together, for "
        "sseload after a storm without jitter. The percentiles are those of all connects, in "
        "milliseconds, each connection's time on the wire from SYN to SYN-ACK and from request to "
        "response; they agree within 1 % or 50 µs; one round."
    )
    return table


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


def _storm(load: Connects) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the report of a run with a storm, and the connect times on the wire before it.

    Raises:
        BenchError: there is no report, or the witness is incomplete.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(
            nchan(connections=2 * load.connections + 10, core=machine.SERVER_CORE)
        )
        script = str(CLIENTS / "capture_connects.py")
        capture = python(script, str(server.port), "GET /sub", "packets")
        witness = stack.enter_context(child(capture, None, folder / "witness"))
        witness.wait_until(lambda: "ready" in witness.output(), 10, "the witness")
        command = SseloadConnect().command(
            # No code comes with a response: one read of both would have the code's timestamp.
            server,
            load,
            folder,
            "--storm-after",
            "0.5",
            "--duration",
            "12",
        )
        running = stack.enter_context(child(command, machine.GENERATOR_CORE, folder))
        running.wait(_TIMEOUT)
        witness.stop()
        try:
            report: dict[str, Any] = json.loads((folder / "report" / "report.json").read_text())
        except OSError as error:
            raise BenchError("sseload left no report") from error
        return report, _on_the_wire(witness, report)


def _on_the_wire(witness: Child, report: dict[str, Any]) -> dict[str, float]:
    """Return percentiles of the connect times, those of the storm included.

    Raises:
        BenchError: packets are missing.
    """
    if "dropped 0" not in witness.output():
        raise BenchError("the witness is incomplete")
    rows = array.array("Q", (witness.folder / "packets").read_bytes())
    times = sorted(
        (accepted - syn + response - request) / 1e6
        for syn, accepted, request, response in zip(
            rows[1::5], rows[2::5], rows[3::5], rows[4::5], strict=True
        )
    )
    succeeded = report["connections"]["succeeded"]
    if len(times) != succeeded:
        raise BenchError(f"the witness saw {len(times)} connects of {succeeded}")
    return {
        name: times[max(math.ceil(share * len(times)), 1) - 1]
        for name, share in _PERCENTILES.items()
    }


def _cells(figures: dict[str, float]) -> list[str]:
    return [f"{figures[name]:.3f}" for name in _PERCENTILES]
