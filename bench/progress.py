"""What the bench says while it works."""

from __future__ import annotations

import sys
from collections.abc import Mapping


def say(row: Mapping[str, object]) -> None:
    """One measurement, on one line of standard error: standard output is the tables'."""
    words = ", ".join(
        f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}"
        for name, value in row.items()
    )
    print(words, file=sys.stderr, flush=True)
