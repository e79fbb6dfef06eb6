"""End the command by Ctrl-C with a sentence, and with its files removed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import gevent


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for Ctrl-C, here and nowhere else, until the block ends.

    In gevent's hub, where the signal arrives while the block waits for the server, it would be
    printed with a traceback.
    """
    waiting = gevent.getcurrent()
    watcher = gevent.signal_handler(signal.SIGINT, waiting.throw, KeyboardInterrupt)
    try:
        yield
    finally:
        watcher.cancel()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
