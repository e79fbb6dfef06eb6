"""Hooks of MkDocs: pages from outside docs/, and links that lead out of it.

The Markdown files link one another by their places in the repository, so that they can be read
there. In the site, README.md, CHANGELOG.md and CONTRIBUTING.md are pages, and other files outside
docs/ that are linked are copied into `files/`.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

#: Pages from outside docs/, by their paths in the repository.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
_SOURCES = {name: source for source, name in PAGES.items()}

#: A link or a picture whose address is relative: its text, the address and the anchor.
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/."""
    for source, name in PAGES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to files outside docs/ to where these are in the site.

    Raises:
        PluginError: a link leads to no file.
    """
    here = page.file.src_uri
    source = _SOURCES.get(here, f"docs/{here}")

    def replaced(link: re.Match[str]) -> str:
        picture, text, address, anchor = link.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), address))
        if not (ROOT / path).exists():
            raise PluginError(f"{source}: the link to {address} leads to no file")
        if (ROOT / path).is_dir():
            return text
        target = _place(path, config, files)
        to = posixpath.relpath(target, posixpath.dirname(here) or ".")
        return f"{picture}[{text}]({to}{anchor or ''})"

    texts = _CODE.split(markdown)
    blocks = [*_CODE.findall(markdown), ""]
    pairs = zip(texts, blocks, strict=True)
    return "".join(f"{_LINK.sub(replaced, text)}{block}" for text, block in pairs)


def _place(path: str, config: MkDocsConfig, files: Files) -> str:
    """Return where a file of the repository is in the site, and put it there."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    name = f"files/{path}"
    if files.get_file_from_path(name) is None:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return name
