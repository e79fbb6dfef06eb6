"""Profiles: files that say how to speak to a kind of server, found and checked."""

from __future__ import annotations

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

#: The profile that is used where none is named.
DEFAULT = "code-server"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile's file says, checked.

    Attributes:
        name: the built-in name, or the path as it was given.
        spec: the file's tables.
    """

    name: str
    spec: ProfileSpec

    @property
    def transport(self) -> TransportName:
        """What carries the messages."""
        return self.spec.transport

    @property
    def code_template(self) -> str:
        """For ``codes.CodeShape``."""
        return self.spec.code.template

    @property
    def max_code_length(self) -> int | None:
        """The longest code that the server takes, in characters; None: not known."""
        return self.spec.code.max_length


def names() -> list[str]:
    """The built-in profiles' names, the default first."""
    found = sorted(path.stem for path in config_path("targets").glob("*.toml"))
    return sorted(found, key=lambda name: name != DEFAULT)


def load(name_or_path: str) -> Profile:
    """A built-in profile by its name, or one of your own by a path that ends in ``.toml``.

    Raises:
        ConfigError: there is none, or its file says something impossible; one sentence with
            the file, the key and what to do.
    """
    if name_or_path.endswith(".toml"):
        return Profile(name_or_path, _checked(Path(name_or_path)))
    if name_or_path not in names():
        raise ConfigError(
            f"target {clean(name_or_path)!r}: there is no such profile; there are: "
            f"{', '.join(names())}, or give the path of a file that ends in .toml."
        )
    return Profile(name_or_path, _checked(config_path(f"targets/{name_or_path}.toml")))


def _checked(path: Path) -> ProfileSpec:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path}: the profile cannot be read: {reason}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the profile is not UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.") from error
    try:
        return ProfileSpec.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_sentence(error)}") from error


def _sentence(error: ValidationError) -> str:
    """One mistake that pydantic found, as one sentence that begins with its key."""
    found = error.errors(include_url=False)
    # A key that is misspelt is missing as well: the first says more.
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    where = ""
    for step in _keys_in(first["loc"]):
        where += f"[{step}]" if isinstance(step, int) else f".{step}" if where else step
    where = clean(where)
    match first["type"]:
        case "extra_forbidden":
            keys = ", ".join(_keys_at(first["loc"][:-1]))
            return f"{where} is not a key; there are: {keys}."
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
    """Whether what is at a place in the file is better not repeated."""
    tables = {"values", "headers", "query", "auth", "body"}
    return any(step in tables or is_secret_name(str(step)) for step in location)


def _keys_in(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A place in the file, without the tags that tell two kinds of a table apart."""
    return tuple(step for step in location if not _is_tag(step))


def _is_tag(step: int | str) -> bool:
    return isinstance(step, str) and step.startswith("<")


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the table at a place in the file."""
    model: type[BaseModel] = ProfileSpec
    for step, after in zip(location, (*location[1:], ""), strict=False):
        if isinstance(step, str) and step in model.model_fields:
            tag = str(after) if _is_tag(after) else ""
            model = _table(model.model_fields[step].annotation, tag) or model
    return list(model.model_fields)


def _table(annotation: Any, tag: str = "") -> type[BaseModel] | None:
    """The table that an annotation is about; of several, that with the tag."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    parts = get_args(annotation)
    if tag and any(isinstance(each, Tag) for each in parts):
        parts = parts if Tag(tag) in parts else ()
    return next((found for each in parts if (found := _table(each, tag))), None)
