"""Run the command line: `sseload`, or `python -m sseload_users`."""

import signal
import sys


def entry() -> int:
    """Run the command that `sys.argv` names; return the exit status.

    Until a run handles Ctrl-C, it ends the process at once and silently: most of that time goes
    into imports, and Python would print a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sseload_users.cli.main import main

    return main()


if __name__ == "__main__":
    sys.exit(entry())
