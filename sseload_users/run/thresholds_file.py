"""Reading the thresholds from their files."""

from __future__ import annotations

from pathlib import Path

from sseload_users.core.config_path import config_path
from sseload_users.core.errors import ConfigError
from sseload_users.verdict.thresholds import Thresholds, ThresholdsText, parse


def load_thresholds(path: str | Path | None = None) -> Thresholds:
    """Return the default thresholds, changed by a file of the same form.

    Args:
        path: TOML file with the keys that differ; None for the defaults alone.

    Raises:
        ConfigError: the file cannot be read or is invalid; one sentence with the file, the
            key and what to do.
    """
    defaults = _read(config_path("thresholds.toml"))
    return parse(defaults, None if path is None else _read(Path(path)))


def _read(path: Path) -> ThresholdsText:
    try:
        return ThresholdsText(str(path), path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path}: cannot read the thresholds: {reason}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the thresholds are not UTF-8 text.") from error
