"""The page of a profile's keys, from the JSON Schema of profiles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from docs.generators.markdown import anchor, any_of, row
from sseload_users.targets.profile_schema import schema

_Node: TypeAlias = Mapping[str, Any]

_INTRODUCTION = """\
# Profile reference

`make schema` generates this page and the \
[JSON Schema](targets.md#complete-and-check-a-profile-in-an-editor) from the types in \
`sseload_users/targets/`. [Targets](targets.md) shows how to write a profile; \
[Profiles in detail](target-details.md) explains how names, requests, logins and publishing work.

## Types

| type | meaning |
|---|---|
| text | in a text that is sent, `{name}` is \
[replaced by a value](targets.md#names-in-braces); [the rules](target-details.md#names) say where |
| path | leads to a value in JSON, such as `"data.code"`; see [Paths](target-details.md#paths) |
| table of paths and values | conditions: `{ "data.type" = "code", "data.final" = true }` |
| regular expression | in Python's syntax, found anywhere in the text, with at most one group. \
Single quotes save escapes: `'LT-\\d+'` |
| switch | `true` or `false` |
"""

#: Titles of tables that are in several places, and what to call one of them.
_SHARED = {
    "RequestSpec": ("Requests", "request"),
    "ExpectedAnswer": ("Expected answers", "expected answer"),
    "CaptureSpec": ("Captured values", "captured value"),
    "MessageSpec": ("Messages", "message"),
}

_NAMES = {"string": "text", "boolean": "switch", "integer": "integer", "number": "number"}

_PLURALS = {
    "text": "texts",
    "path": "paths",
    "text, table or list": "texts, tables or lists",
    "HTTP status": "HTTP statuses",
    "base 64": "texts in base 64",
}


@dataclass(frozen=True, slots=True)
class _Section:
    """A table of the file, with its keys.

    Attributes:
        title: its heading.
        one: what to call such a table within a sentence.
        node: its JSON Schema.
        places: its names in the file.
    """

    title: str
    one: str
    node: _Node
    places: tuple[str, ...] = ()

    @property
    def link(self) -> str:
        """A link to the section, by GitHub's rule for anchors."""
        return f"[{self.one}](#{anchor(self.title)})"

    @property
    def keys(self) -> _Node:
        """The JSON Schemas of its keys."""
        keys: _Node = self.node["properties"]
        return keys

    def has_all_of(self, other: _Section) -> bool:
        """Whether it has all keys of another table, with the same meaning."""
        return all(self.keys.get(key) == each for key, each in other.keys.items())


class _Reference:
    """The page.

    Args:
        whole: the JSON Schema of a profile.
    """

    def __init__(self, whole: _Node) -> None:
        self._whole = whole
        self._definitions: _Node = whole["$defs"]
        places: dict[str, list[str]] = {}
        self._find(whole, "", places)
        # What several tables refer to comes last.
        names = sorted(places, key=lambda name: name in _SHARED)
        self._sections = {name: self._section(name, places[name]) for name in names}

    def lines(self) -> Iterator[str]:
        """Yield the page's lines."""
        yield _INTRODUCTION
        yield from self._table(_Section("The file", "", self._whole))
        for section in self._sections.values():
            yield from self._table(section)

    def _find(self, node: _Node, place: str, places: dict[str, list[str]]) -> None:
        """Find where each definition is used, in the order of the keys."""
        inner = []
        for key, each in node["properties"].items():
            path = f"{place}.{key}" if place else key
            for name, form in _references(each):
                known = places.setdefault(name, [])
                if not known:
                    inner.append((name, form[1:-1].strip("[]").format(path)))
                known.append(form.format(path))
        for name, path in inner:
            self._find(self._definitions[name], path, places)

    def _section(self, name: str, places: list[str]) -> _Section:
        node = self._definitions[name]
        # Variants of one table are told apart by a constant.
        constants = (
            f" with `{key} = {_toml(each['const'])}`"
            for key, each in node["properties"].items()
            if "const" in each
        )
        own = f"`{places[0]}`{next(constants, '')}"
        title, one = _SHARED.get(name, (own, own))
        return _Section(title, one, node, tuple(dict.fromkeys(places)))

    def _table(self, section: _Section) -> Iterator[str]:
        """Yield a section: what the table is, and a row for each key that no other one has."""
        bases = self._bases(section)
        own = {
            key: each
            for key, each in section.keys.items()
            if not any(key in base.keys for base in bases)
        }
        required = section.node.get("required", ())
        yield f"## {section.title}\n"
        yield " ".join(filter(None, (section.node["description"], _places(section)))) + "\n"
        if bases:
            links = " and of ".join(_with_article(base) for base in bases)
            yield f"It has the keys of {links}{', and:' if own else '.'}\n"
        if own:
            yield "| key | type | default | meaning |\n|---|---|---|---|"
        for key in sorted(own, key=lambda key: key not in required):
            each = own[key]
            default = "required" if key in required else _default(each)
            yield row(f"`{key}`", self._type(each), default, each["description"])
        if own:
            yield ""
        rule = _rule(section.node)
        if rule and rule not in map(_rule, (base.node for base in bases)):
            yield f"{rule}\n"

    def _bases(self, section: _Section) -> list[_Section]:
        """Return tables all of whose keys a table has, as few as possible."""
        sections = [*self._sections.values()]
        found: list[_Section] = []
        for base in sorted(sections, key=lambda each: -len(each.keys)):
            # Of two tables with the same keys, the first has them.
            equal = base.has_all_of(section) and section in sections
            if (
                base is not section
                and section.has_all_of(base)
                and not (equal and sections.index(section) < sections.index(base))
                and not any(known.has_all_of(base) for known in found)
            ):
                found.append(base)
        return found

    def _type(self, node: _Node) -> str:
        """Return the type of a key in words, with links to the tables."""
        if "$ref" in node:
            return self._sections[_name(node)].link
        if "title" in node:
            return str(node["title"])
        if "oneOf" in node:
            # A table or several of the same.
            return any_of(dict.fromkeys(self._type(each) for each in node["oneOf"]))
        if "enum" in node or "const" in node:
            values = node.get("enum", [node.get("const")])
            return any_of(f"`{_toml(each)}`" for each in values)
        if node["type"] == "array":
            inner = self._type(node["items"])
            return inner if "$ref" in node["items"] else f"list of {_PLURALS.get(inner, inner)}"
        if node["type"] == "object":
            values = node["additionalProperties"]
            if values is True:
                return "table"
            inner = self._type(values)
            return f"table of {_PLURALS.get(inner, inner.replace('value]', 'values]'))}"
        bound = " > 0" if node.get("exclusiveMinimum") == 0 else ""
        return _NAMES[node["type"]] + bound


def _references(node: _Node) -> Iterator[tuple[str, str]]:
    """Yield the definitions that a key refers to, with the form of their names in the file."""
    if "$ref" in node:
        yield _name(node), "[{}]"
    elif "oneOf" in node:
        seen: set[str] = set()
        for each in node["oneOf"]:
            for name, form in _references(each):
                if name not in seen:
                    seen.add(name)
                    yield name, form
    elif node.get("type") == "array" and "$ref" in node["items"]:
        yield _name(node["items"]), "[[{}]]"
    elif node.get("type") == "object" and isinstance(node.get("additionalProperties"), dict):
        for name, _ in _references(node["additionalProperties"]):
            yield name, "[{}.NAME]"


def _name(node: _Node) -> str:
    return str(node["$ref"]).removeprefix("#/$defs/")


def _places(section: _Section) -> str:
    """Return in which places a table is, if the title does not say so."""
    if len(section.places) < 2 and f"`{''.join(section.places)}`" in section.title:
        return ""
    return f"In {', '.join(f'`{each}`' for each in section.places)}." if section.places else ""


def _rule(node: _Node) -> str:
    """Return which of several keys have to be given; empty if there is no such rule."""
    for rule, words in (("anyOf", "At least one"), ("oneOf", "Exactly one")):
        keys = [key for each in node.get(rule, ()) for key in each.get("required", ())]
        # An alternative without such a key is a condition, which a key's description says.
        if keys and all("required" in each for each in node[rule]):
            return f"{words} of {', '.join(f'`{key}`' for key in keys)} is required."
    return ""


def _with_article(section: _Section) -> str:
    return section.link if "`" in section.one else f"a {section.link}"


def _default(node: _Node) -> str:
    return f"`{_toml(node['default'])}`" if "default" in node else ""


def _toml(value: object) -> str:
    """Return a value as TOML, which for these kinds is the same as JSON."""
    return json.dumps(value, ensure_ascii=False)


def page() -> str:
    """Return the text of docs/profile-reference.md."""
    return "\n".join(_Reference(schema()).lines()).rstrip() + "\n"
