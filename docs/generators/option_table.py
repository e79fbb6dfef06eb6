"""The page of options: those of a run, and those of each command."""

from __future__ import annotations

import argparse
from argparse import SUPPRESS, Action
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, fields
from itertools import groupby
from typing import Any

from docs.generators.markdown import header, row, sentence
from sseload_users.cli import check, compare, history, targets
from sseload_users.cli.init import command as init
from sseload_users.core.option_spec import OptionSpec, flag, number_type, spec_of
from sseload_users.demo import command_line as demo
from sseload_users.options import Options

_INTRODUCTION = """\
# Options reference

`make schema` generates this page from the tables of options in the code. `sseload help WORD` \
explains a command or an option on the terminal, and `sseload --help-all` lists all of Locust's, \
too.

## A run

`sseload [connections] [codes] [duration]`, `sseload ladder`, `capacity`, `shape` and `ui`, and \
`locust` all take these options, and those of \
[Locust](https://docs.locust.io/en/stable/configuration.html). The most used of Locust's:

| option | meaning |
|---|---|
| `-H URL`, `--host URL` | The server. Without it, a run tests an embedded one. |
| `-u N` | Users: one for each connection, and one that broadcasts. `sseload 50` is `-u 51`. |
| `-r N` | Connections to open in a second. |
| `-t TIME` | Time limit of the whole run, such as `90s` or `1h30m`. |
| `--config FILE` | A file of options, or with `sseload` the name of a shipped one. |
| `--processes N` | Worker processes on this machine; -1 for one per core. |
| `--master`, `--worker`, `--master-host HOST` | [Several machines](distributed.md). |

Each of sseload's options can also be set

- in the environment, as `SSELOAD_` with its name in capitals: `SSELOAD_CONNECT_TIMEOUT=5`;
- in a configuration file, without the dashes: `connect-timeout = 5`;
- in the form of the web UI, except those with a † below.

Times are in seconds. A value out of bounds is refused in one sentence, with status 2.
"""

#: Titles of the groups of options.
_TITLES = {
    "sseload: what to test": "What to test",
    "sseload: connections": "Connections",
    "sseload: how many clients the server holds": "How many clients the server holds",
    "sseload: the server during the run": "The server during the run",
    "sseload: the run": "The run",
}

PARSERS: Mapping[str, Callable[[], argparse.ArgumentParser]] = {
    "check": check.parser,
    "init": init.parser,
    "compare": compare.parser,
    "history": history.history_parser,
    "trend": history.trend_parser,
    "targets": targets.parser,
    "demo": demo.parser,
}

_ABOUT = {
    "check": "[Checks a profile](targets.md#check-a-profile) against a server. It takes the "
    "options of a run, too.",
    "init": "[Writes a profile by watching](targets.md#learn-a-profile-by-watching). It takes the "
    "options of a run that say how to reach a server, too.",
    "compare": "[Compares two runs](report.md#comparing-two-runs).",
    "history": "Lists [the runs that were kept](report.md#runs-that-are-kept).",
    "trend": "Says since when a figure is better or worse ([Trends](report.md#trends)).",
    "targets": "Lists the [built-in profiles](target-protocols.md#built-in-profiles), or prints "
    "one.",
    "demo": "Runs the embedded target on its own. `--embedded` gives these options to the one that "
    "a run starts. A SHARE is a number between 0 and 1.",
}

_WITH_OPTIONS_OF_RUNS = ("check", "init")


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    by_title: dict[str, list[Field[Any]]] = {title: [] for title in _TITLES}
    for each in fields(Options):
        by_title[spec_of(each).group].append(each)
    for title, declared in by_title.items():
        yield f"### {_TITLES[title]}\n"
        yield header("option", "default", "meaning")
        yield from (_row(each, spec_of(each)) for each in declared)
        yield ""
    of_runs = {flag(each.name) for each in fields(Options)}
    for name, parser in PARSERS.items():
        yield f"## sseload {name}\n\n{_ABOUT[name]}\n"
        yield from _command(parser(), of_runs if name in _WITH_OPTIONS_OF_RUNS else set())


def _row(declared: Field[Any], spec: OptionSpec) -> str:
    """Return the row of an option of a run."""
    name = flag(declared.name)
    kind = number_type(declared)
    value = {int: "N", float: "SECONDS", None: "TEXT"}[kind]
    if isinstance(declared.default, bool):
        shown = name
    elif spec.choices:
        shown = f"{name} {'|'.join(filter(None, spec.choices))}"
    else:
        shown = f"{name} {spec.unit or value}"
    mark = "" if spec.in_form else " †"
    bounds = ""
    if spec.lowest is not None and spec.highest < float("inf"):
        bounds = f" From {spec.lowest:g} to {spec.highest:g}."
    elif spec.lowest:  # that times are not negative goes without saying
        bounds = f" {spec.lowest:g} or more."
    return row(
        f"`{shown}`{mark}", _default(declared.default), f"{_escaped(sentence(spec.help))}{bounds}"
    )


def _default(value: Any) -> str:
    if isinstance(value, bool) or value in (None, "", ()):
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _command(parser: argparse.ArgumentParser, left_out: set[str]) -> Iterator[str]:
    """Yield the tables of a command's own options, by group."""
    own = [
        (group.title or "", action)
        for group in parser._action_groups  # noqa: SLF001 - argparse has no other way to list them
        for action in group._group_actions  # noqa: SLF001
        if action.help not in (None, SUPPRESS)
        and not {"--help", *left_out}.intersection(action.option_strings)
    ]
    for title, group_of in groupby(own, key=lambda each: each[0]):
        if title not in ("options", "positional arguments"):
            yield f"### {title[:1].upper()}{title[1:]}\n"
        yield header("option", "meaning")
        for _, action in group_of:
            text = (action.help or "") % vars(action)
            yield row(f"`{_shown(action)}`", _escaped(sentence(text)))
        yield ""


def _shown(action: Action) -> str:
    """Return an option as it is written, with its value."""
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    choices = "|".join(map(str, action.choices)) if action.choices else ""
    value = str(action.metavar or choices or action.dest.upper())
    if not action.option_strings:
        return value
    optional = action.nargs == "?"
    return f"{', '.join(action.option_strings)} {f'[{value}]' if optional else value}"


def _escaped(text: str) -> str:
    """Return a text in which nothing is a tag or a link of Markdown."""
    return text.replace("<", "&lt;").replace("[", "\\[").replace("*", "\\*")


def page() -> str:
    """Return the text of docs/options-reference.md."""
    return "\n".join(_lines()).rstrip() + "\n"
