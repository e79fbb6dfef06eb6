"""The command `sseload`, which is `python -m sseload_users`: picks the command to run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import metadata

from sseload_users.core.garbage import kept

_USAGE = """\
usage: python -m sseload_users [connections] [codes] [duration] [options]
       python -m sseload_users check --host URL [options]
       python -m sseload_users compare REPORT REPORT

Broadcasts codes through a server's HTTP API or over a connection, and says whether every
connected client got every code, and how fast.

commands:
  (none)       run a test
  check        connect, send a few codes and print each step: run it first on a new server
  compare      compare two reports

arguments of a test:
  connections  clients to connect (default: 50)
  codes        codes to broadcast (default: 10)
  duration     seconds over which the codes are spread (default: 60); 0: back to back

common options:
  --host URL            the server; without it, an embedded one is tested
  --target NAME         its protocol and message format: a built-in profile, or a .toml file
  --delivery-report DIR write report.json, report.html and more there
  --ladder 50,100,200   test these numbers of connections one after the other
  --search connections  find the most connections, or codes a second (rate), that it holds
  --version             print the version

--help-all lists every option of sseload and of Locust. Exit status: 0 good or warning, 1 issues,
2 the test could not be carried out, 3 a ladder or search came to no answer.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name.

    Args:
        arguments: the command line without the program's name; None for `sys.argv`'s.

    Returns:
        The exit status, where Locust does not end the process itself.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in _COMMANDS:
        return _COMMANDS[words[0]](words[1:])
    # A value of "-h" is Locust's business only behind an option that takes one.
    if words and words[0] in ("-h", "--help"):
        print(_USAGE, end="")
        return 0
    if words and words[0] in ("-V", "--version"):
        print(_versions())
        return 0
    return _run(words)


def _run(words: Sequence[str]) -> int:
    from sseload_users.cli import run

    return run.main(words)


def _check(words: Sequence[str]) -> int:
    with kept():
        import locust.main  # noqa: F401 - it patches the standard library

        from sseload_users.cli import check

    return check.main(words)


def _compare(words: Sequence[str]) -> int:
    from sseload_users.cli import compare

    return compare.main(words)


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "run": _run,
    "check": _check,
    "compare": _compare,
}


def _versions() -> str:
    try:
        own = metadata.version("sseload")
    except metadata.PackageNotFoundError:
        own = "(a checkout)"
    python = sys.version.split()[0]
    return f"sseload {own}, Locust {metadata.version('locust')}, Python {python}"
