"""The end of a run when memory is exhausted."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

import gevent
from locust.env import Environment

#: Reserved at the start, and freed for what is left to do: closing connections and reporting.
_RESERVE_BYTES = 16 << 20
#: Seconds within which that must be done.
_LAST_S = 20.0
#: The reason that the run is aborted for.
USED_UP = "This machine's memory is used up: add memory, or use fewer connections (-u)."


def watch(environment: Environment, give_up: Callable[[str], None], status: int) -> None:
    """Abort the run once on MemoryError, wherever it is raised.

    Args:
        environment: Locust's.
        give_up: aborts the run; gets the reason.
        status: exit status if even that fails.
    """
    hub: Any = gevent.get_hub()
    reserve = [bytearray(_RESERVE_BYTES)]
    # Without a reference, so that the timer does not keep the process alive.
    last = hub.loop.timer(_LAST_S, ref=False)
    print_error = hub.handle_error

    def end_at_once() -> None:
        os.write(2, f"sseload: {USED_UP}\n".encode())
        os._exit(status)

    def used_up() -> None:
        if reserve:
            reserve.clear()
            last.start(end_at_once)
            give_up(USED_UP)

    def handle_error(
        context: object,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, MemoryError):
            used_up()
        else:
            print_error(context, kind, value, traceback)

    def on_user_error(exception: BaseException, **_: object) -> None:
        if isinstance(exception, MemoryError):
            used_up()

    hub.handle_error = handle_error
    environment.events.user_error.add_listener(on_user_error)
