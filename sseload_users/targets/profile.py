"""Find, parse and validate target profiles."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Tag, ValidationError

from sseload_users.core.config_path import config_path
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.targets.redaction import is_secret_name
from sseload_users.targets.spec import ProfileSpec
from sseload_users.transports import TransportName

#: The default profile.
DEFAULT = "code-server"

#: The start of a cause with an HTTP status.
_HTTP_STATUS = re.compile(r"HTTP (\d+)\b")


@dataclass(frozen=True, slots=True)
class Profile:
    """A validated profile.

    Attributes:
        name: the built-in name, or the path as given.
        spec: the file's tables.
    """

    name: str
    spec: ProfileSpec

    @property
    def transport(self) -> TransportName:
        """The transport of the listeners."""
        return self.spec.transport

    @property
    def code_template(self) -> str:
        """The template of codes, for ``codes.CodeShape``."""
        return self.spec.code.template

    @property
    def most_sockets(self) -> int:
        """The most sockets that a listener's connection has open at once."""
        polls = self.transport == "socketio" and self.spec.connect.transports[0] == "polling"
        # A GET and a POST at a time, and beside them the WebSocket that it goes over to.
        return 1 + polls * len(self.spec.connect.transports)

    def advice(self, step: str, cause: str, server_text: str = "") -> str:
        """Return the profile's advice on a failure; empty if it has none.

        Args:
            step: the step that failed, for example "ingest".
            cause: the countable cause, for example "HTTP 410".
            server_text: the server's own words.
        """
        found = _HTTP_STATUS.match(cause)
        status = int(found[1]) if found else 0
        for each in self.spec.advice:
            if (
                each.step == step
                and (not each.status or status in each.status)
                and (each.regex is None or each.regex.search(server_text or cause))
            ):
                return each.hint
        return ""

    @property
    def max_code_length(self) -> int | None:
        """The longest code that the server accepts, in characters; None if unknown."""
        return self.spec.code.max_length


def names() -> list[str]:
    """Return the names of the built-in profiles, the default first."""
    found = sorted(path.stem for path in config_path("targets").glob("*.toml"))
    return sorted(found, key=lambda name: name != DEFAULT)


def built_in_text(name: str) -> str:
    """Return the text of a built-in profile's file."""
    return _built_in(name).read_text(encoding="utf-8")


def describe(text: str) -> str:
    """Return what a profile speaks to: the first sentence of its first comment.

    Args:
        text: the profile's.
    """
    words: list[str] = []
    for line in text.splitlines():
        if line.startswith("# "):
            words.append(line[2:])
        elif words:
            break
    return " ".join(words).partition(". ")[0].removesuffix(".")


def _built_in(name: str) -> Path:
    return config_path(f"targets/{name}.toml")


def load(name_or_path: str) -> Profile:
    """Load a built-in profile by name, or a file by a path that ends in ``.toml``.

    Raises:
        ConfigError: Unknown target, or its file is invalid; one sentence with the
            file, the key and what to do.
    """
    if name_or_path.endswith(".toml"):
        return Profile(name_or_path, _checked(Path(name_or_path)))
    if name_or_path not in names():
        raise ConfigError(
            f"Unknown target {clean(name_or_path)!r}: use one of {', '.join(names())}, or the path "
            "of a file that ends in .toml."
        )
    return Profile(name_or_path, _checked(_built_in(name_or_path)))


def _checked(path: Path) -> ProfileSpec:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path}: cannot read the profile: {reason}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the profile is not UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: invalid TOML: {error}.") from error
    try:
        return ProfileSpec.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(error)}") from error


def _sentence(error: ValidationError) -> str:
    """Return the first validation error as one sentence that begins with its key."""
    found = error.errors(include_url=False)
    # A misspelt key is also reported as missing: prefer the unknown key.
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    where = ""
    for step in _keys_in(first["loc"]):
        where += f"[{step}]" if isinstance(step, int) else f".{step}" if where else step
    where = clean(where)
    match first["type"]:
        case "extra_forbidden":
            keys = ", ".join(_keys_at(first["loc"][:-1]))
            return f"{where}: unknown key; use one of: {keys}."
        case "missing":
            return f"{where} is missing."
        case "way_in":
            return f"{where}.{first['msg']}."
        case "value_error":
            mistake = clean(first["ctx"]["error"])
            return f"{where}: {mistake}." if where else f"{mistake}."
        case "model_type" | "dict_type":
            return f"{where} must be a table: [{where}]."
        case "tuple_type":
            return f"{where} must be a list."
        case _ if _may_be_secret(first["loc"]):
            return f"{where}: {clean(first['msg'])}."
        case _:
            return f"{where}: {clean(first['msg'])}, not {clean(repr(first['input']))}."


def _may_be_secret(location: tuple[int | str, ...]) -> bool:
    """Whether the value at a location may be secret and must not be repeated."""
    tables = {"values", "headers", "query", "auth", "body"}
    return any(step in tables or is_secret_name(str(step)) for step in location)


def _keys_in(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return a location without the tags of a table's variants."""
    return tuple(step for step in location if not _is_tag(step))


def _is_tag(step: int | str) -> bool:
    return isinstance(step, str) and step.startswith("<")


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of the table at a location."""
    model: type[BaseModel] = ProfileSpec
    for step, after in zip(location, (*location[1:], ""), strict=False):
        if isinstance(step, str) and step in model.model_fields:
            tag = str(after) if _is_tag(after) else ""
            model = _table(model.model_fields[step].annotation, tag) or model
    return list(model.model_fields)


def _table(annotation: Any, tag: str = "") -> type[BaseModel] | None:
    """Return the table in an annotation; of several variants, the one with the tag."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    parts = get_args(annotation)
    if tag and any(isinstance(each, Tag) for each in parts):
        parts = parts if Tag(tag) in parts else ()
    return next((found for each in parts if (found := _table(each, tag))), None)
