"""The tables of a profile's file, with their keys and types.

The docstrings below the keys are their descriptions in `profile.schema.json` and in
`docs/profile-reference.md`, see `make schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    model_validator,
)

from sseload_users.core.codes import DEFAULT_TEMPLATE, CodeShape
from sseload_users.targets.template import fill, fill_json
from sseload_users.targets.value_types import (
    NAMES_AS_KEYS,
    TOKEN,
    Address,
    Conditions,
    Frame,
    HeaderTable,
    Pattern,
    Status,
    ValuePath,
    check_names,
)

#: The steps that can fail, as named in the reports' errors by cause.
FailureStep: TypeAlias = Literal[
    "health",
    "verify",
    "before",
    "handshake",
    "subscribe",
    "session",
    "upkeep",
    "channel",
    "ingest",
]


def requires(rule: Literal["anyOf", "oneOf"], *keys: str) -> ConfigDict:
    """Return the part of a table's configuration by which its JSON Schema requires keys.

    Args:
        rule: "anyOf": at least one of the keys; "oneOf": exactly one.
        keys: the keys. A switch, written "whole = true", has to be on.
    """
    given: list[JsonValue] = []
    for key in keys:
        name, _, switch = key.partition(" = ")
        one: dict[str, JsonValue] = {"required": [name]}
        given.append(one | {"properties": {name: {"const": True}}} if switch else one)
    return ConfigDict(json_schema_extra={rule: given})


class Table(BaseModel):
    """A table of the file.

    Attributes:
        literal: keys whose texts are literal: names in them are not replaced.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        # Most tables are only used within others, whose validators contain theirs.
        defer_build=True,
    )

    literal: ClassVar[frozenset[str]] = frozenset()


class ConditionTable(Table):
    """A table of conditions for messages: some of event, fields, text and contains."""

    def filled(self, values: Mapping[str, str]) -> Self:
        """Return a copy in which the names in the conditions are replaced by values.

        Raises:
            UnknownNameError: a name has no value.
        """
        given = {key: getattr(self, key, None) for key in ("event", "fields", "text", "contains")}
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

    model_config = requires(
        "anyOf", "any = true", "event", "fields", "has", "text", "contains", "regex"
    )

    any: StrictBool = False
    """Whether every message matches, so the first one does. It needs no other condition."""
    event: str | None = None
    """Name of the event. Only for Socket.IO and server-sent events."""
    fields: Conditions = {}
    """Paths and the values that must be there: `{ "type" = "connected", "data[0].id" = 7 }`."""
    has: tuple[ValuePath, ...] = ()
    """Paths that must exist, with any value."""
    text: str | None = None
    """The message's whole text."""
    contains: Annotated[str, Field(min_length=1)] | None = None
    """A text that is found in the message's text."""
    regex: Pattern | None = None
    """A regular expression that is found in the message's text."""

    @model_validator(mode="after")
    def _says_which(self) -> MessageSpec:
        texts = (self.event is not None, self.text is not None, self.contains)
        if self.any == any(map(bool, (*texts, self.fields, self.has, self.regex))):
            raise ValueError(
                "missing condition: give any = true, or some of event, fields, has, text, "
                "contains, regex"
            )
        return self


class CaptureSpec(Table):
    """The location of a named value in an answer or message."""

    model_config = requires("anyOf", "field", "regex", "header")

    literal: ClassVar[frozenset[str]] = frozenset({"default"})

    field: ValuePath | None = None
    """Path to the value in the JSON of the answer or message."""
    regex: Pattern | None = None
    """A regular expression that is found in the text. Its group, if it has one, is the value;
    otherwise all that it matches. Beside `header`, it is searched in that header."""
    header: str | None = Field(None, pattern=f"^{TOKEN.pattern}$")
    """A header of the answer, or else of a redirect that led to it. Messages have none."""
    percent_encoded: StrictBool = False
    """Whether to decode the value, which is percent-encoded."""
    default: str | None = None
    """The value if there is none. Without it, an answer or message that lacks the value is a
    failure."""

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


