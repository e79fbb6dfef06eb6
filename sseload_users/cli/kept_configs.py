"""The sets of options that sseload ships, `config/*.conf`, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from sseload_users.core.config_path import config_path
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten


def descriptions() -> dict[str, str]:
    """Return what each set does, in one sentence without a full stop, by its name."""
    return {path.stem: _description(path) for path in sorted(config_path(".").glob("*.conf"))}


def _description(path: Path) -> str:
    words: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        # How to run it, or the first option, ends the text.
        if not line.startswith("# ") or line.startswith("#  "):
            break
        words.append(line[2:])
    return re.split(r"[:.] ", f"{' '.join(words)} ")[0]


def path_of(name: str) -> Path:
    """Return the file of a set of options.

    Raises:
        ConfigError: there is none of this name.
    """
    known = descriptions()
    if name in known:
        return config_path(f"{name}.conf")
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}."
    raise ConfigError(f"Unknown set of options {shorten(clean(name), 40)!r}: {meant}")


def with_paths(words: Sequence[str]) -> list[str]:
    """Return a command line in which `--config NAME` has become `--config PATH`.

    A file of this name in the current folder has priority.

    Raises:
        ConfigError: the value is neither a file nor the name of a set.
    """
    line: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word == "--config":
            line.append(word)
            value = next(remaining, None)
            if value is not None:
                line.append(_path(value))
        elif word.startswith("--config="):
            line.append(f"--config={_path(word.partition('=')[2])}")
        else:
            line.append(word)
    return line


def _path(value: str) -> str:
    path = Path(value)
    if path.exists() and not path.is_dir():
        return value
    if path.name != value or "." in value:
        raise ConfigError(f"Cannot read --config {shorten(clean(value), 80)!r}: no such file.")
    return str(path_of(value))
