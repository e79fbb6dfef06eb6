"""A profile that is being written: its keys, comments, and the secrets kept out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import tomlkit
from tomlkit.items import Item

from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.targets.multipart import is_multipart
from sseload_users.targets.redaction import is_secret_name

#: The order of a profile's keys and tables.
_ORDER = (
    "transport", "lines", "separator", "concatenated", "guarantee", "values", "health", "verify",
    "before", "connect", "after", "confirm", "refuse", "reply", "upkeep", "code", "ingest",
)  # fmt: skip
#: What the text of a request that hands in a code has in place of the code.
CODE = "{code}"
_SCHEMES = ("Bearer ", "Basic ", "Token ")


class Draft:
    """A profile that is being written.

    Args:
        base: a profile's tables to begin with.

    Attributes:
        tables: the profile, as its TOML file reads.
        comments: comments above tables and keys, by the name of the table.
        values: secrets by the names that stand for them in the profile.
    """

    def __init__(self, base: Mapping[str, Any] = {}) -> None:
        self.tables: dict[str, Any] = json.loads(json.dumps(base))
        self.comments: dict[str, str] = {}
        self.values: dict[str, str] = {}

    def copy(self, tables: Mapping[str, Any]) -> Draft:
        """Return a draft with other tables and the same secrets."""
        made = Draft(tables)
        made.comments, made.values = {**self.comments}, {**self.values}
        return made

    def secret(self, name: str, value: str) -> str:
        """Return what stands for a secret in the profile, and remember its value.

        The same value has one name, wherever it is used.
        """
        for known, text in self.values.items():
            if text == value:
                return f"{{{known}}}"
        name = identifier(name)
        free, number = name, 2
        while free in self.values:
            free, number = f"{name}{number}", number + 1
        self.values[free] = value
        return f"{{{free}}}"

    def headers(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return headers for a table of the profile, without their secrets."""
        found = {}
        for name, value in headers:
            if not is_secret_name(name) or _has_name(value):
                found[name] = value
                continue
            scheme = next((each for each in _SCHEMES if value.startswith(each)), "")
            short = "token" if scheme == "Bearer " else name.lower().removeprefix("x-")
            found[name] = scheme + self.secret(short, value.removeprefix(scheme))
        return found

    def query(self, text: str) -> dict[str, str]:
        """Return a URL's query for a table of the profile, without its secrets."""
        return {
            name: self.secret(name, value)
            if is_secret_name(name) and not _has_name(value)
            else value
            for name, value in parse_qsl(text, keep_blank_values=True)
        }

    def request(self, request: CopiedRequest, host: str) -> dict[str, Any]:
        """Return a request as a table of the profile.

        Args:
            request: as the browser sent it.
            host: the profile's host; a URL at another host is kept as a whole.
        """
        split = urlsplit(request.url)
        origin = f"{split.scheme}://{split.netloc}"
        path = split.path or "/"
        table: dict[str, Any] = {
            "method": request.method,
            "path": path if origin == host else origin + path,
        }
        if split.query:
            table["query"] = self.query(split.query)
        body, headers = self.body(request), self.headers(request.headers)
        # A page of the server itself: that of whatever host a run is given.
        headers = {
            name: "{origin}" if name.lower() == "origin" and value == host else value
            for name, value in headers.items()
        }
        if isinstance(body, dict | list) and not request.is_form:
            # sseload adds this one.
            headers = {
                name: text for name, text in headers.items() if name.lower() != "content-type"
            }
        if headers:
            table["headers"] = headers
        if request.body:
            table["body"] = body
        return table

    def body(self, request: CopiedRequest) -> str | dict[str, Any] | list[Any]:
        """Return a request's body as a profile has it, without its secrets."""
        try:
            content = json.loads(request.body)
        except ValueError:
            return self._form(request)
        # TOML has no null.
        if not isinstance(content, dict | list) or "null" in request.body:
            return request.body
        hidden: dict[str, Any] | list[Any] = mapped(content, self.hide)
        return hidden

    def _form(self, request: CopiedRequest) -> str | dict[str, Any]:
        fields = parse_qsl(request.body, keep_blank_values=True)
        if not request.is_form or not fields:
            return request.body
        if len({name for name, _ in fields}) == len(fields):
            return {name: self.hide(name, value) for name, value in fields}
        if is_multipart(request.content_type):
            table: dict[str, Any] = {}
            for name, value in fields:
                table.setdefault(name, []).append(self.hide(name, value))
            return table
        # A table has each name once. The values stay as they are encoded.
        pairs = (each.partition("=") for each in request.body.split("&"))
        return "&".join(f"{name}{equals}{self.hide(name, value)}" for name, equals, value in pairs)

    def hide(self, name: str, value: str) -> str:
        """Return a text, or what stands for it if its name suggests a secret."""
        secret = is_secret_name(name) and value and not _has_name(value)
        return self.secret(name, value) if secret else value

    def toml(self, head: str) -> str:
        """Return the profile's file.

        Args:
            head: the comment at its top.
        """
        document = tomlkit.document()
        for line in head.splitlines():
            document.add(tomlkit.comment(line))
        ordered = sorted(self.tables, key=lambda name: (_order(name), name))
        for name in ordered:
            value = self.tables[name]
            is_table = isinstance(value, dict) or (
                isinstance(value, list) and value and isinstance(value[0], dict)
            )
            if is_table or name == ordered[0]:
                document.add(tomlkit.nl())
            for line in self.comments.get(name, "").splitlines():
                document.add(tomlkit.comment(line))
            document.add(name, _table(value) if is_table else _item(value))
        # tomlkit puts an empty line before each table, also below its comment.
        return re.sub(r"^(#.*)\n\n(?=\[)", r"\1\n", tomlkit.dumps(document), flags=re.MULTILINE)


def mapped(value: Any, change: Callable[[str, str], str], name: str = "") -> Any:
    """Return a JSON value with each text changed.

    Args:
        value: the JSON value.
        change: gets the name of the nearest field, and the text.
        name: of the field that the value is in.
    """
    if isinstance(value, str):
        return change(name, value)
    if isinstance(value, dict):
        return {key: mapped(each, change, key) for key, each in value.items()}
    if isinstance(value, list):
        return [mapped(each, change, name) for each in value]
    return value


def _has_name(text: str) -> bool:
    return "{" in text and "}" in text


def identifier(name: str) -> str:
    """Return a name as a profile can have it in braces."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    text = "".join(each if each.isalnum() else "_" for each in name).strip("_")
    return text if text and text[0].isalpha() else f"value_{text}".rstrip("_")


def _order(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _table(value: Any) -> Item:
    if isinstance(value, list):
        tables = tomlkit.aot()
        for each in value:
            tables.append(_table(each))
        return tables
    table = tomlkit.table()
    for name, each in value.items():
        table.add(name, _item(each))
    return table


def _item(value: Any) -> Item:
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        for name, each in value.items():
            table.add(name, _item(each))
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        for each in value:
            array.append(_item(each))
        return array
    if isinstance(value, str) and "\\" in value and "'" not in value and value.isprintable():
        return tomlkit.string(value, literal=True)
    made: Item = tomlkit.item(value)
    return made
