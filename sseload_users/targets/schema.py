"""The tables of a profile's file, with their keys and types; see `docs/target-reference.md`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    model_validator,
)

from sseload_users.core.codes import DEFAULT_TEMPLATE, CodeShape
from sseload_users.targets.paths import JsonPath
from sseload_users.targets.template import Json, begins_with_name, fill, fill_json

#: The steps that can fail, as named in the reports' errors by cause.
FailureStep: TypeAlias = Literal[
    "health", "verify", "before", "handshake", "subscribe", "session", "upkeep", "ingest"
]

#: Names that always have a value.
BUILT_IN_NAMES = ("username", "nonce", "host", "origin")

#: Names that stand for channels in runs with channels, whatever else has these names.
CHANNEL_NAMES = ("channel", "channels")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2


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
    if not _TOKEN.fullmatch(name):
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
        if name in (*BUILT_IN_NAMES, "code"):
            raise ValueError(f"{name!r} is a built-in name; choose another")
    return value


def _status(value: int) -> int:
    if not 100 <= value <= 599:
        raise ValueError(f"invalid HTTP status {value}")
    return value


_JsonPath = Annotated[JsonPath, PlainValidator(_json_path)]
_Conditions = Annotated[dict[JsonPath, Json], PlainValidator(_conditions)]
_Pattern = Annotated[re.Pattern[str], PlainValidator(_pattern)]
HeaderTable = Annotated[dict[str, str], AfterValidator(_headers)]
Frame = Annotated[Json, PlainValidator(_frame)]
UrlPath = Annotated[str, AfterValidator(_path)]
_Address = Annotated[str, AfterValidator(_address)]
_Status = Annotated[int, Field(strict=True), AfterValidator(_status)]


class Table(BaseModel):
    """A table of the file.

    Attributes:
        literal: keys whose texts are literal: names in them are not replaced.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    literal: ClassVar[frozenset[str]] = frozenset()


class ConditionTable(Table):
    """A table of conditions for messages: some of event, fields and text."""

    def filled(self, values: Mapping[str, str]) -> Self:
        """Return a copy in which the names in the conditions are replaced by values.

        Raises:
            UnknownNameError: a name has no value.
        """
        given = {key: getattr(self, key, None) for key in ("event", "fields", "text")}
        # A text is compared as a whole, so it is not serialized again if it is JSON.
        update = {
            key: fill(each, values) if isinstance(each, str) else fill_json(each, values)
            for key, each in given.items()
            if each
        }
        same = all(given[key] == each for key, each in update.items())
        return self if same else self.model_copy(update=update)


class MessageSpec(ConditionTable):
    """The description of a message; all given conditions must hold."""

    any: StrictBool = False
    event: str | None = None
    fields: _Conditions = {}
    has: tuple[_JsonPath, ...] = ()
    text: str | None = None
    regex: _Pattern | None = None

    @model_validator(mode="after")
    def _says_which(self) -> MessageSpec:
        given = [self.event is not None, self.fields, self.has, self.text is not None, self.regex]
        if self.any == bool(sum(map(bool, given))):
            raise ValueError(
                "missing condition: give any = true, or some of event, fields, has, text, regex"
            )
        return self


class CaptureSpec(Table):
    """The location of a named value in an answer or message."""

    field: _JsonPath | None = None
    regex: _Pattern | None = None
    header: str | None = Field(None, pattern=_TOKEN.pattern)
    percent_encoded: StrictBool = False

    @model_validator(mode="after")
    def _one_place(self) -> CaptureSpec:
        if self.header is not None:
            if self.field is not None:
                raise ValueError("give header or field, not both; a regex can go with header")
        elif (self.field is None) == (self.regex is None):
            raise ValueError("give one of field, regex and header")
        return self


def _without_headers(value: dict[str, CaptureSpec]) -> dict[str, CaptureSpec]:
    if any(each.header is not None for each in value.values()):
        raise ValueError("a message has no headers: capture by field or regex")
    return value


Captures = Annotated[dict[str, CaptureSpec], AfterValidator(check_names)]
MessageCaptures = Annotated[Captures, AfterValidator(_without_headers)]


