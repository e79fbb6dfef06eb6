"""The command `completion`: a script by which a shell completes sseload's command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

import shtab

from sseload_users.core.garbage import kept

_SHELLS = ("bash", "zsh", "fish")
_USAGE = """\
usage: sseload completion bash|zsh|fish

Prints a script that completes sseload's commands and options. To use it in every new shell:
  bash  sseload completion bash > ~/.local/share/bash-completion/completions/sseload
  zsh   sseload completion zsh > "${fpath[1]}/_sseload"
  fish  sseload completion fish > ~/.config/fish/completions/sseload.fish
"""


def main(words: Sequence[str], commands: Mapping[str, str]) -> int:
    """Print the script for a shell.

    Args:
        words: the shell's name.
        commands: what each command does, in one clause, by its name.

    Returns:
        0, or 2 for an unknown shell.
    """
    if words and words[0] in ("-h", "--help"):
        print(_USAGE, end="")
        return 0
    if len(words) != 1 or words[0] not in _SHELLS:
        print(f"sseload: Name one shell: {', '.join(_SHELLS)}.", file=sys.stderr)
        return 2
    print(shtab.complete(_parser(commands), shell=words[0]))
    return 0


def _parser(commands: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return a parser that is only described, never used: of all commands and their options."""
    with kept():
        import locust.main  # noqa: F401 - it patches the standard library
        from locust.argument_parser import get_parser

        import sseload_users.plugin  # noqa: F401
        from sseload_users.cli import compare, docs, history
        from sseload_users.demo import command_line
        from sseload_users.run.kept_configs import descriptions
        from sseload_users.targets.profile import names

    test = _without_help(get_parser())
    root = argparse.ArgumentParser(prog="sseload", parents=[test])
    choice = root.add_subparsers(dest="command")
    parents = {
        "compare": [_without_help(compare.parser())],
        "history": [_without_help(history.history_parser())],
        "trend": [_without_help(history.trend_parser())],
        "targets": [],
        "docs": [],
        "compile": [],
        "demo": [_without_help(command_line.parser())],
        "help": [],
        "completion": [],
    }
    for name, summary in commands.items():
        made = choice.add_parser(name, help=summary, parents=parents.get(name, [test]))
        if name == "shape":
            made.add_argument("name", choices=[*descriptions()])
        elif name == "targets":
            made.add_argument("show", choices=["show"])
            made.add_argument("name", choices=names())
        elif name == "docs":
            made.add_argument("page", choices=[*docs.pages()])
        elif name == "completion":
            made.add_argument("shell", choices=_SHELLS)
        elif name == "help":
            made.add_argument("word", choices=[*commands, *_flags(test)])
    return root


def _without_help(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return what a parser has but for `--help`, which each command has of its own."""
    made = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    for action in parser._actions:  # noqa: SLF001 - argparse offers no other way to list them
        # Locust's names of user classes: they would keep commands from being recognized.
        if action.nargs == "*" and not action.option_strings:
            continue
        if action.help != argparse.SUPPRESS and "--help" not in action.option_strings:
            if _takes_file(action):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            made._add_action(action)  # noqa: SLF001
    return made


def _takes_file(action: argparse.Action) -> bool:
    words = {*f"{action.metavar} {action.dest} {action.help}".lower().replace("_", " ").split()}
    return action.nargs != 0 and not words.isdisjoint({"file", "dir", "directory", "path"})


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    return [
        flag.lstrip("-")
        for action in parser._actions  # noqa: SLF001
        for flag in action.option_strings
        if flag.startswith("--")
    ]
