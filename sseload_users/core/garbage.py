"""Python's cyclic garbage collector, where what is created is here to stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept() -> Iterator[None]:
    """Exempt what is created meanwhile from garbage collection, and all that exists by then.

    For imports: the collector would go through a few hundred thousand objects of modules again
    and again, and find nothing. That takes a fifth of a short run's CPU time, and later makes
    stalls of the hub.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


class Growth:
    """A time in which the process grows; a context manager that may be entered several times.

    While thousands of connections are made, nearly all that is created is here to stay, and going
    through it again and again takes a fifth of the CPU time. Meanwhile the collector waits for
    more. When nothing grows any more, it goes on as before.
    """

    __slots__ = ("_depth", "_usual")

    #: Objects that the collector waits for: some tens of megabytes, if all were garbage.
    THRESHOLD = 200_000

    def __init__(self) -> None:
        self._depth = 0
        self._usual = gc.get_threshold()

    def __enter__(self) -> None:
        if not self._depth:
            self._usual = gc.get_threshold()
            gc.set_threshold(self.THRESHOLD, *self._usual[1:])
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            gc.set_threshold(*self._usual)
