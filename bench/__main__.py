"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable

from bench import (
    batches,
    channels,
    closing,
    compression,
    connect,
    growth,
    hold,
    machine,
    memory,
    payload,
    protocols,
    receipt,
    scaling,
    soak,
    start,
    storm,
    truth,
)
from bench.children import BenchError
from bench.tables import Table, document, keep
from sseload_users.run.limits import raise_file_limit
from tests.servers.nchan import missing

#: The parts, in the order in which they run.
PARTS: dict[str, Callable[..., Table]] = {
    "receipt": receipt.run,
    "connect": connect.run,
    "storm": storm.run,
    "compression": compression.run,
    "batches": batches.run,
    "payload": payload.run,
    "memory": memory.run,
    "truth": truth.run,
    "hold": hold.run,
    "growth": growth.run,
    "channels": channels.run,
    "protocols": protocols.run,
    "scaling": scaling.run,
    "closing": closing.run,
    "soak": soak.run,
    "start": start.run,
}
#: The most files that one process opens, in the largest part.
_FILES = 17_000


def main() -> int:
    """Run the selected parts; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="small loads, to check that the parts run"
    )
    parser.add_argument("--rounds", type=int, default=None, help="repetitions (default: 3)")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="write the tables to docs/performance.md and docs/scaling.md",
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    if (reason := missing()) is not None:
        print(f"bench: cannot start the server: {reason}.", file=sys.stderr)
        return 2
    # SIGTERM raises SystemExit, so that children are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_file_limit(_FILES)
    os.sched_setaffinity(0, {machine.SERVER_CORE})
    tables = []
    described = machine.describe()
    rounds = options.rounds or (1 if options.quick else 3)
    for name, run in PARTS.items():
        if options.parts and name not in options.parts:
            continue
        try:
            table = run(quick=options.quick, rounds=rounds)
        except BenchError as error:
            notes = getattr(error, "__notes__", [])
            print(f"bench: {name}: {error}.", *notes, sep="\n", file=sys.stderr)
            return 1
        tables.append(table)
        print(f"## {name}\n\n{table.markdown()}\n", flush=True)
    print(f"Results are in {keep(tables, described)}", file=sys.stderr)
    if options.write_docs:
        document(tables, described)
    return 0


if __name__ == "__main__":
    sys.exit(main())
