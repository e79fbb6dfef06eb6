"""The command that prints the documentation, and what messages say of it."""

from __future__ import annotations

import ast
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sseload_users.cli import docs
from sseload_users.cli import main as cli
from tests.support.runs import ROOT, clean_environment

#: What users get of sseload and read: texts of the code, and files to copy.
FILES = [
    ROOT / "sseload_users" / "report" / "schema.json",
    *sorted((ROOT / "sseload_users").rglob("templates/*.*")),
    *sorted((ROOT / "config").rglob("*.*")),
    *sorted((ROOT / "deploy" / "ci").iterdir()),
    ROOT / "locustfile.py",
]
#: What refers to a page.
NAMED = re.compile(r"sseload docs(?:\s+|`\s*)(?!lists\b)([a-z][a-z-]*)")
#: A file of the documentation, which only the repository has.
IN_THE_REPOSITORY = re.compile(r"(?:\bdocs/|\b[\w-]+/)*\b(?!report\b)[\w-]+\.md\b")


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module that users may see: all but docstrings and comments.

    What follows a field is a docstring to us, and the field's description in a JSON Schema.
    """
    tree = ast.parse(path.read_text("utf-8"))
    hidden = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in hidden
        ):
            yield node.value


def said() -> Iterator[tuple[str, str]]:
    """Yield all that users may read of a wheel: the file's name, and a text."""
    for path in sorted((ROOT / "sseload_users").rglob("*.py")):
        for text in texts(path):
            yield path.name, text
    for path in FILES:
        yield path.name, re.sub(r"\n# ?", " ", path.read_text("utf-8"))


def test_messages_name_pages_by_the_command_that_prints_them() -> None:
    files = {
        f"{name}: {found[0]}" for name, text in said() for found in IN_THE_REPOSITORY.finditer(text)
    }
    assert files == set()
    named = {page for _, text in said() for page in NAMED.findall(text)}
    assert {"targets", "diagnosis", "audiences", "target-protocols", "verdict", "ci"} <= named
    assert named <= {*docs.pages()}


def test_the_pages_are_listed_with_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["docs"]) == 0
    listed = dict(re.split(" {2,}", line) for line in capsys.readouterr().out.splitlines())
    assert [*listed] == sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
    assert listed["targets"] == "Targets"
    assert all(listed.values())


@pytest.mark.parametrize("word", ["verdict", "verdict.md"])
def test_a_page_is_printed_as_it_is(capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert cli.main(["docs", word]) == 0
    assert capsys.readouterr().out == (ROOT / "docs" / "verdict.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("diagnose", "Unknown page 'diagnose': did you mean diagnosis?"),
        ("../README", "Unknown page '../README': sseload docs lists them."),
        ("", "Unknown page '': sseload docs lists them."),
    ],
)
def test_a_mistake_is_one_sentence(
    capsys: pytest.CaptureFixture[str], word: str, sentence: str
) -> None:
    assert cli.main(["docs", word]) == 2
    assert capsys.readouterr() == ("", f"sseload: {sentence}\n")


def test_a_page_is_laid_out_on_a_terminal() -> None:
    near, far = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "sseload_users", "docs", "diagnosis"],
        stdin=far, stdout=far, stderr=far, cwd=ROOT, close_fds=True,
        env={**clean_environment(), "TERM": "xterm", "COLUMNS": "80"},
    )  # fmt: skip
    os.close(far)
    shown = b""
    try:
        while piece := os.read(near, 65536):
            shown += piece
    except OSError:
        pass  # the terminal's other side is closed
    os.close(near)
    assert done.wait(30) == 0
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown.decode("utf-8"))
    assert "isolated_instances" in plain
    assert "| pattern | shape |" not in plain
    assert max(map(len, plain.splitlines())) <= 80
