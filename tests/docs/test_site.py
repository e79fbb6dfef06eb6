"""The documentation as a site: every page is in it, and it needs nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What makes a browser load something, and the attribute with its address.
_LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class _Loaded(HTMLParser):
    """Collects the addresses of what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag in _LOADING and not {"canonical", "prev", "next"} & {known.get("rel")}:
            self.addresses.append(known.get(_LOADING[tag]) or "")


def test_every_page_is_in_the_navigation_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"(\S+\.md)$", text[text.index("\nnav:") :], re.MULTILINE)
    pages = [str(each.relative_to(ROOT / "docs")) for each in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted([*pages, "index.md", "changelog.md", "contributing.md"]), (
        "add the page to nav in mkdocs.yml"
    )


def test_the_readme_names_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = [each.name for each in (ROOT / "docs").glob("*.md")]
    assert [name for name in pages if f"(docs/{name})" not in text] == []
    assert len(text.splitlines()) < 200


def test_mkdocs_and_the_tests_pin_the_same_versions() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^(\S+)==(\S+)", (ROOT / name).read_text("utf-8"), re.MULTILINE))

    docs, dev = pins("requirements-docs.txt"), pins("requirements-dev.txt")
    assert "mkdocs-material" in docs
    assert {
        name: version for name, version in docs.items() if dev.get(name, version) != version
    } == {}, "run make lock"


@pytest.mark.dear
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    if find_spec("material") is None:
        assert os.environ.get("CI") != "true", "make docs installs MkDocs"
        pytest.skip("MkDocs is not installed: make docs installs it")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    pages = [*tmp_path.rglob("*.html")]
    assert len(pages) > 30
    for page in pages:
        loaded = _Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert not [each for each in loaded.addresses if "//" in each], page.name
    for style in tmp_path.rglob("*.css"):
        assert not re.search(r"url\(.?(https?:)?//", style.read_text(encoding="utf-8")), style.name
    # A file outside docs/ that a page links is a file of the site.
    assert (tmp_path / "files/config/thresholds.toml").read_bytes() == (
        ROOT / "config/thresholds.toml"
    ).read_bytes()
