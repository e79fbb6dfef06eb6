"""The location of the default configuration."""

from __future__ import annotations

from pathlib import Path


def config_path(name: str) -> Path:
    """Return the path of a default configuration file.

    Args:
        name: path relative to ``config/``, such as "thresholds.toml" or "targets/nchan.toml".
    """
    package = Path(__file__).parents[1]
    # The wheel carries the folder inside the package; a checkout has it beside the package.
    inside = package / "config"
    return (inside if inside.is_dir() else package.parent / "config") / name
