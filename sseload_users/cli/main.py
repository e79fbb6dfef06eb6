"""The command `sseload`, which is also `python -m sseload_users`: picks the command to run.

The modules of the commands are imported as they are needed: most of them import Locust.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sseload_users.core.garbage import kept
from sseload_users.core.version import VERSION

_HEAD = """\
usage: sseload [run] [connections] [codes] [duration] [options]
       sseload COMMAND [arguments]

Broadcasts codes through a server's HTTP API or over a connection, and says whether every
connected client got every code, and how fast.

commands:
"""
_TAIL = """\

arguments of a test:
  connections  clients to connect (default: 50)
  codes        codes to broadcast (default: 10)
  duration     seconds over which the codes are spread (default: 60); 0: back to back

common options:
  --host URL            the server; without it, an embedded one is tested
  --target NAME         its protocol and message format: a built-in profile, or a .toml file
  --delivery-report DIR write report.json, report.html and more there
  --config NAME         a set of options: a file, or one of those that `sseload shape` lists
  --version             print the version

`sseload help WORD` explains a command or option, --help-all lists every option of sseload and of
Locust.

exit status: 0 good or warning, 1 issues, 2 the test could not be carried out or judged, 3 a ladder
or search came to no answer, 4 only --objective is missed, 5 clearly worse than --baseline.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        usage: what may follow its name, in short.
        summary: what it does, in one clause.
        main: runs it with the arguments behind its name; returns the exit status.
    """

    usage: str
    summary: str
    main: Callable[[Sequence[str]], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name.

    Args:
        arguments: the command line without the program's name; None for `sys.argv`'s.

    Returns:
        The exit status, where Locust does not end the process itself.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]].main(words[1:])
    # A value of "-h" is Locust's business only behind an option that takes one.
    if words and words[0] in ("-h", "--help"):
        return _usage()
    if words and words[0] in ("-V", "--version"):
        print(_versions())
        return 0
    return _run(words)


def _run(words: Sequence[str]) -> int:
    from sseload_users.cli import run

    if words and words[0] in ("-h", "--help"):
        return _usage()
    return run.main(words)


def _check(words: Sequence[str]) -> int:
    with kept():
        import locust.main  # noqa: F401 - it patches the standard library

        from sseload_users.cli import check

    return check.main(words)


def _init(words: Sequence[str]) -> int:
    with kept():
        import locust.main  # noqa: F401 - it patches the standard library

        from sseload_users.cli.init import command

    return command.main(words)


def _ladder(words: Sequence[str]) -> int:
    from sseload_users.cli import shape

    return shape.ladder(words)


def _capacity(words: Sequence[str]) -> int:
    from sseload_users.cli import shape

    return shape.capacity(words)


def _shape(words: Sequence[str]) -> int:
    from sseload_users.cli import shape

    return shape.shape(words)


def _compare(words: Sequence[str]) -> int:
    from sseload_users.cli import compare

    return compare.main(words)


def _history(words: Sequence[str]) -> int:
    from sseload_users.cli import history

    return history.history(words)


def _trend(words: Sequence[str]) -> int:
    from sseload_users.cli import history

    return history.trend(words)


def _targets(words: Sequence[str]) -> int:
    from sseload_users.cli import targets

    return targets.main(words)


def _docs(words: Sequence[str]) -> int:
    from sseload_users.cli import docs

    return docs.main(words)


def _compile(words: Sequence[str]) -> int:
    from sseload_users.cli import compile as compile_command

    return compile_command.main(words)


def _ui(words: Sequence[str]) -> int:
    from sseload_users.cli import run

    return run.ui(words)


def _demo(words: Sequence[str]) -> int:
    from sseload_users.demo.__main__ import main as demo

    return demo(words)


def _help(words: Sequence[str]) -> int:
    if not words:
        return _usage()
    from sseload_users.cli import help as help_command

    return help_command.main(words, {name: each.main for name, each in COMMANDS.items()})


def _completion(words: Sequence[str]) -> int:
    from sseload_users.cli import completion

    return completion.main(words, {name: each.summary for name, each in COMMANDS.items()})


COMMANDS = {
    "run": Command("", "run a test; the word itself may be left out", _run),
    "check": Command(
        "--host URL", "connect, send a few codes and print each step: for a new server", _check
    ),
    "init": Command("--send CURL", "write a profile for a new server by watching it", _init),
    "targets": Command("[show NAME]", "list the built-in profiles, or print one to copy", _targets),
    "ladder": Command("[50,100,…]", "test several numbers of connections in turn", _ladder),
    "capacity": Command("", "search for the most connections that the server holds", _capacity),
    "shape": Command("NAME", "test with a shipped set of options; without NAME, list them", _shape),
    "compare": Command("A B", "compare two reports, or two runs that were kept", _compare),
    "history": Command("", "list the runs that were kept", _history),
    "trend": Command("--name NAME", "say where the figures of runs of one name changed", _trend),
    "ui": Command("", "open Locust's web UI", _ui),
    "demo": Command("[--port N]", "run the embedded target on its own", _demo),
    "compile": Command("", "compile the reading of messages, for less CPU", _compile),
    "help": Command("WORD", "explain a command or an option", _help),
    "docs": Command("PAGE", "print a page of the documentation; without PAGE, list them", _docs),
    "completion": Command(
        "SHELL", "print the completion script for bash, zsh or fish", _completion
    ),
}


def _usage() -> int:
    shown = {f"{name} {each.usage}".rstrip(): each.summary for name, each in COMMANDS.items()}
    width = max(map(len, shown))
    lines = (f"  {name:<{width}}  {summary}\n" for name, summary in shown.items())
    print(_HEAD, *lines, _TAIL, sep="", end="")
    return 0


def _versions() -> str:
    from importlib import metadata

    python = sys.version.split()[0]
    return f"sseload {VERSION}, Locust {metadata.version('locust')}, Python {python}"
