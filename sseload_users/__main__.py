"""``python -m sseload_users``; see `cli`."""

import sys

from sseload_users.cli import main

sys.exit(main())
