"""Run the command line: `sseload`, or `python -m sseload_users`."""

import os
import signal
import sys

#: The exit status of a command whose output nobody reads to its end: 128 and SIGPIPE, as a shell
#: has it.
_UNREAD = 141


def entry() -> int:
    """Run the command that `sys.argv` names; return the exit status.

    Until a run handles Ctrl-C, it ends the process at once and silently: most of that time goes
    into imports, and Python would print a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sseload_users.cli.main import main

    status = _UNREAD
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try again as it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


if __name__ == "__main__":
    sys.exit(entry())
