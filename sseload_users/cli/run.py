"""The command `sseload run`, also without its name: a headless test; and `sseload ui`.

Everything else on the command line is an option of Locust's or of sseload's, and passed on.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from argparse import Action
from collections.abc import Mapping, Sequence
from pathlib import Path

from sseload_users.cli.config_option import with_paths
from sseload_users.core.errors import ConfigError
from sseload_users.core.garbage import kept
from sseload_users.report.history import DEFAULT_FOLDER

#: Users that Locust starts each second unless -r is given: connections start as fast as
#: --connect-concurrency admits them.
_SPAWN_RATE = 100
_NAMES = ("connections", "codes", "duration")


def main(words: Sequence[str]) -> int:
    """Run a test.

    Args:
        words: the arguments.

    Returns:
        The exit status, where Locust does not end the process itself.
    """
    with kept():
        # Locust patches the standard library as it is imported; the plugin adds sseload's options.
        import locust.main  # noqa: F401
        from locust.argument_parser import get_parser

        import sseload_users.plugin  # noqa: F401

    parser = get_parser()
    if "--help-all" in words:
        parser.print_help()
        return 0
    try:
        line = locust_arguments(
            with_paths(words),
            parser._option_string_actions,  # noqa: SLF001
        )
    except ConfigError as error:
        print(f"sseload: {error}", file=sys.stderr)
        return 2
    return _run_locust(line)


def ui(words: Sequence[str]) -> int:
    """Open Locust's web UI, in which tests are set up and started.

    Args:
        words: options, whose values are the form's initial ones.

    Returns:
        The exit status, where Locust does not end the process itself.
    """
    if words and words[0] in ("-h", "--help"):
        print(
            "usage: sseload ui [options]\n\nOpens Locust's web UI at http://localhost:8089; "
            "--web-port N takes another port.\nThe values of options appear in its form."
        )
        return 0
    try:
        line = with_paths(words)
    except ConfigError as error:
        print(f"sseload: {error}", file=sys.stderr)
        return 2
    # The sets of options are headless, as a test started from a command line is.
    return _run_locust(["-f", str(_locustfile()), *_history(line), *line, "--headful"])


def locust_arguments(words: Sequence[str], options: Mapping[str, Action]) -> list[str]:
    """Return Locust's arguments for a command line.

    Args:
        words: up to three numbers, before, between or after options.
        options: what each option string stands for.

    Raises:
        ConfigError: a number is invalid, or there is one too many; or options exclude each other.
    """
    numbers, rest = _split(words, options)
    if len(numbers) > len(_NAMES):
        raise ConfigError(
            f"Unexpected argument {numbers[3]!r}: a test takes connections, codes and duration."
        )
    if _has(rest, None, "--otel") and _has(rest, None, "--processes"):
        raise ConfigError(
            "--otel does not go with --processes: their figures could not be told apart; start a "
            "master and workers, each with --otel and an OTEL_RESOURCE_ATTRIBUTES of its own."
        )
    line = ["-f", str(_locustfile()), "--headless", "--only-summary"]
    values = dict(zip(_NAMES, map(_number, _NAMES, numbers), strict=False))
    # A configuration file sets these itself.
    configured = _has(rest, None, "--config")
    # One user more than connections: the broadcaster.
    if "connections" in values or not (configured or _has(rest, "-u", "--users")):
        line += ["-u", str(values.get("connections", 50) + 1)]
    for name in ("codes", "duration"):
        if name in values:
            line += [f"--{name}", str(values[name])]
    line += _history(rest)
    if not (configured or _has(rest, "-r", "--spawn-rate")):
        line += ["-r", str(_SPAWN_RATE)]
    if not _has(rest, "-L", "--loglevel"):
        line += ["--loglevel", "WARNING"]
    return line + rest


def _split(words: Sequence[str], options: Mapping[str, Action]) -> tuple[list[str], list[str]]:
    """Split a command line into its numbers and the rest, which keeps its order."""
    numbers: list[str] = []
    rest: list[str] = []
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        if not word.startswith("-") or re.fullmatch(r"-\d+", word):
            numbers.append(word)
            continue
        rest.append(word)
        action = options.get(word)
        if action is None or not remaining:
            continue
        if action.nargs is None:
            rest.append(remaining.pop(0))
        elif action.nargs in ("*", "+"):
            while remaining and not remaining[0].startswith("-"):
                rest.append(remaining.pop(0))
    return numbers, rest


def _number(name: str, word: str) -> int:
    # A duration of 0 sends the codes back to back.
    lowest = int(name != "duration")
    if not word.isascii() or not word.isdigit() or not lowest <= int(word) <= 10_000_000:
        raise ConfigError(f"Invalid {name} {word!r}: use a whole number, {lowest} or more.")
    return int(word)


def _has(words: Sequence[str], short: str | None, long: str) -> bool:
    return any(
        (short is not None and word.startswith(short) and not word.startswith("--"))
        or word == long
        or word.startswith(f"{long}=")
        for word in words
    )


def _history(words: Sequence[str]) -> list[str]:
    """Return the option to keep runs, unless the user says where, or that none are kept."""
    given = _has(words, None, "--history") or "SSELOAD_HISTORY" in os.environ
    return [] if given else ["--history", DEFAULT_FOLDER]


def _locustfile() -> Path:
    package = Path(__file__).parents[1]
    # The wheel contains it inside the package, like config/.
    inside = package / "locustfile.py"
    return inside if inside.is_file() else package.parent / "locustfile.py"


def _run_locust(line: Sequence[str]) -> int:
    sys.argv = ["locust", *line, *_local_master_port(line)]
    from locust import events
    from locust.main import main as locust_main

    # The summary replaces Locust's tables; the command `locust` still prints them.
    if "--print-stats" not in line:
        events.init.add_listener(_hide_tables)
    locust_main()
    return 0


def _local_master_port(line: Sequence[str]) -> list[str]:
    """Return a port of its own for the processes of --processes.

    With Locust's default port, the workers of two runs on one machine would join one master.
    """
    options = {word.partition("=")[0] for word in line}
    fixed = {"--worker", "--master-port", "--master-bind-port", "--master-bind-host"}
    if "--processes" not in options or options & fixed:
        return []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]


def _hide_tables(**_: object) -> None:
    # Locust has set up its loggers by now.
    logging.getLogger("locust.stats_logger").disabled = True
