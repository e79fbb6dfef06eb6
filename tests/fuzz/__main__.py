"""Run fuzzers: ``python -m tests.fuzz NAME|all [libFuzzer's options]``.

Requires atheris, which has wheels only for Linux on x86-64. Findings are written to a file in
the working directory; add them to `seeds.FOUND`.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.fuzz.seeds import SEEDS

# Not in the development environment, which must install on every machine.
atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["sseload_users", "websocket", "h11", "socketio"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, options: list[str]) -> int:
    """Fuzz one target, or each in turn.

    Returns:
        0 if nothing was found.
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
