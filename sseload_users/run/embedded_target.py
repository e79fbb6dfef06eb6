"""The embedded target of a run that names no server."""

from __future__ import annotations

import atexit
import shlex
import sys

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.run.run_users import EmbeddedTarget, StartEmbedded


def start(start_embedded: StartEmbedded, options: str) -> EmbeddedTarget:
    """Start the embedded target, say where it listens, and stop it as this process ends.

    Args:
        start_embedded: starts it.
        options: its options, as a shell would split them.

    Raises:
        ConfigError: it cannot be started with these options.
    """
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise ConfigError(
            f"Invalid --embedded {clean(options)!r}: a quotation mark is missing."
        ) from error
    embedded = start_embedded(*words)
    atexit.register(embedded.stop)
    where = ", ".join(embedded.urls)
    print(
        f"No --host given: testing the embedded target, which listens at {where}.", file=sys.stderr
    )
    return embedded
