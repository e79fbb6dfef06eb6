"""``python -m sseload_users.demo``: runs the embedded target until it is told to stop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from sseload_users.core.errors import ConfigError
from sseload_users.demo import options
from sseload_users.demo.server import Server, raise_file_limit


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 when it was told to stop, 2 when it could not serve."""
    try:
        settings, given = options.parse(arguments)
        raise_file_limit()
        asyncio.run(Server(settings, given).serve())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
