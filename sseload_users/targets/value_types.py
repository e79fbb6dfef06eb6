"""The types of a profile's values, checked as they are read, and their JSON Schemas."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from sseload_users.targets.paths import JsonPath
from sseload_users.targets.template import Json, begins_with_name

#: Names that always have a value.
BUILT_IN_NAMES = ("username", "nonce", "host", "origin")

#: Names that have a value where a code is sent.
CODE_NAMES = ("code", "padding")

#: Names that have a value in the message around a code's payload.
PAYLOAD_NAMES = ("payload", "payload_bytes")

#: Names that stand for channels in runs with channels, whatever else has these names.
CHANNEL_NAMES = ("channel", "channels")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2


def json_value(value: object) -> Json:
    """Return a value of the file as a JSON value.

    Raises:
        ValueError: it has no JSON form; one sentence.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, dict):
        return {key: json_value(each) for key, each in value.items()}
    if isinstance(value, list):
        return [json_value(each) for each in value]
    raise ValueError(f"{value!r} has no JSON form; write it as a text")


def _scalar(value: object) -> Json:
    if isinstance(value, dict | list):
        raise ValueError("a condition must be a text, a number or a boolean")  # noqa: TRY004
    return json_value(value)


def _frame(value: object) -> Json:
    if not isinstance(value, str | dict | list):
        raise ValueError(f"{value!r} must be a text, a table or a list")  # noqa: TRY004
    return json_value(value)


def _json_path(value: object) -> JsonPath:
    if not isinstance(value, str):
        raise ValueError(f"invalid path {value!r}; use for example 'data.code'")  # noqa: TRY004
    return JsonPath(value)


def _conditions(value: object) -> dict[JsonPath, Json]:
    if not isinstance(value, dict):
        raise ValueError('must be a table of paths and values: { "data.type" = "code" }')  # noqa: TRY004
    return {_json_path(path): _scalar(wanted) for path, wanted in value.items()}


def _pattern(value: object) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise ValueError(f"invalid regular expression {value!r}")  # noqa: TRY004
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise ValueError(f"invalid regular expression {value!r}: {error}") from None
    if pattern.groups > 1:
        raise ValueError(f"{value!r} has {pattern.groups} groups; use at most one")
    return pattern


def _address(value: str) -> str:
    if not value.startswith(("/", "http://", "https://")) and not begins_with_name(value):
        raise ValueError(f"{_shown(value)} must begin with / or be a complete http:// URL")
    return _without_blanks(value)


def _path(value: str) -> str:
    if not value.startswith("/") and not begins_with_name(value):
        raise ValueError(
            f"{_shown(value)} must begin with /, or with a {{name}} whose value is a complete URL"
        )
    return _without_blanks(value)


def _without_blanks(value: str) -> str:
    if not re.fullmatch(r"[!-~]*", value) or "#" in value:
        raise ValueError(
            f"{_shown(value)} has a space, '#' or non-ASCII character: percent-encode it"
        )
    return value


def _shown(path: str) -> str:
    # The query may be secret.
    return repr(path if "?" not in path else path.partition("?")[0] + "?…")


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        check_header(name, text)
    return value


def check_header(name: str, value: str) -> None:
    """Check that a header is valid (RFC 9110 §5).

    Raises:
        ValueError: it is not; one sentence without the value.
    """
    if not TOKEN.fullmatch(name):
        raise ValueError(f"invalid header name {name!r}")
    if not re.fullmatch(r"[\t\x20-\x7e\x80-\U0010ffff]*", value):
        raise ValueError(f"the value of header {name} contains a control character")


def check_names(value: dict[str, Any]) -> dict[str, Any]:
    """Check that the keys of a table are valid names and not built in.

    Raises:
        ValueError: one is not; one sentence.
    """
    for name in value:
        if not _NAME.fullmatch(name):
            raise ValueError(f"invalid name {name!r}; use letters, digits and underscores")
        if name in (*BUILT_IN_NAMES, *CODE_NAMES):
            raise ValueError(f"{name!r} is a built-in name; choose another")
    return value


def _status(value: int) -> int:
    if not 100 <= value <= 599:
        raise ValueError(f"invalid HTTP status {value}")
    return value


def _schema(title: str, **keywords: object) -> WithJsonSchema:
    """Return the JSON Schema of a value; its title is the type's name in the reference of keys."""
    return WithJsonSchema({"title": title, **keywords})


#: A path, as `JsonPath` reads it.
_PATH = (
    r'^([^.\[\]"]+|\[[0-9]{1,9}\]|\["[^"]+"\]|\[\*\])'
    r'(\.[^.\[\]"]+|\[[0-9]{1,9}\]|\["[^"]+"\]|\[\*\])*$'
)
_BEGINS_WITH_NAME = rf"\{{{_NAME.pattern}\}}"

ValuePath: TypeAlias = Annotated[
    JsonPath, PlainValidator(_json_path), _schema("path", type="string", pattern=_PATH)
]
Conditions: TypeAlias = Annotated[
    dict[JsonPath, Json],
    PlainValidator(_conditions),
    _schema(
        "table of paths and values",
        type="object",
        propertyNames={"pattern": _PATH},
        additionalProperties={"type": ["string", "number", "boolean"]},
    ),
]
# Without "format": editors would hold it to the syntax of JavaScript.
Pattern: TypeAlias = Annotated[
    re.Pattern[str], PlainValidator(_pattern), _schema("regular expression", type="string")
]
HeaderTable: TypeAlias = Annotated[
    dict[str, str],
    AfterValidator(_headers),
    _schema(
        "table of texts",
        type="object",
        propertyNames={"pattern": f"^{TOKEN.pattern}$"},
        additionalProperties={"type": "string"},
    ),
]
Frame: TypeAlias = Annotated[
    Json,
    PlainValidator(_frame),
    _schema("text, table or list", type=["string", "object", "array"]),
]
UrlPath: TypeAlias = Annotated[
    str,
    AfterValidator(_path),
    _schema("text", type="string", pattern=rf"^(/|{_BEGINS_WITH_NAME})[!\"$-~]*$"),
]
Address: TypeAlias = Annotated[
    str,
    AfterValidator(_address),
    _schema("text", type="string", pattern=rf"^(/|https?://|{_BEGINS_WITH_NAME})[!\"$-~]*$"),
]
Status: TypeAlias = Annotated[
    int,
    Field(strict=True),
    AfterValidator(_status),
    _schema("HTTP status", type="integer", minimum=100, maximum=599),
]
#: For tables whose keys are names of the profile's own.
NAMES_AS_KEYS = Field(
    json_schema_extra={
        "propertyNames": {
            "pattern": f"^{_NAME.pattern}$",
            "not": {"enum": [*BUILT_IN_NAMES, *CODE_NAMES]},
        }
    }
)
