"""Bounds on the size of the source that no linter checks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [*(ROOT / "sseload_users").rglob("*.py"), *(ROOT / "bench").glob("*.py")]
MAX_LINES = 60
#: Measured hot paths, in which a call for each part would cost too much.
EXEMPT = {("frames.py", "feed")}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield all functions of a module, nested ones included."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_function_is_too_long() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}: {each.name} has {lines} lines"
        for path in SOURCES
        for each in functions(path)
        if (lines := (each.end_lineno or 0) - each.lineno + 1) > MAX_LINES
        and (path.name, each.name) not in EXEMPT
    ]
    assert not too_long
