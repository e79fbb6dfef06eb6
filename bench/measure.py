"""One measurement: one program under one load, with a new server."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import machine
from bench.children import Child, child
from bench.generators import Generator
from bench.traffic import (
    SETTLE,
    Codes,
    Load,
    ObservedCodes,
    PostedCodes,
    connect_timeout,
    publishing,
    wait_for_subscribers,
)
from tests.servers.nchan import Nchan, nchan

#: Codes before the first measured one.
WARM_UP = 5
#: Seconds that a program has after its last code to write its report.
_REPORT_TIMEOUT = 90.0
#: Connections of the benchmark itself.
_OWN = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """The resources that a program used while it received codes.

    Attributes:
        cpu_seconds: user and system time of all threads.
        seconds: wall-clock time.
        receipts: codes received in that time, on all connections together.
        resident_bytes: memory at its end.
        lost: messages of the whole run that the program did not report as received.
        load_average: of the machine, at the end.
    """

    cpu_seconds: float
    seconds: float
    receipts: int
    resident_bytes: int
    lost: int
    load_average: float

    @property
    def us_per_receipt(self) -> float:
        """Microseconds of CPU time per receipt."""
        return self.cpu_seconds / self.receipts * 1e6

    @property
    def cpu_percent(self) -> float:
        """CPU time in percent of one core."""
        return self.cpu_seconds / self.seconds * 100


#: Runs while a program is measured.
Beside = Callable[[Nchan, Codes], contextlib.AbstractContextManager[object]]
#: Inspects a program after its end, while its folder exists.
Inspect = Callable[[Child, Codes], None]


def measure(
    generator: Generator,
    load: Load,
    *,
    beside: Beside | None = None,
    inspect: Inspect | None = None,
) -> Measured:
    """Run a program under a load; return the resources that it used between two codes.

    CPU time is read half an interval after the last warm-up code and after the last measured
    code. This excludes connecting, and a program that lags is read at the same lag both times.
    One more code follows, so that no program exits before the second reading.

    Args:
        generator: the program.
        load: its connections and measured codes.
        beside: entered when all connections are open, and left after `inspect`.
        inspect: called after the program has ended, with it and all codes.

    Raises:
        BenchError: the measurement failed.
    """
    whole = replace(load, codes=WARM_UP + load.codes + 1)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(
            nchan(connections=load.connections + _OWN, core=machine.SERVER_CORE)
        )
        publisher = stack.enter_context(publishing(server))
        codes: Codes = PostedCodes(publisher, load.interval)
        subscribers = load.connections + generator.broadcasts
        if generator.broadcasts:
            codes = stack.enter_context(_observed(server, load))
        command = generator.command(server, whole, folder)
        core = machine.GENERATOR_CORE if generator.processes == 1 else None
        program = stack.enter_context(child(command, core, folder))
        wait_for_subscribers(publisher, program, subscribers)
        if beside is not None:
            stack.enter_context(beside(server, codes))
        if not generator.broadcasts:
            time.sleep(SETTLE)
        codes.advance(WARM_UP)
        used, started = machine.cpu_seconds(program.pid), time.monotonic()
        codes.advance(WARM_UP + load.codes)
        used, seconds = machine.cpu_seconds(program.pid) - used, time.monotonic() - started
        resident = machine.resident_bytes(program.pid)
        program.check_running()
        codes.advance(whole.codes)
        _end(generator, program)
        received = generator.received(program)
        if inspect is not None:
            inspect(program, codes)
    return Measured(
        cpu_seconds=used,
        seconds=seconds,
        receipts=load.connections * load.codes,
        resident_bytes=resident,
        lost=whole.connections * whole.codes - received,
        load_average=machine.load_average(),
    )


def _end(generator: Generator, program: Child) -> None:
    """Wait for the end of a program that exits by itself, and stop any other."""
    if generator.ends:
        program.wait(_REPORT_TIMEOUT)
    else:
        time.sleep(1)  # until it has read what is in its queue
        program.stop()


@contextlib.contextmanager
def _observed(server: Nchan, load: Load) -> Iterator[ObservedCodes]:
    codes = ObservedCodes(server, load, connect_timeout(load.connections))
    try:
        yield codes
    finally:
        codes.close()