def defaults(captures: Mapping[str, CaptureSpec]) -> dict[str, str]:
    """Return the values by name that are used where an answer or message has none."""
    return {name: each.default for name, each in captures.items() if each.default is not None}


Captures = Annotated[dict[str, CaptureSpec], AfterValidator(check_names), NAMES_AS_KEYS]
MessageCaptures = Annotated[Captures, AfterValidator(_without_headers)]


class RefuseSpec(MessageSpec):
    """A message that refuses the subscription or a code, with its cause for the report."""

    literal: ClassVar[frozenset[str]] = frozenset({"cause"})

    cause: str = Field("refused", min_length=1)
    """What to call the refusal in the report."""
    reason: ValuePath | None = None
    """Path to the server's own words, which the report shows with the cause. Without it, the group
    of `regex`, if it has one, gives them."""


class ExpectedAnswer(Table):
    """Which answers to a request count as success."""

    literal: ClassVar[frozenset[str]] = frozenset({"fields"})

    status: tuple[Status, ...] = ()
    """HTTP statuses that count as success, as a list. Without it, any 2xx does."""
    fields: Conditions = {}
    """Paths and the values that must be there: `{ "queued" = true }`."""
    has: tuple[ValuePath, ...] = ()
    """Paths that must exist, with any value."""


class AnswerSpec(Table):
    """The description of an answer; all given conditions must hold."""

    model_config = requires("anyOf", "status", "fields", "has", "regex")

    literal: ClassVar[frozenset[str]] = frozenset({"fields"})

    status: tuple[Status, ...] = ()
    """HTTP statuses, as a list; the answer must have one of them."""
    fields: Conditions = {}
    """Paths and the values that must be there: `{ "verified" = false }`."""
    has: tuple[ValuePath, ...] = ()
    """Paths that must exist, with any value."""
    regex: Pattern | None = None
    """A regular expression that is found in the answer's text."""

    @model_validator(mode="after")
    def _says_which(self) -> AnswerSpec:
        if not (self.status or self.fields or self.has or self.regex):
            raise ValueError("missing condition: give some of status, fields, has, regex")
        return self


