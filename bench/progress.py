"""Progress output of the benchmark."""

from __future__ import annotations

import sys
from collections.abc import Mapping


def print_row(row: Mapping[str, object]) -> None:
    """Print a measurement on one line of standard error; standard output has the tables."""
    figures = ", ".join(
        f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}"
        for name, value in row.items()
    )
    print(figures, file=sys.stderr, flush=True)
