"""The limit of open files."""

from __future__ import annotations

import subprocess
import sys


def test_the_file_limit_is_raised_up_to_the_hard_limit() -> None:
    code = (
        "import resource\n"
        "from sseload_users.run.limits import raise_file_limit\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 300))\n"
        "print(raise_file_limit(200), raise_file_limit(1000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "(300, 200) (300, 300)"
