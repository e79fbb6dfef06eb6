"""Where configuration comes from, and what a mistake in it is called."""

from __future__ import annotations

from pathlib import Path


class ConfigError(Exception):
    """A setting that cannot be: one sentence that says what, where, and what to do."""


def config_path(name: str) -> Path:
    """A file of the default configuration.

    Args:
        name: relative to ``config/``: "thresholds.toml", "targets/nchan.toml".
    """
    package = Path(__file__).parents[1]
    # The wheel carries the folder inside the package; a checkout has it beside the package.
    inside = package / "config"
    return (inside if inside.is_dir() else package.parent / "config") / name
