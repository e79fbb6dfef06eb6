"""The command `help`: what an option or a command does."""

from __future__ import annotations

import sys
import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from sseload_users.core.formatting import clean, shorten
from sseload_users.core.garbage import kept

_WIDTH = 80

Command = Callable[[Sequence[str]], int]


def main(words: Sequence[str], commands: Mapping[str, Command]) -> int:
    """Print help.

    Args:
        words: the name of a command, or of an option, with or without its dashes, or any word
            that options' names and descriptions are searched for.
        commands: every command by its name.

    Returns:
        0, or 2 if nothing of this name is known.
    """
    word = words[0].lower() if words else ""
    if word in commands:
        return commands[word](["--help"])
    actions = _actions()
    name = word.lstrip("-").replace("_", "-")
    if not name:
        print("usage: sseload help COMMAND | OPTION | WORD", file=sys.stderr)
        return 2
    if name in actions:
        _print_option(actions[name])
        return 0
    found = [each for each in _distinct(actions) if name in _searched(each)]
    if not found:
        close = get_close_matches(name, [*actions, *commands], n=1)
        hint = f"did you mean {close[0]}?" if close else "--help-all lists every option."
        print(f"sseload: Unknown {shorten(clean(name), 40)!r}: {hint}", file=sys.stderr)
        return 2
    for each in found:
        _print_option(each)
    return 0


def _actions() -> dict[str, Action]:
    """Return each option of a test, by its flags without dashes."""
    with kept():
        import locust.main  # noqa: F401 - it patches the standard library
        from locust.argument_parser import get_parser

        import sseload_users.plugin  # noqa: F401
    known = get_parser()._option_string_actions  # noqa: SLF001
    return {flag.lstrip("-"): action for flag, action in known.items() if action.help != SUPPRESS}


def _distinct(actions: Mapping[str, Action]) -> list[Action]:
    return list({id(action): action for action in actions.values()}.values())


def _searched(action: Action) -> str:
    return f"{' '.join(action.option_strings)} {action.help or ''}".lower()


def _print_option(action: Action) -> None:
    value = ""
    if action.nargs != 0:
        shown = action.metavar or (action.choices and "|".join(map(str, action.choices)))
        value = f" {shown or action.dest.upper()}"
    print(f"{', '.join(action.option_strings)}{value}")
    text = (action.help or "").replace("%%", "%").replace("%(default)s", str(action.default))
    facts = [text[:1].upper() + text[1:], *_bounds(action.dest)]
    variable = getattr(action, "env_var", None)
    if variable:
        facts.append(f"Environment: {variable}.")
    for each in facts:
        end = "" if each.endswith(".") else "."
        print(textwrap.indent(textwrap.fill(f"{each}{end}", _WIDTH - 4), "    "))
    print()


def _bounds(name: str) -> list[str]:
    from sseload_users.core.option_spec import spec_of
    from sseload_users.options import Options

    known: dict[str, Any] = {each.name: spec_of(each) for each in fields(Options)}
    if name not in known or known[name].lowest is None:
        return []
    lowest, highest = known[name].lowest, known[name].highest
    return [
        f"From {lowest:g} to {highest:g}." if highest < float("inf") else f"{lowest:g} or more."
    ]
