"""The page of report.json's fields, from its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from docs.generators.markdown import anchor, any_of, header, row
from sseload_users.report.serialization import schema

_Node: TypeAlias = Mapping[str, Any]

_INTRODUCTION = """\
# Report reference

`make schema` generates this page and \
[`schema.json`](../sseload_users/report/schema.json) from the types in `sseload_users/report/` and \
`sseload_users/core/`. [The report](report.md) explains what the parts are for, and \
[The ledger](ledger.md) defines the terms.

Every field is always there: one without a value is null. `name[]` stands for each element of a \
list, `name.*` for each value of an object. A report has no other fields.
"""

#: Titles of objects that are in several places.
_SHARED = {
    "FailureCause": "Causes",
    "LatencySummary": "Latencies",
    "Reason": "Reasons",
    "Verdict": "Verdicts",
}
#: The most places of an object that are listed.
_MOST_PLACES = 6

_NAMES = {"string": "text", "boolean": "true or false"}
_PLURALS = {
    "integer": "integers",
    "number": "numbers",
    "number or null": "numbers or null",
    "number or text": "numbers or texts",
    "text": "texts",
    "time": "times",
    "list of integers": "lists of integers",
}


class _Reference:
    """The page.

    Args:
        whole: the JSON Schema of a report.
    """

    def __init__(self, whole: _Node) -> None:
        self._whole = whole
        self._definitions: _Node = whole["$defs"]
        self._places: dict[str, list[str]] = {}
        self._find(whole, "")

    def lines(self) -> Iterator[str]:
        """Yield the page's lines."""
        yield _INTRODUCTION
        yield from self._section("The report", self._whole)
        for name in sorted(self._places, key=lambda name: name in _SHARED):
            yield from self._section(self._title(name), self._definitions[name], name)

    def _find(self, node: _Node, place: str) -> None:
        """Find where each object is, in the order of the fields."""
        inner = []
        for field, each in node.get("properties", {}).items():
            for name, form in _references(each):
                path = f"{place}.{field}{form}".lstrip(".")
                if name not in self._places:
                    inner.append((name, path))
                self._places.setdefault(name, []).append(path)
        for name, path in inner:
            # Two fields of one object may have the same type.
            if self._places[name][0] == path:
                self._find(self._definitions[name], path)

    def _title(self, name: str) -> str:
        return _SHARED.get(name, f"`{self._places[name][0]}`")

    def _section(self, title: str, node: _Node, name: str = "") -> Iterator[str]:
        yield f"## {title}\n"
        yield f"{node['description']}{self._also(name)}\n"
        yield header("field", "type", "meaning")
        for field, each in node["properties"].items():
            yield row(f"`{field}`", self._type(each), self._meaning(each))
        yield ""

    def _also(self, name: str) -> str:
        """Return where else such an object is."""
        places = self._places.get(name, [])
        if name not in _SHARED:
            places = places[1:]
        if not places:
            return ""
        shown = ", ".join(f"`{each}`" for each in places[:_MOST_PLACES])
        more = " and more" if len(places) > _MOST_PLACES else ""
        return f" {'In' if name in _SHARED else 'Also in'} {shown}{more}."

    def _meaning(self, node: _Node) -> str:
        """Return what a field means; where it has no description, what its type means."""
        if "description" in node:
            return str(node["description"])
        name, _ = next(_references(node))
        return str(self._definitions[name]["description"])

    def _type(self, node: _Node) -> str:
        """Return a type in words, with links to the objects."""
        if "$ref" in node:
            title = self._title(_name(node))
            return f"[{title}](#{anchor(title)})"
        if "anyOf" in node:
            return any_of(dict.fromkeys(self._type(each) for each in node["anyOf"]))
        if "enum" in node or "const" in node:
            values = node.get("enum", [node.get("const")])
            return any_of(f"`{json.dumps(each)}`" for each in values)
        if node.get("type") == "array":
            return f"list of {self._items(node)}"
        if node.get("type") == "object":
            # Names that are not known before, with values of one type.
            inner = [*node.get("patternProperties", {}).values(), node["additionalProperties"]][0]
            return f"object of {self._several(inner)}" if isinstance(inner, dict) else "object"
        if node.get("format") == "date-time":
            return "time"
        kind = str(node["type"])
        return _NAMES.get(kind, kind)

    def _items(self, node: _Node) -> str:
        if "prefixItems" in node:
            return " and ".join(self._type(each) for each in node["prefixItems"])
        return self._several(node["items"])

    def _several(self, node: _Node) -> str:
        """Return a type in words, in the plural where it has one."""
        words = self._type(node)
        return _PLURALS.get(words, words)


def _references(node: _Node) -> Iterator[tuple[str, str]]:
    """Yield the objects that a field refers to, with what their place adds to its name."""
    if "$ref" in node:
        yield _name(node), ""
    for each in node.get("anyOf", ()):
        yield from _references(each)
    if isinstance(node.get("items"), Mapping):
        for name, form in _references(node["items"]):
            yield name, f"[]{form}"
    if isinstance(node.get("additionalProperties"), Mapping):
        for name, form in _references(node["additionalProperties"]):
            yield name, f".*{form}"


def _name(node: _Node) -> str:
    return str(node["$ref"]).removeprefix("#/$defs/")


def page() -> str:
    """Return the text of docs/report-reference.md."""
    return "\n".join(_Reference(schema()).lines()).rstrip() + "\n"
