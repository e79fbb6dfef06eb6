"""Which process of this machine is meant: by its number, its name, or the port it listens on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import psutil

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, count


def find(words: str) -> psutil.Process:
    """The process that is meant; of a server's many, the one that the others come from.

    Args:
        words: "1234", "nginx" or ":8000".

    Raises:
        ConfigError: there is none, there are several, or it cannot be seen; one sentence.
    """
    said = f"--watch-process {clean(words)}"
    if words.isascii() and words.isdigit():
        try:
            return psutil.Process(int(words))
        except (psutil.Error, OverflowError) as error:
            raise ConfigError(f"{said}: there is no such process on this machine.") from error
    if words.startswith(":"):
        port = words[1:]
        if not port.isascii() or not port.isdigit():
            raise ConfigError(f"{said}: that is no port; write such as :8000.")
        return _only(said, _listening(said, int(port)), "listens on that port")
    return _only(said, list(_named(words)), "has that name")


def _listening(said: str, port: int) -> list[psutil.Process]:
    try:
        sockets = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied as error:
        raise ConfigError(f"{said}: this user may not see who listens; give the PID.") from error
    there = [each for each in sockets if _listens(each, port)]
    if there and all(each.pid is None for each in there):
        raise ConfigError(
            f"{said}: its process is another user's, or in a container; give its PID, or run as "
            "a user that may see it."
        )
    # Of a socket that is shared, any of its processes may have been named.
    pids = {each.pid for each in there if each.pid is not None}
    found = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            found.add(_first_listener(psutil.Process(pid), port))
    return list(found)


def _first_listener(process: psutil.Process, port: int) -> psutil.Process:
    """The process' furthest ancestor that listens there as well."""
    try:
        parent = process.parent()
        sockets = parent.net_connections(kind="tcp") if parent is not None else []
    except psutil.Error:
        return process
    if parent is not None and any(_listens(each, port) for each in sockets):
        return _first_listener(parent, port)
    return process


def _listens(socket: Any, port: int) -> bool:
    return bool(socket.status == psutil.CONN_LISTEN and socket.laddr and socket.laddr.port == port)


def _named(name: str) -> Iterator[psutil.Process]:
    own = {os.getpid(), *(each.pid for each in psutil.Process().parents())}
    for each in psutil.process_iter(["name", "cmdline"]):
        # A script is known by its own name, and not by its interpreter's.
        words = [Path(word).name for word in (each.info["cmdline"] or [])[:2]]
        if each.pid not in own and name in (each.info["name"], *words):
            yield each


def _only(said: str, processes: Collection[psutil.Process], how: str) -> psutil.Process:
    pids = {each.pid for each in processes}
    roots = [each for each in processes if not pids & {one.pid for one in _parents(each)}]
    if not roots:
        raise ConfigError(f"{said}: no process on this machine {how}.")
    if len(roots) > 1:
        several = ", ".join(str(pid) for pid in sorted(each.pid for each in roots)[:5])
        raise ConfigError(
            f"{said}: {count(len(roots), 'process', 'processes')} are meant ({several}); give "
            "the PID of one."
        )
    return roots[0]


def _parents(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.parents()
    except psutil.Error:
        return []
