"""Finding a process of this machine by its PID, its name, or the port it listens on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import psutil

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, count


def find_process(selector: str) -> psutil.Process:
    """Return the selected process; of a server's several, their common ancestor.

    Args:
        selector: "1234", "nginx" or ":8000".

    Raises:
        ConfigError: no process matches, several do, or this user may not see it; one sentence.
    """
    option = f"--watch-process {clean(selector)}"
    if selector.isascii() and selector.isdigit():
        try:
            return psutil.Process(int(selector))
        except (psutil.Error, OverflowError) as error:
            raise ConfigError(f"{option}: there is no such process on this machine.") from error
    if selector.startswith(":"):
        port = selector[1:]
        if not port.isascii() or not port.isdigit():
            raise ConfigError(f"{option}: invalid port; write for example :8000.")
        return _single_root(option, _listening(option, int(port)), "listens on that port")
    return _single_root(option, list(_named(selector)), "has that name")


def _listening(option: str, port: int) -> list[psutil.Process]:
    try:
        sockets = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied as error:
        raise ConfigError(
            f"{option}: this user may not see which process listens; give the PID."
        ) from error
    listeners = [each for each in sockets if _listens(each, port)]
    if listeners and all(each.pid is None for each in listeners):
        raise ConfigError(
            f"{option}: its process belongs to another user or runs in a container; give its PID, "
            "or run as a user that may see it."
        )
    # Of the processes that share a socket, any may have been listed.
    pids = {each.pid for each in listeners if each.pid is not None}
    found = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            found.add(_furthest_listener(psutil.Process(pid), port))
    return list(found)


def _furthest_listener(process: psutil.Process, port: int) -> psutil.Process:
    """Return the process's furthest ancestor that listens on the port as well."""
    try:
        parent = process.parent()
        sockets = parent.net_connections(kind="tcp") if parent is not None else []
    except psutil.Error:
        return process
    if parent is not None and any(_listens(each, port) for each in sockets):
        return _furthest_listener(parent, port)
    return process


def _listens(socket: Any, port: int) -> bool:
    return bool(socket.status == psutil.CONN_LISTEN and socket.laddr and socket.laddr.port == port)


def _named(name: str) -> Iterator[psutil.Process]:
    own = {os.getpid(), *(each.pid for each in psutil.Process().parents())}
    for each in psutil.process_iter(["name", "cmdline"]):
        # A script goes by its own name, not by its interpreter's.
        words = [Path(word).name for word in (each.info["cmdline"] or [])[:2]]
        if each.pid not in own and name in (each.info["name"], *words):
            yield each


def _single_root(
    option: str, processes: Collection[psutil.Process], condition: str
) -> psutil.Process:
    """Return the one process that is not a descendant of another."""
    pids = {each.pid for each in processes}
    roots = [each for each in processes if not pids & {one.pid for one in _ancestors(each)}]
    if not roots:
        raise ConfigError(f"{option}: no process on this machine {condition}.")
    if len(roots) > 1:
        several = ", ".join(str(pid) for pid in sorted(each.pid for each in roots)[:5])
        raise ConfigError(
            f"{option}: {count(len(roots), 'process', 'processes')} match ({several}); give the "
            "PID of one."
        )
    return roots[0]


def _ancestors(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.parents()
    except psutil.Error:
        return []