class RefuseSpec(MessageSpec):
    """A message that refuses the subscription, with its cause for the report."""

    literal: ClassVar[frozenset[str]] = frozenset({"cause"})

    cause: str = Field("refused", min_length=1)
    reason: _JsonPath | None = None


class ExpectedAnswer(Table):
    """Which answers to a request count as success."""

    literal: ClassVar[frozenset[str]] = frozenset({"fields"})

    status: tuple[_Status, ...] = ()
    fields: _Conditions = {}
    has: tuple[_JsonPath, ...] = ()


class AnswerSpec(Table):
    """The description of an answer; all given conditions must hold."""

    literal: ClassVar[frozenset[str]] = frozenset({"fields"})

    status: tuple[_Status, ...] = ()
    fields: _Conditions = {}
    has: tuple[_JsonPath, ...] = ()
    regex: _Pattern | None = None

    @model_validator(mode="after")
    def _says_which(self) -> AnswerSpec:
        if not (self.status or self.fields or self.has or self.regex):
            raise ValueError("missing condition: give some of status, fields, has, regex")
        return self


class RequestSpec(Table):
    """A request."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: _Address
    query: dict[str, str] = {}
    headers: HeaderTable = {}
    body: Frame | None = None
    expect: ExpectedAnswer = ExpectedAnswer()

    @model_validator(mode="after")
    def _body_fits(self) -> RequestSpec:
        if self.body is not None and self.method == "GET":
            raise ValueError("a GET request has no body; set method")
        return self


class VerifySpec(RequestSpec):
    """A request that asks whether the server knows a user, with the answer for "no"."""

    refuse: AnswerSpec | None = None


class BeforeSpec(RequestSpec):
    """A request before connecting, made per connection or per user."""

    per: Literal["connection", "user"] = "connection"
    valid_for: float = Field(600.0, gt=0, strict=True, allow_inf_nan=False)
    capture: Captures = {}

    @model_validator(mode="after")
    def _kept_for_users_only(self) -> BeforeSpec:
        if "valid_for" in self.model_fields_set and self.per != "user":
            raise ValueError('valid_for requires per = "user"')
        return self


class CodeSpec(ConditionTable):
    """The location of the code in a message, and the codes that the server accepts."""

    literal: ClassVar[frozenset[str]] = frozenset({"template"})

    event: str | None = None
    fields: _Conditions = {}
    field: _JsonPath | None = None
    regex: _Pattern | None = None
    whole: StrictBool = False
    template: str = DEFAULT_TEMPLATE
    max_length: int | None = Field(None, gt=0, strict=True)

    @model_validator(mode="after")
    def _consistent(self) -> CodeSpec:
        if [self.field is not None, self.regex is not None, self.whole].count(True) != 1:
            raise ValueError(
                "missing location of the code: give one of field, regex or whole = true"
            )
        longest = len(_longest(self.template))
        if self.max_length is not None and longest > self.max_length:
            raise ValueError(
                f"max_length is {self.max_length}, but the template makes codes of up to "
                f"{longest} characters; shorten the template"
            )
        return self


class AudienceSpec(Table):
    """The channels that a connection subscribes to."""

    channel: str | None = Field(None, min_length=1)
    channels: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> AudienceSpec:
        if (self.channel is None) == (not self.channels):
            raise ValueError("give either channel or channels")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The texts of all channels' names."""
        return self.channels if self.channel is None else (self.channel,)


class AdviceSpec(Table):
    """Advice on a failure, by step and by status or server text."""

    literal: ClassVar[frozenset[str]] = frozenset({"hint"})

    step: FailureStep
    status: tuple[_Status, ...] = ()
    regex: _Pattern | None = None
    hint: str = Field(min_length=1)

    @model_validator(mode="after")
    def _says_when(self) -> AdviceSpec:
        if not self.status and self.regex is None:
            raise ValueError("missing condition: give status, regex or both")
        return self


def _longest(template: str) -> str:
    """Return the longest code of a template in a run of a million codes."""
    return CodeShape("aaaaaa", template).mint(999_999, 2 * 10**18)
