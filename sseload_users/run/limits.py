"""How many connections fit into one process."""

from __future__ import annotations

from sseload_users.core.errors import ConfigError
from sseload_users.transports.network import raise_file_limit

#: Files that a process opens beside its connections: libraries, logs, the web UI.
_OTHER_FILES = 200


def make_room(connections: int) -> None:
    """Raise this process's limit of open files, and see that the connections fit.

    Raises:
        ConfigError: they do not; one sentence.
    """
    limit, fit = raise_file_limit(connections + _OTHER_FILES)
    if fit < connections + _OTHER_FILES:
        raise ConfigError(
            f"{connections} connections do not fit: this process may open {limit} files; raise "
            "the limit (ulimit -n), use fewer connections (-u) or more workers (--processes)."
        )


def fitting(connections: int) -> int:
    """Raise this process's limit of open files, and say how many of the connections fit."""
    return max(1, min(connections, raise_file_limit(connections + _OTHER_FILES)[1] - _OTHER_FILES))
