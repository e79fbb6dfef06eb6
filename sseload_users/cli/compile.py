"""The command `compile`: compile what reads the connections, for less CPU a message."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sseload_users.core.errors import ConfigError
from sseload_users.transports.compiling import compile_receiving


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: without the command's name.

    Returns:
        0, or 2 if it cannot be compiled here.
    """
    parser().parse_args(arguments)
    try:
        path = compile_receiving()
    except ConfigError as error:
        print(f"sseload: Not compiled, which only costs CPU: {error}", file=sys.stderr)
        return 2
    print(f"Compiled for Python {sys.version_info.major}.{sys.version_info.minor}: {path}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    return argparse.ArgumentParser(
        prog="sseload compile",
        description="Compile the part of sseload that reads the connections, for the Python that "
        "runs it. A message then takes about a tenth less CPU; nothing else changes. It needs "
        "Linux, a C compiler and Python's headers (Debian: gcc, python3-dev).",
        epilog="Exit status: 0, or 2 if it cannot be compiled here.",
        allow_abbrev=False,
    )
