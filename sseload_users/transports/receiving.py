"""One read of each connection that is ready, with the time at which its bytes arrived.

There are two ways to the same rows: in Python, and compiled from ``_receiving.c`` by the command
``sseload compile``. Compiled, a receipt costs the process about a tenth less.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.machinery
import importlib.util
import os
import sysconfig
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from sseload_users.transports.reading import (
    ANCILLARY_BYTES,
    READ_BYTES,
    Readable,
    unpack_timespec,
)

#: The compiled way's source, and the name of its module.
SOURCE = Path(__file__).with_name("_receiving.c")
MODULE = "_receiving"
#: The environment variable that has everything done in Python, if it is not empty.
PURE_PYTHON = "SSELOAD_PURE_PYTHON"

#: A read of a connection: its file descriptor; the events as given; the bytes, of which there are
#: none at the end of the stream; when the newest of them arrived (the kernel's clock, ns); and how
#: much later they were read (ns), None if the kernel did not stamp them, so that they arrived when
#: they were read. A read that failed has None for the bytes, and the error's number for the
#: arrival; 0 if there was nothing to read.
Row: TypeAlias = tuple[int, int, bytes | None, int, int | None]

#: Reads each connection of a list once.
#:
#: Args: file descriptors and events, as an epoll set returns them; and the connections by file
#: descriptor. One that is no longer there may be left out.
ReceiveEach: TypeAlias = Callable[[list[tuple[int, int]], Mapping[int, Readable]], Iterable[Row]]


def receive_in_python(
    ready: list[tuple[int, int]], connections: Mapping[int, Readable]
) -> Iterable[Row]:
    """Read each connection just before its row is taken; see `ReceiveEach`."""
    now = time.time_ns
    for fd, events in ready:
        try:
            data, ancillary, _, _ = connections[fd].sock.recvmsg(READ_BYTES, ANCILLARY_BYTES)
        except KeyError:
            continue
        except BlockingIOError:
            yield fd, events, None, 0, None
            continue
        except OSError as error:
            yield fd, events, None, error.errno or errno.EIO, None
            continue
        read_ns = now()
        if ancillary:
            seconds, nanoseconds = unpack_timespec(ancillary[0][2])
            arrived_ns = seconds * 1_000_000_000 + nanoseconds
            yield fd, events, data, arrived_ns, read_ns - arrived_ns
        else:
            yield fd, events, data, read_ns, None


def load_compiled(path: Path) -> ReceiveEach | None:
    """Load the compiled way, which reads all connections before the first row is taken.

    Args:
        path: the file of the module.

    Returns:
        None if it does not fit: it is not there, is another Python's, or was compiled from
        another source.
    """
    loader = importlib.machinery.ExtensionFileLoader(MODULE, str(path))
    spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
    try:
        assert spec is not None  # noqa: S101
        compiled: Any = importlib.util.module_from_spec(spec)
        loader.exec_module(compiled)
        source = source_hash()
    except (ImportError, OSError):
        return None
    if source != compiled.SOURCE or compiled.READ_BYTES != READ_BYTES:
        return None
    read: Callable[[list[tuple[int, int]]], list[Row]] = compiled.receive_each

    def receive_each(
        ready: list[tuple[int, int]], connections: Mapping[int, Readable]
    ) -> Iterable[Row]:
        del connections
        return read(ready)

    return receive_each


def receive_best() -> ReceiveEach:
    """Return the cheapest way that there is."""
    if os.environ.get(PURE_PYTHON):
        return receive_in_python
    return load_compiled(module_path(SOURCE.parent)) or receive_in_python


def module_path(folder: Path) -> Path:
    """Return the path of the compiled way's module in a folder, for the Python that runs this."""
    return folder / f"{SOURCE.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"


def source_hash() -> str:
    """Return what tells one version of the compiled way's source from another."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
