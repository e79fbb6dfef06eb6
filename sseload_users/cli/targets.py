"""The command `targets`: the built-in profiles, and the text of one to copy."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from difflib import get_close_matches

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten
from sseload_users.targets.profile import built_in_text, describe, load, names

#: Columns of a terminal beyond which a line is hard to read.
_WIDEST = 100
#: Width of the output into a file or another program, where nothing is wrapped.
_UNLIMITED = 10_000


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: without the command's name.

    Returns:
        0, or 2 if there is no such profile.
    """
    asked = parser().parse_args(arguments)
    if asked.show is None:
        _print_list()
        return 0
    try:
        print(_text(asked.show, asked.name), end="")
    except ConfigError as error:
        print(f"sseload: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = argparse.ArgumentParser(
        prog="sseload targets",
        description="List the built-in target profiles: their transports, and what they speak to. "
        "With `show NAME`, print one, to copy and change: sseload targets show websocket > "
        "mine.toml, then sseload --target mine.toml.",
        epilog="Exit status: 0, or 2 if there is no such profile.",
        allow_abbrev=False,
    )
    made.add_argument("show", nargs="?", metavar="show", help="print a profile")
    made.add_argument("name", nargs="?", metavar="NAME", help="which one")
    return made


def _text(action: str, name: str | None) -> str:
    """Return the text of a profile.

    Raises:
        ConfigError: the arguments ask for none.
    """
    if action != "show":
        meant = (
            f"sseload targets show {action}" if action in names() else "sseload targets show NAME"
        )
        raise ConfigError(f"Invalid arguments: did you mean {meant}?")
    if name is None:
        raise ConfigError("Missing NAME of a profile: sseload targets lists them.")
    if name not in names():
        close = get_close_matches(name, names(), n=1)
        meant = f"did you mean {close[0]}?" if close else "sseload targets lists them."
        raise ConfigError(f"Unknown built-in profile {shorten(clean(name), 40)!r}: {meant}")
    return built_in_text(name)


def _print_list() -> None:
    rows = [(name, load(name).transport, describe(built_in_text(name))) for name in names()]
    widths = [max(len(row[column]) for row in rows) + 2 for column in (0, 1)]
    width = shutil.get_terminal_size((_UNLIMITED, 24)).columns
    if width < _UNLIMITED:
        width = min(width, _WIDEST)
    for name, transport, text in rows:
        begin = f"{name:<{widths[0]}}{transport:<{widths[1]}}"
        indent = " " * len(begin)
        # At least some words go beside the columns, however narrow the terminal is.
        lines = textwrap.wrap(text, max(width - len(begin), 30), break_long_words=False)
        print(begin + f"\n{indent}".join(lines))
