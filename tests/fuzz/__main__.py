"""``python -m tests.fuzz NAME|all [libFuzzer's options]``: look for what no test thought of.

Needs atheris, of which there are wheels for Linux on x86-64 alone. What is found is written to
a file in the working directory, and belongs into `seeds.FOUND`.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz.seeds import SEEDS

# No part of the development environment, which is for every machine.
atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["sseload_users", "websocket", "h11", "socketio"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, options: list[str]) -> int:
    """Fuzz one target, or each in turn.

    Returns:
        0, unless something was found.
    """
    if name == "all":
        command = [sys.executable, "-m", "tests.fuzz"]
        return max(subprocess.call([*command, each, *options]) for each in TARGETS)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS[name]):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], folder, "-max_len=4096", *options], TARGETS[name])
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "all", sys.argv[2:]))
