"""What to do when memory cannot be had any more: end the run, in order if that can still be."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

import gevent
from locust.env import Environment

#: Kept from the beginning, and set free for what is left to do: closing, and the report.
_RESERVE_BYTES = 16 << 20
#: Seconds that this may take.
_LAST_S = 20.0
#: What the run is called that ran out of memory.
USED_UP = "This machine's memory is used up: give it more, or use fewer connections (-u)."


def watch(environment: Environment, give_up: Callable[[str], None], status: int) -> None:
    """Have the run given up, once, when memory cannot be had, wherever that shows.

    Args:
        environment: Locust's.
        give_up: ends the run; told why.
        status: that the process ends with, should even that fail.
    """
    hub: Any = gevent.get_hub()
    reserve = [bytearray(_RESERVE_BYTES)]
    # Without a reference: it keeps nobody waiting who is done sooner.
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
