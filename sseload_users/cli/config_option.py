"""The option --config, whose value is a file or the name of a shipped set of options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten
from sseload_users.run.kept_configs import path_of


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
