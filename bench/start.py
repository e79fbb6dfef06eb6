"""How long a start takes: until a command ends, or until a test has its first connection."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import machine
from bench.children import ROOT, BenchError, Child, child, python
from bench.generators import PlainLocust, Sseload
from bench.progress import print_row
from bench.tables import Table, in_rounds, spread
from bench.traffic import CHANNEL, Load, publishing
from sseload_users.demo.record import read
from tests.servers.nchan import nchan

_LOCUST = python("-m", "locust")
_SSELOAD = python("-m", "sseload_users")
#: Commands that end by themselves.
_COMMANDS = {
    "locust --help": [*_LOCUST, "--help"],
    "locust --list, with sseload's users": [*_LOCUST, "-f", str(ROOT / "locustfile.py"), "--list"],
    "sseload --help": [*_SSELOAD, "--help"],
    "sseload help codes": [*_SSELOAD, "help", "codes"],
    "sseload targets": [*_SSELOAD, "targets"],
    "sseload check --help": [*_SSELOAD, "check", "--help"],
    "sseload init --help": [*_SSELOAD, "init", "--help"],
    "sseload history --help": [*_SSELOAD, "history", "--help"],
    "sseload compare --help": [*_SSELOAD, "compare", "--help"],
    "sseload completion bash": [*_SSELOAD, "completion", "bash"],
    "sseload --help-all": [*_SSELOAD, "--help-all"],
}
_LOAD = Load(50, 1, 1.0)
#: Seconds that a start may take, and from one look for connections to the next.
_TIMEOUT, _POLL = 60.0, 0.002


@dataclass(frozen=True, slots=True)
class _Start:
    """A start.

    Attributes:
        seconds: wall-clock time.
        cpu_seconds: CPU time of the program until then; None if it was not read.
        mib: its resident memory; None if it was not read.
    """

    seconds: float
    cpu_seconds: float | None = None
    mib: float | None = None


def run(*, quick: bool, rounds: int) -> Table:
    """Measure all programs, round after round."""
    table = Table("start", ["until", "program", "s", "CPU, s", "MiB"])
    cases: list[tuple[str, str, Callable[[], _Start]]] = [
        ("it ends", name, partial(_until_it_ends, command)) for name, command in _COMMANDS.items()
    ]
    cases += [
        ("the first connection", PlainLocust.title, lambda: _until_connected(PlainLocust())),
        ("the first connection", Sseload.title, lambda: _until_connected(Sseload())),
        ("the first connection", "sseload, 2 processes", lambda: _until_connected(Sseload(2))),
        ("the first connection", "sseload, embedded target", _until_connected_to_embedded),
    ]
    if quick:
        cases = [each for each in cases if each[1] in ("sseload --help", Sseload.title)]
    found: dict[tuple[str, str], list[_Start]] = {}
    for number in range(rounds + 1):
        for until, name, measured in cases:
            start = measured()
            # The first round only has the files in the page cache, and compiled.
            if not number:
                continue
            found.setdefault((until, name), []).append(start)
            row = {
                "until": until,
                "program": name,
                "round": number,
                "seconds": start.seconds,
                "cpu_seconds": start.cpu_seconds,
                "mib": start.mib,
                "load_average": machine.load_average(),
            }
            table.raw.append(row)
            print_row(row)
    for (until, name), starts in found.items():
        table.rows.append(
            [
                until,
                name,
                _known([each.seconds for each in starts], 2),
                _known([each.cpu_seconds for each in starts], 2),
                _known([each.mib for each in starts], 0),
            ]
        )
    table.notes.append(
        f"From the command on, with compiled bytecode; {_LOAD.connections} connections. Of two "
        f"processes, CPU and memory are the leader's; {in_rounds(rounds)}."
    )
    return table


def _known(values: Sequence[float | None], digits: int) -> str:
    known = [each for each in values if each is not None]
    return spread(known, digits) if known else ""


@contextlib.contextmanager
def _running(command: Sequence[str], core: int | None) -> Iterator[tuple[Child, int]]:
    """Start a program; yield it, and when it was started (wall clock, ns)."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        began_ns = time.time_ns()
        with child(command, core, Path(folder)) as program:
            yield program, began_ns


def _since(began_ns: int) -> float:
    return (time.time_ns() - began_ns) / 1e9


def _until_it_ends(command: Sequence[str]) -> _Start:
    with _running(command, machine.GENERATOR_CORE) as (program, began_ns):
        usage = program.wait_for_usage(_TIMEOUT)
        seconds = _since(began_ns)
        return _Start(seconds, usage.ru_utime + usage.ru_stime)


def _until_connected(generator: PlainLocust | Sseload) -> _Start:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(nchan(core=machine.SERVER_CORE))
        publisher = stack.enter_context(publishing(server))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        command = generator.command(server, _LOAD, folder)
        core = machine.GENERATOR_CORE if generator.processes == 1 else None
        program, began_ns = stack.enter_context(_running(command, core))
        while not publisher.subscribers(CHANNEL):
            program.check_running()
            if _since(began_ns) > _TIMEOUT:
                raise BenchError(f"no connection within {_TIMEOUT:g} s")
            time.sleep(_POLL)
        return _Start(
            _since(began_ns),
            machine.cpu_seconds(program.pid),
            machine.resident_bytes(program.pid) / (1 << 20),
        )


def _until_connected_to_embedded() -> _Start:
    command = [
        *(*_SSELOAD, str(_LOAD.connections), "1", "0", "--history", "history"),
        "--embedded=--record record.jsonl",
    ]
    # The target has a core of its own, as where nothing is pinned.
    with _running(command, None) as (program, began_ns):
        program.wait(_TIMEOUT)
        opened = [
            each.opened_ns
            for each in read(program.folder / "record.jsonl").connections.values()
            if each.opened_ns is not None
        ]
        if not opened:
            raise BenchError("no connection reached the embedded target")
        return _Start((min(opened) - began_ns) / 1e9)
