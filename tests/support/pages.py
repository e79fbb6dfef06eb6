"""Read pages as a strict browser would."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

from sseload_users.report.pages import SCRIPT

_VOID = {"meta", "br", "link", "img", "input", "hr"}


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.builder = ET.TreeBuilder()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in _VOID:
            self.builder.end(tag)
        else:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"
        self.builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.builder.data(data)


def parse(html: str) -> ET.Element:
    """The root element; every element must be closed by its own end tag."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert not builder.open, f"never closed: {builder.open}"
    return builder.builder.close()


def words(element: ET.Element | None) -> str:
    """The text of an element, with white space collapsed."""
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def cells(element: ET.Element) -> list[list[str]]:
    """The rows of the first table in an element, including the header."""
    table = element.find(".//table")
    assert table is not None
    return [[words(cell) for cell in row] for row in table.iter("tr")]


def classes(element: ET.Element, name: str) -> list[ET.Element]:
    """All elements of a class, in order."""
    return [each for each in element.iter() if name in each.get("class", "").split()]


def inert(page: str) -> ET.Element:
    """The page, which must not load anything, or run anything but its own script."""
    root = parse(page)
    assert ["".join(each.itertext()) for each in root.iter("script")] == [SCRIPT]
    for each in root.iter():
        assert each.tag not in ("link", "img", "iframe", "object", "base", "form")
        for name, value in each.attrib.items():
            assert not name.startswith("on"), name
            if each.tag == "a" and name == "href":
                assert re.fullmatch(r"#[\w-]+", value), value
                continue
            assert name not in ("src", "href", "style", "srcset", "action", "xlink:href"), name
    style = root.find("head/style")
    assert style is not None
    assert not re.search(r"@import|url\(", style.text or "")
    policies = [each for each in root.iter("meta") if "http-equiv" in each.attrib]
    digest, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style.text or "", SCRIPT)
    )
    (policy,) = (each.get("content") for each in policies)
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; script-src 'sha256-{script}'; "
        "img-src blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return root


def section(root: ET.Element, name: str) -> ET.Element:
    """The section of a page with this label."""
    (found,) = (each for each in root.iter("section") if each.get("aria-labelledby") == name)
    return found
