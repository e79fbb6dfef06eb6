"""Explains in a sentence why Locust's master cannot listen.

Locust opens the master's port before it calls any hook, and lets the error end the process with
a traceback.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from types import TracebackType

import psutil
from locust.exception import RPCError

_FAILURE = re.compile(r"Socket bind failure: (?P<why>.*) \(addr='tcp://(?P<address>.*)'\)")

_Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


def explain_failures(status: int) -> None:
    """Let a process whose master cannot listen end with a sentence, and its workers with it.

    Args:
        status: its exit status.
    """
    sys.excepthook = _make_hook(sys.excepthook, status)


def terminate_workers() -> None:
    """End the processes that this one has started: the workers of --processes."""
    for worker in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            worker.terminate()


def _make_hook(otherwise: _Hook, status: int) -> _Hook:
    def hook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        failure = _FAILURE.search(str(error)) if isinstance(error, RPCError) else None
        if failure is None:
            otherwise(kind, error, traceback)
            return
        print(
            f"sseload: The master cannot listen on {failure['address']} "
            f"({failure['why'].lower()}): end the other run there, or use another port "
            "(--master-bind-port, and --master-port for the workers).",
            file=sys.stderr,
        )
        # They would wait for this master, or join the other one.
        terminate_workers()
        sys.exit(status)

    return hook
