"""The accuracy of reported latencies, compared with those on the wire."""

from __future__ import annotations

import array
import contextlib
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import machine
from bench.children import BenchError, Child, burning, child, python
from bench.generators import CLIENTS, Generator, PlainLocust, Sseload
from bench.measure import measure
from bench.progress import print_row
from bench.tables import Table, in_rounds
from bench.traffic import Codes, Load, ObservedCodes
from tests.servers.nchan import Nchan

#: The compared percentiles, and Locust's column for each.
_PERCENTILES = {"p50": "50%", "p95": "95%", "p99": "99%", "max": "100%"}
#: The overhead of a TLS 1.3 record: a header of five bytes, the content type and the tag
#: (RFC 8446 §5.2).
_RECORD_BYTES = 5 + 1 + 16
#: The allowed deviation from the witness: a share or milliseconds, whichever is larger.
_RELATIVE, _ABSOLUTE_MS = 0.01, 0.05

Figures = dict[str, float]


def run(*, quick: bool, rounds: int) -> Table:
    """Compare sseload and the plain Locust user with the witness, on a busy core."""
    table = Table("truth", ["connections", "account", *_PERCENTILES, "within 1 % or 50 µs"])
    loads = [Load(1000, 50, 0.2), Load(1000, 50, 0.2, tls=True), Load(9000, 20, 2.0)]
    accounts: tuple[tuple[Generator, Callable[[Child], Figures]], ...] = (
        (Sseload(), _by_sseload),
        (PlainLocust(), _by_plain_locust),
    )
    for load in [Load(200, 20, 0.1)] if quick else loads:
        words = f"{load.connections:,}, {'TLS' if load.tls else 'plain'}"
        for generator, account in accounts:
            pairs = [_compare(generator, account, load) for _ in range(rounds)]
            for witnessed, reported in pairs:
                common = {"program": generator.title, "load": words}
                table.raw.append({**common, "account": "wire", **witnessed})
                print_row(table.raw[-1])
                table.raw.append({**common, "account": "reported", **reported})
                print_row(table.raw[-1])
            # The round with the largest deviation.
            witnessed, reported = max(pairs, key=lambda pair: _error(*pair))
            table.rows.append([words, f"wire, for {generator.title}", *_cells(witnessed), ""])
            agree = "yes" if _error(witnessed, reported) <= 1 else "no"
            table.rows.append([words, f"**{generator.title}**", *_cells(reported), agree])
    table.notes.append(
        "Milliseconds from a code's send time, while another process burns the generator's "
        f"core; {_rounds(rounds)}."
    )
    return table


def _rounds(rounds: int) -> str:
    if rounds == 1:
        return in_rounds(rounds)
    return f"of {rounds} rounds the one whose report is furthest from its witness"


def _compare(
    generator: Generator, account: Callable[[Child], Figures], load: Load
) -> tuple[Figures, Figures]:
    """Return the latencies on the wire, and the reported ones."""
    witnessed: Figures = {}
    reported: Figures = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        witness: list[tuple[Child, int]] = []

        @contextlib.contextmanager
        def beside(server: Nchan, codes: Codes) -> Iterator[None]:
            port = server.tls_port if load.tls else server.port
            command = python(str(CLIENTS / "capture.py"), str(port), "packets")
            capture = stack.enter_context(child(command, machine.SERVER_CORE, Path(name)))
            capture.wait_until(lambda: "ready" in capture.output(), 10, "the witness")
            witness.append((capture, codes.port if isinstance(codes, ObservedCodes) else 0))
            with burning(machine.GENERATOR_CORE, Path(name) / "burning"):
                yield

        def inspect(program: Child, codes: Codes) -> None:
            capture, own_port = witness[0]
            capture.stop()
            latencies = _latencies_ms(capture, codes, load, own_port)
            for percentile in _PERCENTILES:
                share = float(percentile.removeprefix("p")) / 100 if percentile != "max" else 1
                rank = max(math.ceil(share * len(latencies)), 1)
                witnessed[percentile] = latencies[rank - 1]
            reported.update(account(program))

        measure(generator, load, beside=beside, inspect=inspect)
    return witnessed, reported


def _latencies_ms(capture: Child, codes: Codes, load: Load, own_port: int) -> list[float]:
    """Return the sorted latencies from the send time of each code to each of its packets.

    Raises:
        BenchError: packets and codes cannot be matched.
    """
    if "dropped 0" not in capture.output():
        raise BenchError("the witness is incomplete")
    packets = array.array("Q", (capture.folder / "packets").read_bytes())
    more = _RECORD_BYTES if load.tls else 0
    sizes = {2 + len(text) + more for text in codes.texts}
    arrivals: dict[int, list[int]] = {}
    for port, size, stamp in zip(packets[::3], packets[1::3], packets[2::3], strict=True):
        if size in sizes and port != own_port:
            arrivals.setdefault(port, []).append(stamp)
    complete = sum(len(each) == len(codes.texts) for each in arrivals.values())
    if not complete == len(arrivals) == load.connections:
        raise BenchError(
            f"the witness saw {len(arrivals)} connections, {complete} of them with all codes"
        )
    sent = [_sent_ns(text) for text in codes.texts]
    return sorted(
        (stamp - sent_ns) / 1e6
        for stamps in arrivals.values()
        for stamp, sent_ns in zip(sorted(stamps), sent, strict=True)
    )


def _sent_ns(text: str) -> int:
    code: str = json.loads(text)["code"]
    return int(code.rpartition("-")[2], 36)


def _by_sseload(program: Child) -> Figures:
    delivery = Sseload().reported(program)["delivery_ms"]
    return {percentile: float(delivery[percentile]) for percentile in _PERCENTILES}


def _by_plain_locust(program: Child) -> Figures:
    row = PlainLocust().reported(program)
    return {percentile: float(row[column]) for percentile, column in _PERCENTILES.items()}


def _error(witnessed: Figures, reported: Figures) -> float:
    """Return the largest deviation, as a multiple of the allowed one."""
    return max(
        abs(reported[each] - witnessed[each]) / max(_RELATIVE * witnessed[each], _ABSOLUTE_MS)
        for each in _PERCENTILES
    )


def _cells(figures: Figures) -> list[str]:
    return [f"{figures[percentile]:.3f}" for percentile in _PERCENTILES]
