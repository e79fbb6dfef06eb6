"""Run the command line: `python -m sseload_users`."""

import signal
import sys

# Until the run handles Ctrl-C, it ends the process at once and silently: most of that time goes
# into imports, and Python would print a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from sseload_users.cli.main import main  # noqa: E402

sys.exit(main())
