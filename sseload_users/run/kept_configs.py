"""The sets of options that sseload ships, `config/*.conf`, by name: shapes of a test."""

from __future__ import annotations

import re
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


def options_of(name: str) -> dict[str, str]:
    """Return the options that a set gives, as texts by the names that Locust's parser has for them.

    Raises:
        ConfigError: there is none of this name.
    """
    # Imported here: listing the sets needs no Locust, which takes long to import.
    from locust.argument_parser import LocustConfigParser

    with path_of(name).open(encoding="utf-8") as file:
        found = LocustConfigParser().parse(file)
    return {key.replace("-", "_"): str(value) for key, value in found.items()}
