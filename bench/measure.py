"""One measurement: one program, one load, one fresh server."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench import machine
from bench.children import Child, child
from bench.generators import Generator
from bench.traffic import (
    SETTLE,
    Codes,
    Load,
    Posts,
    Seen,
    connect_patience,
    publishing,
    wait_for_subscribers,
)
from tests.servers.nchan import Nchan, nchan

#: Codes that go out before the first that is measured.
WARM_UP = 5
#: Seconds that a program has after its last code to settle its account and report.
_REPORT_PATIENCE = 90.0
#: Connections of the bench itself.
_OWN = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """What a program used while it received.

    Attributes:
        cpu_seconds: user and system time, all threads.
        seconds: by the wall clock.
        receipts: how many codes came on all connections together in that time.
        resident_bytes: memory at the end of it.
        lost: messages that it should have received in all and did not say it had.
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
        """Microseconds of CPU for each receipt."""
        return self.cpu_seconds / self.receipts * 1e6

    @property
    def cpu_percent(self) -> float:
        """The share of one core."""
        return self.cpu_seconds / self.seconds * 100


#: Runs beside a program.
Beside = Callable[[Nchan, Codes], contextlib.AbstractContextManager[object]]
#: Looks at a program after its end, while its folder is there.
Look = Callable[[Child, Codes], None]


def measure(
    generator: Generator,
    load: Load,
    *,
    beside: Beside | None = None,
    look: Look | None = None,
) -> Measured:
    """Run a program under a load, and say what it used between two codes.

    The CPU time is read half an interval after the last code of the warm-up and half an
    interval after the last code that is measured, so that connecting is no part of it, and a
    program that lags is read at the same lag both times. One more code follows, so that
    nobody goes home meanwhile.

    Args:
        generator: the program.
        load: its connections and codes; some more come before and after.
        beside: what runs from the moment that all are connected until the program has ended
            and was looked at.
        look: is called once the program has ended well, with it and all codes.

    Raises:
        BenchError: it could not be measured.
    """
    whole = replace(load, codes=WARM_UP + load.codes + 1)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(
            nchan(connections=load.connections + _OWN, core=machine.SERVER_CORE)
        )
        publisher = stack.enter_context(publishing(server))
        codes: Codes = Posts(publisher, load.interval)
        subscribers = load.connections
        if generator.broadcasts:
            seen = Seen(server, load, connect_patience(load.connections))
            stack.callback(seen.close)
            codes, subscribers = seen, subscribers + 1
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
        program.must_run()
        codes.advance(whole.codes)
        if generator.ends:
            program.wait(_REPORT_PATIENCE)
        else:
            time.sleep(1)  # for what is still in its queue
            program.stop()
        received = generator.received(program)
        if look is not None:
            look(program, codes)
    return Measured(
        cpu_seconds=used,
        seconds=seconds,
        receipts=load.connections * load.codes,
        resident_bytes=resident,
        lost=whole.connections * whole.codes - received,
        load_average=machine.load_average(),
    )