class RequestSpec(Table):
    """A request."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """HTTP method. Only methods other than GET can have a body."""
    path: Address
    """Path at the host, a complete URL for another host, or a name such as `"{url}"` whose value is
    one of these."""
    query: dict[str, str] = {}
    """Parameters to add to the URL."""
    headers: HeaderTable = {}
    """Headers to send. Those of the command line replace headers of the same name."""
    body: Frame | None = None
    """The body: a table or list is sent as JSON, a text as it is. A missing `Content-Type` is
    added. With `application/x-www-form-urlencoded` or `multipart/form-data`, a table is sent as the
    fields of a form; a list in it has a field for each item."""
    expect: ExpectedAnswer = ExpectedAnswer()
    """Which answers count as success; any 2xx without it."""

    @model_validator(mode="after")
    def _body_fits(self) -> RequestSpec:
        if self.body is not None and self.method == "GET":
            raise ValueError("a GET request has no body; set method")
        return self

    @property
    def what(self) -> str:
        """Its method and path, without the query, which may contain secrets."""
        return f"{self.method} {self.path.partition('?')[0]}"


class VerifySpec(RequestSpec):
    """A request that asks whether the server knows a user, with the answer for "no"."""

    refuse: AnswerSpec | None = None
    """The answer that means that the server does not know the user. Only this answer refuses the
    run; if an answer is neither this nor as expected, there is a warning."""


class BeforeSpec(RequestSpec):
    """A request before connecting, made per connection or per user."""

    per: Literal["connection", "user"] = "connection"
    """Whether each connection makes the request, or each worker once for each user, whose
    connections then share the result."""
    valid_for: float = Field(600.0, gt=0, strict=True, allow_inf_nan=False)
    """How long the result of a request per user is valid, in seconds."""
    capture: Captures = {}
    """Names, and where their values are in the answer. Later requests and the connection can use
    them."""

    @model_validator(mode="after")
    def _kept_for_users_only(self) -> BeforeSpec:
        if "valid_for" in self.model_fields_set and self.per != "user":
            raise ValueError('valid_for requires per = "user"')
        return self


class SentSpec(Table):
    """The time of sending in a message."""

    path: ValuePath
    """Path to the time, a number since the Unix epoch."""
    unit: Literal["s", "ms", "us", "ns"] = "ms"
    """Its unit."""

    @property
    def unit_ns(self) -> int:
        """The unit in nanoseconds."""
        return {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}[self.unit]


class CodeSpec(ConditionTable):
    """The location of the code in a message, and the codes that the server accepts."""

    model_config = requires("oneOf", "field", "regex", "whole = true", "id")

    literal: ClassVar[frozenset[str]] = frozenset({"template"})

    event: str | None = None
    """Name of the events that carry codes. Only for Socket.IO and server-sent events."""
    fields: Conditions = {}
    """Paths and values that a message with a code has: `{ "type" = "code" }`."""
    field: ValuePath | None = None
    """Path to the code; with `[*]`, to several codes: `"batch[*].code"`."""
    regex: Pattern | None = None
    """A regular expression. Each match is a code, or its group if it has one."""
    whole: StrictBool = False
    """Whether the whole text is the code."""
    id: ValuePath | None = None
    """Path to what identifies a message, a text or an integer. For observation (`--observe`),
    where others send the messages."""
    sent: SentSpec | None = None
    """Where the time of sending is in a message. Only with `id`; without it, the first sighting of
    a message stands for its sending."""
    sequence: StrictBool = False
    """Whether the ids are numbers in a row, so that order is judged and missing numbers are
    counted. Only with `id`."""
    template: str = DEFAULT_TEMPLATE
    """The shape of codes, for servers that accept only certain ones. `{seq}` is the sequence number
    (`{seq:06}` has six digits); `{run}`, the run's six characters, and `{sent}`, the time of
    sending, can be left out."""
    max_length: int | None = Field(None, gt=0, strict=True)
    """How long a code may be for the server, in characters. No limit without it."""

    @model_validator(mode="after")
    def _consistent(self) -> CodeSpec:
        if self.id is None and (self.sent is not None or self.sequence):
            raise ValueError("sent and sequence require id, which is for observation")
        given = [self.field is not None, self.regex is not None, self.whole, self.id is not None]
        if given.count(True) != 1:
            raise ValueError(
                "missing location of the code: give one of field, regex or whole = true"
                + (", or id alone" if self.id is not None else "")
            )
        longest = len(_longest(self.template))
        if self.max_length is not None and longest > self.max_length:
            raise ValueError(
                f"max_length is {self.max_length}, but the template makes codes of up to "
                f"{longest} characters; shorten the template"
            )
        return self


class AdviceSpec(Table):
    """Advice on a failure, by step and by status or server text."""

    model_config = requires("anyOf", "status", "regex")

    literal: ClassVar[frozenset[str]] = frozenset({"hint"})

    step: FailureStep
    """The step that failed, as named in the report's errors by cause."""
    status: tuple[Status, ...] = ()
    """HTTP statuses of the failure, as a list."""
    regex: Pattern | None = None
    """A regular expression that is found in the server's own words, or else in the cause."""
    hint: str = Field(min_length=1)
    """What to do about it."""

    @model_validator(mode="after")
    def _says_when(self) -> AdviceSpec:
        if not self.status and self.regex is None:
            raise ValueError("missing condition: give status, regex or both")
        return self


def _longest(template: str) -> str:
    """Return the longest code of a template in a run of a million codes."""
    return CodeShape("aaaaaa", template).mint(999_999, 2 * 10**18)
