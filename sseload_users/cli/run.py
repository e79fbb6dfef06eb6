"""``python -m sseload_users [connections] [codes] [duration]``: Locust, headless, in one word.

Everything else on the line is an option of Locust's or of sseload's, and passed on.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

_USAGE = """\
usage: python -m sseload_users [connections] [codes] [duration] [options]
       python -m sseload_users check --host URL [options]
       python -m sseload_users compare REPORT REPORT

Broadcasts codes over a server's HTTP API, and says whether every connected client got
every one of them, and how fast. `check` connects once, sends one code and tells every step:
the first thing to run against a new server. `compare` sets two reports side by side.

  connections  clients to connect (default: 50)
  codes        codes to broadcast (default: 10)
  duration     seconds over which the codes are spread (default: 60); 0: back to back

  --host URL            the server; without it, an embedded one is tested
  --target NAME         how it is spoken to: a built-in profile, or the path of a .toml
  --delivery-report DIR write report.json, report.html and more there
  --ladder 50,100,200   so many connections one after the other: where does it fall short?
  --search connections  the most connections, or codes a second (rate), that it holds

Every other option of sseload's and of Locust's works as well; --help-all lists them.

Ends with 0 if the verdict is good or a warning, with 1 if there are issues, with 2 if the
test could not be carried out, and with 3 if a ladder or a search came to no answer.
"""

#: Users that Locust begins each second, unless -r says otherwise: connections come as fast
#: as they are let in, --connect-concurrency at a time.
_SPAWN_RATE = 100


class UsageError(Exception):
    """The words on the line are none that can be; one sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a test as the arguments say; `sys.argv`'s by default.

    Returns:
        The exit status, where Locust does not end the process by itself.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["-h"], ["--help"]):
        print(_USAGE, end="")
        return 0
    if words[:1] == ["compare"]:
        from sseload_users.cli.compare import main as compare

        return compare(words[1:])
    if words[:1] == ["check"]:
        import locust.main  # noqa: F401 - it patches the standard library

        from sseload_users.cli.check import main as check

        return check(words[1:])
    try:
        line = locust_arguments(words)
    except UsageError as error:
        print(f"sseload: {error}", file=sys.stderr)
        return 2
    return _run_locust(line)


def locust_arguments(words: Sequence[str]) -> list[str]:
    """Locust's arguments for a line of this command.

    Args:
        words: up to three numbers, then options.

    Raises:
        UsageError: a number that cannot be, or one too many.
    """
    if "--help-all" in words:
        return ["-f", str(_locustfile()), "--help"]
    numbers: list[str] = []
    rest = list(words)
    while rest and not rest[0].startswith("-"):
        numbers.append(rest.pop(0))
    if len(numbers) > 3:
        raise UsageError(
            f"{numbers[3]!r} is one word too many: connections, codes and duration are all."
        )
    line = ["-f", str(_locustfile()), "--headless", "--only-summary"]
    names = ("connections", "codes", "duration")
    values = dict(zip(names, map(_number, names, numbers), strict=False))
    # A file of options says these things itself.
    said = _has(rest, None, "--config")
    # One user more than connections: the one that broadcasts.
    if "connections" in values or not (said or _has(rest, "-u", "--users")):
        line += ["-u", str(values.get("connections", 50) + 1)]
    for name in ("codes", "duration"):
        if name in values:
            line += [f"--{name}", str(values[name])]
    if not (said or _has(rest, "-r", "--spawn-rate")):
        line += ["-r", str(_SPAWN_RATE)]
    if not _has(rest, "-L", "--loglevel"):
        line += ["--loglevel", "WARNING"]
    return line + rest


def _number(name: str, word: str) -> int:
    # A duration of 0 sends the codes back to back.
    least = int(name != "duration")
    if not word.isascii() or not word.isdigit() or not least <= int(word) <= 10_000_000:
        raise UsageError(f"{name} is {word!r}: give a whole number, {least} or more.")
    return int(word)


def _has(words: Sequence[str], short: str | None, long: str) -> bool:
    return any(
        (short is not None and word.startswith(short) and not word.startswith("--"))
        or word == long
        or word.startswith(f"{long}=")
        for word in words
    )


def _locustfile() -> Path:
    package = Path(__file__).parents[1]
    # The wheel carries it inside the package, as it does config/.
    inside = package / "locustfile.py"
    return inside if inside.is_file() else package.parent / "locustfile.py"


def _run_locust(line: Sequence[str]) -> int:
    sys.argv = ["locust", *line, *_meeting_place(line)]
    from locust import events
    from locust.main import main as locust_main

    # The summary says it all; `locust` itself still prints its tables.
    if "--print-stats" not in line:
        events.init.add_listener(_hide_tables)
    locust_main()
    return 0


def _meeting_place(line: Sequence[str]) -> list[str]:
    """Where the processes of --processes meet.

    With Locust's own port, those of two runs on one machine would join the same one.
    """
    options = {word.partition("=")[0] for word in line}
    said = {"--worker", "--master-port", "--master-bind-port", "--master-bind-host"}
    if "--processes" not in options or options & said:
        return []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]


def _hide_tables(**_: object) -> None:
    # By now Locust has set up its loggers.
    logging.getLogger("locust.stats_logger").disabled = True
