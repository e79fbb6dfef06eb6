"""``python -m sseload_users.demo``: run the embedded target until it is stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sseload_users.core.errors import ConfigError
from sseload_users.core.garbage import kept

with kept():
    import asyncio

    from sseload_users.demo import options
    from sseload_users.demo.server import Server, raise_file_limit


def main(arguments: Sequence[str]) -> int:
    """Run the server; return 0 after an orderly stop, 2 if it could not start."""
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
