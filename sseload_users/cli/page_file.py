"""Write a page to the file that the user named with --html."""

from __future__ import annotations

from pathlib import Path

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean


def write_page(place: str, text: str) -> None:
    """Write a page.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        Path(place).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise ConfigError(
            f"{clean(place)}: the page cannot be written ({why}); name another file with --html."
        ) from error
