"""The blocks of code in the documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

#: Languages whose blocks are commands: as they are, or behind a prompt and with their output.
SHELL = ("sh", "console")

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.*) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code in a document.

    Attributes:
        page: path of the document in the repository.
        line: number of the line on which it begins.
        language: as it is written behind the fence; empty without one.
        text: what is in it.
        reason: why its commands are not run by a test; empty if they are.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str = ""

    @property
    def commands(self) -> str:
        """Its commands, as a script."""
        if self.language == "sh":
            return self.text
        lines: list[str] = []
        goes_on = False
        for line in self.text.splitlines():
            if goes_on or line.startswith("$ "):
                lines.append(line if goes_on else line[2:])
                goes_on = line.endswith("\\")
        return "\n".join(lines) + "\n"

    @property
    def shows_a_failure(self) -> bool:
        """Whether the output shows that the server has issues, or a failed step."""
        return self.language == "console" and bool(re.search(r"✗ ISSUES|FAILED", self.text))


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a document."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield Block(
            str(page.relative_to(ROOT)),
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["reason"] or "",
        )


def without_blocks(text: str) -> str:
    """Return a document's text without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
