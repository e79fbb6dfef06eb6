"""The command `docs`: the pages of the documentation, which messages refer to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten

#: Columns of a terminal beyond which a line is hard to read.
_WIDEST = 100


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: without the command's name.

    Returns:
        0, or 2 if there is no such page.
    """
    asked = parser().parse_args(arguments)
    known = pages()
    if asked.page is None:
        _print_list(known)
        return 0
    try:
        _print_page(_found(asked.page, known))
    except ConfigError as error:
        print(f"sseload: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = argparse.ArgumentParser(
        prog="sseload docs",
        description="List the pages of the documentation. With PAGE, print one: laid out on a "
        "terminal, as Markdown into a file or another program.",
        epilog="Exit status: 0, or 2 if there is no such page.",
        allow_abbrev=False,
    )
    made.add_argument("page", nargs="?", metavar="PAGE", help="a name from the list")
    return made


def pages() -> dict[str, Path]:
    """Return the file of each page, by the page's name."""
    package = Path(__file__).parents[1]
    # The wheel contains them inside the package, like config/.
    inside = package / "docs"
    folder = inside if inside.is_dir() else package.parent / "docs"
    return dict(sorted((path.stem, path) for path in folder.glob("*.md")))


def _found(word: str, known: dict[str, Path]) -> Path:
    """Return the file of a page.

    Raises:
        ConfigError: there is no such page.
    """
    # Pages refer to each other by the names of their files.
    name = word.removesuffix(".md")
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}?" if close else "sseload docs lists them."
    raise ConfigError(f"Unknown page {shorten(clean(word), 40)!r}: {meant}")


def _print_list(known: dict[str, Path]) -> None:
    width = max(map(len, known), default=0)
    for name, path in known.items():
        with path.open(encoding="utf-8") as file:
            title = file.readline().removeprefix("#").strip()
        print(f"{name:<{width}}  {title}")


def _print_page(path: Path) -> None:
    text = path.read_text("utf-8")
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    # A terminal cannot follow a link from page to page: the name of the file is shown.
    console.print(Markdown(text, hyperlinks=False), width=min(console.width, _WIDEST))
