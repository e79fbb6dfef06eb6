"""Exit with 0 if the container's process works, with 1 if it does not.

The leader of a run serves its metrics. A worker is connected to its master.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator, Sequence

import psutil


def main(words: Sequence[str]) -> int:
    """Check a process and its descendants.

    Args:
        words: the id of the process; 1 without it.
    """
    process = psutil.Process(int(words[0]) if words else 1)
    healthy = _has_master(process) if "--worker" in process.cmdline() else _serves_metrics()
    return 0 if healthy else 1


def _serves_metrics() -> bool:
    port = os.environ["SSELOAD_METRICS_PORT"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=4):
            return True
    except OSError:
        return False


def _has_master(process: psutil.Process) -> bool:
    port = _master_port(process.cmdline())
    return any(
        each.status == psutil.CONN_ESTABLISHED and each.raddr.port == port
        for member in (process, *process.children(recursive=True))
        for each in member.net_connections("tcp")
    )


def _master_port(words: Sequence[str]) -> int:
    return int(next(_values(words, "--master-port"), "5557"))


def _values(words: Sequence[str], option: str) -> Iterator[str]:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            yield value if equals else following


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
