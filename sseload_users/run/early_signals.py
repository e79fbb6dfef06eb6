"""Signals before a run begins: while a master waits for workers, or a worker for its master.

Locust would end with a traceback on SIGINT. SIGTERM has no handler then, so that the first process
of a container would ignore it, and a master's workers would stay.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

import gevent
from locust.env import Environment

_Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


@functools.cache
def handle_early_signals(status: int) -> None:
    """Let SIGINT and SIGTERM end the process in order, until Locust handles them itself.

    Only the first call has an effect: after it, the handler may be Locust's.

    Args:
        status: its exit status.
    """
    # Another thread may not, and a program that handles the signal keeps its handler.
    with contextlib.suppress(ValueError):
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(status))
    sys.excepthook = _make_hook(sys.excepthook, status)


def handle_signals_while_waiting(environment: Environment, status: int) -> None:
    """Let both end a headless master that waits for workers, and those that it has.

    Args:
        environment: Locust's, of a master.
        status: its exit status.
    """
    main = gevent.getcurrent()

    def end() -> None:
        if is_waiting(environment):
            _say_why()
            cast("Any", environment.runner).quit()
            gevent.kill(main, SystemExit(status))

    gevent.signal_handler(signal.SIGTERM, end)


def is_waiting(environment: Environment) -> bool:
    """Whether this is a headless master whose workers have not all connected."""
    parsed, runner = environment.parsed_options, cast("Any", environment.runner)
    return bool(
        parsed is not None
        and parsed.master
        and parsed.headless
        and runner.state == "ready"
        and len(runner.clients.ready) < parsed.expect_workers
    )


def _make_hook(otherwise: _Hook, status: int) -> _Hook:
    def hook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            otherwise(kind, error, traceback)
            return
        _say_why()
        sys.exit(status)

    return hook


def _say_why() -> None:
    print("sseload: Interrupted before the run began.", file=sys.stderr)
