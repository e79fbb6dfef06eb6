"""Reading the pages that a report is shown on, as a strict browser would."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree as ET

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
    """The root element; each tag must be closed by its own."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert not builder.open, f"never closed: {builder.open}"
    return builder.builder.close()


def words(element: ET.Element | None) -> str:
    """What is to be read in an element, its white space made plain."""
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def cells(element: ET.Element) -> list[list[str]]:
    """The rows of the first table in an element, the head included."""
    table = element.find(".//table")
    assert table is not None
    return [[words(cell) for cell in row] for row in table.iter("tr")]


def classes(element: ET.Element, name: str) -> list[ET.Element]:
    """All elements of a class, in order."""
    return [each for each in element.iter() if name in each.get("class", "").split()]
