"""``python -m sseload_users``; see `cli`."""

import signal
import sys

# Until the run handles it, Ctrl-C ends this at once, without a word: most of that time goes
# into imports, and Python would print whatever it was just importing.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from sseload_users.cli.run import main  # noqa: E402

sys.exit(main())
