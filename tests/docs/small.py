"""Make a test small, and run it: what the documents' commands do, in a second.

    python small.py PROGRAM WORDS…

It takes the place of `sseload`, `locust` and `python -m sseload_users` in the tests of documents.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

#: The most of connections and codes, and the seconds of a test.
_NUMBERS = (8, 5, 1)
#: Values that make a test short, whatever the document has.
_VALUES = {
    "-u": "7",
    "-r": "50",
    "--codes": "4",
    "--duration": "1",
    "--storm-after": "0.2",
    "--storm-jitter": "0.2",
    "--channel-churn": "0.4",
    "--search-most": "4",
    "--processes": "2",
}
#: Options that make a shipped set of options short.
_SETS = {
    "ladder": ["--ladder", "2,4", "--codes", "2", "--duration", "0.5"],
    "capacity": ["-u", "3", "--search-most", "3", "--codes", "2"],
    "deploy": ["-u", "10", "--codes", "8", "--duration", "4"],
}
_OTHERS = ("compare", "completion", "demo", "docs", "help", "history", "init", "targets", "trend")


def shrunk(words: Sequence[str]) -> list[str]:
    """Return the command line of a small test."""
    if words and words[0] in _OTHERS:
        return [*words]
    small: list[str] = []
    numbers = iter(_NUMBERS)
    for before, word in zip(["", *words], words, strict=False):
        if before in _VALUES:
            small.append(_VALUES[before])
        elif word.isdigit() and not before.startswith("-"):
            small.append(str(min(int(word), next(numbers))))
        else:
            small.append(word.replace("--restart-after 8 --restart-away 4", _RESTARTS))
    kept = next((each for each in words[:2] if each in _SETS), "")
    if not kept and next(numbers, None) and "--duration" not in small:
        small += ["--duration", "1"]
    if kept == "deploy" and not any(each.startswith(("--embedded", "--nodes")) for each in words):
        small.append(f"--embedded=--nodes 3 {_RESTARTS}")
    return [*small, *_SETS.get(kept, ())]


_RESTARTS = "--restart-after 0.5 --restart-away 0.3"


def main() -> None:
    """Replace this process by the program."""
    program, *words = sys.argv[1:]
    line = ["-m", "locust"] if program == "locust" else ["-m", "sseload_users"]
    if program == "python" and words[:2] != line:
        line = []
    elif program == "python":
        words = words[2:]
    # Python looks for its environment by the name that it is called by.
    os.execv(sys.executable, [sys.executable, *line, *(shrunk(words) if line else words)])


if __name__ == "__main__":
    main()
