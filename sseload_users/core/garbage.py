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
