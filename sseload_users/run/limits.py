"""The number of connections that fit into one process."""

from __future__ import annotations

import sys

from sseload_users.core.errors import ConfigError

#: Files that a process opens beside its connections: libraries, logs, the web UI.
_OTHER_FILES = 200


def make_room(connections: int, sockets: int = 1) -> None:
    """Raise this process's limit of open files, and check that the connections fit.

    Args:
        connections: their number.
        sockets: most sockets that one of them has open at once.

    Raises:
        ConfigError: they do not; one sentence.
    """
    needed = connections * sockets + _OTHER_FILES
    limit, fit = raise_file_limit(needed)
    if fit < needed:
        each = f", of up to {sockets} sockets each," if sockets > 1 else ""
        raise ConfigError(
            f"{connections} connections{each} do not fit: this process may open {limit} files; "
            "raise the limit (ulimit -n), use fewer connections (-u) or more workers (--processes)."
        )


def fitting(connections: int, sockets: int = 1) -> int:
    """Raise this process's limit of open files, and return how many of the connections fit.

    Args:
        connections: their number.
        sockets: most sockets that one of them has open at once.
    """
    files = raise_file_limit(connections * sockets + _OTHER_FILES)[1] - _OTHER_FILES
    return max(1, min(connections, files // sockets))


def raise_file_limit(needed: int) -> tuple[int, int]:
    """Raise the limit of open files towards what is needed.

    The hard limit is the end of what a process may give itself.

    Args:
        needed: connections, plus whatever else the process opens.

    Returns:
        The limit now, and how many of the needed files fit in it.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return sys.maxsize, needed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or soft < hard):
        wanted = max(soft, needed) if hard == resource.RLIM_INFINITY else hard
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):
            # macOS refuses more than the kernel's own limit, which it does not name here.
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize, needed
    return soft, min(needed, soft)
