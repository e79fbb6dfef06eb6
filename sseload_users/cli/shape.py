"""The commands `ladder`, `capacity` and `shape NAME`: tests with a shipped set of options."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sseload_users.cli import run
from sseload_users.run.kept_configs import descriptions


def ladder(words: Sequence[str]) -> int:
    """Run `sseload ladder [50,100,200] [options]`; see `run.main`."""
    if _asks_for_help(words):
        print(
            "usage: sseload ladder [50,100,…] [options]\n\n"
            f"{descriptions()['ladder']}. Other steps stand behind the command; --codes and "
            "--duration\nare those of each step."
        )
        return 0
    steps: list[str] = []
    if words and words[0][:1].isdigit():
        steps, words = ["--ladder", words[0]], words[1:]
    return run.main(["--config", "ladder", *steps, *words])


def capacity(words: Sequence[str]) -> int:
    """Run `sseload capacity [options]`; see `run.main`."""
    if _asks_for_help(words):
        print(
            f"usage: sseload capacity [options]\n\n{descriptions()['capacity']}.\n"
            "`sseload help search` and `sseload help objective` explain what can be set."
        )
        return 0
    return run.main(["--config", "capacity", *words])


def shape(words: Sequence[str]) -> int:
    """Run `sseload shape NAME [connections] [codes] [duration] [options]`; see `run.main`.

    Without a name, print what there is.
    """
    if not words or _asks_for_help(words):
        print("usage: sseload shape NAME [connections] [codes] [duration] [options]\n\nshapes:")
        known = descriptions()
        width = max(map(len, known))
        for name, text in known.items():
            print(f"  {name:<{width}}  {text}")
        return 0
    if words[0].startswith("-"):
        print(
            "sseload: The name of a shape must come first: sseload shape lists them.",
            file=sys.stderr,
        )
        return 2
    return run.main(["--config", words[0], *words[1:]])


def _asks_for_help(words: Sequence[str]) -> bool:
    return words[:1] in (["-h"], ["--help"])
