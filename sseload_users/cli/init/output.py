"""What `init` prints: one line for each step, without secrets."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sseload_users.core.formatting import clean


class WatchFailed(Exception):  # noqa: N818 - it says what was seen, and what to give
    """The server could not be understood; the message says what to do."""


class Output:
    """Prints the steps.

    Args:
        secrets: texts that are not shown, by name; more may be added later.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._began = time.monotonic()

    def step(self, name: str, text: str) -> None:
        """Print what a step did."""
        passed = (time.monotonic() - self._began) * 1000
        for value in self._secrets.values():
            if value:
                text = text.replace(value, "***")
        print(f"{passed:8,.0f} ms  {name:<8}  {clean(text)}", flush=True)
