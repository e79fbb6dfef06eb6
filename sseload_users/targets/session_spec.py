"""The tables about one session: connect, confirm, answer, ask, keep alive."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    Tag,
    model_validator,
)

from sseload_users.targets.schema import (
    Captures,
    Frame,
    HeaderTable,
    MessageCaptures,
    MessageSpec,
    RequestSpec,
    Table,
    UrlPath,
    json_value,
)
from sseload_users.targets.template import BinaryTemplate, Json
from sseload_users.transports import CarrierName, ParserName
from sseload_users.transports.endpoint import HttpVersion


def _binary(value: object) -> BinaryTemplate:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} must be a text of hexadecimal digits")  # noqa: TRY004
    return BinaryTemplate(value)


def _base64(value: object) -> BinaryTemplate:
    try:
        return BinaryTemplate(base64.b64decode(str(value), validate=True).hex())
    except ValueError:
        raise ValueError(f"{value!r} is not base64") from None


def _transports(value: tuple[CarrierName, ...]) -> tuple[CarrierName, ...]:
    if not value or len(set(value)) < len(value):
        raise ValueError("give 'polling', 'websocket' or both, the first to connect by first")
    return value


Binary: TypeAlias = Annotated[BinaryTemplate, PlainValidator(_binary)]
BinaryBase64: TypeAlias = Annotated[BinaryTemplate, PlainValidator(_base64)]


class SendTable(Table):
    """A table that can have a message to send: text, JSON or binary."""

    send: Frame | None = None
    send_hex: Binary | None = None
    send_base64: BinaryBase64 | None = None

    @model_validator(mode="after")
    def _one_message(self) -> SendTable:
        given = (self.send, self.send_hex, self.send_base64)
        if sum(each is not None for each in given) > 1:
            raise ValueError("give one of send, send_hex and send_base64")
        return self

    @property
    def frame(self) -> Json | BinaryTemplate | None:
        """The message to send; None if there is none."""
        given = (self.send, self.send_hex, self.send_base64)
        return next((each for each in given if each is not None), None)


class ConnectSpec(Table):
    """How to connect, and what to send first."""

    method: Literal["GET", "POST"] = "GET"
    path: UrlPath
    query: dict[str, str] = Field(default_factory=dict)
    headers: HeaderTable = Field(default_factory=dict)
    body: Frame | None = None
    http: HttpVersion = "auto"
    subprotocols: tuple[str, ...] = ()
    namespace: str = Field("/", pattern=r"^/[^,?]*$")
    auth: Annotated[dict[str, Any], AfterValidator(json_value)] | None = None
    engine: Literal[3, 4] = 4
    parser: ParserName = "json"
    transports: Annotated[tuple[CarrierName, ...], AfterValidator(_transports)] = (
        "polling",
        "websocket",
    )
    send: tuple[Frame, ...] = ()
    send_hex: tuple[Binary, ...] = ()
    send_base64: tuple[BinaryBase64, ...] = ()
    max_message: int = Field(1 << 20, gt=0, strict=True)

    @model_validator(mode="after")
    def _fits_engine(self) -> Self:
        if self.engine == 3 and self.auth is not None:
            raise ValueError(
                "auth requires engine = 4: servers of Socket.IO 2 do not read it; use query"
            )
        return self

    @model_validator(mode="after")
    def _body_fits(self) -> ConnectSpec:
        if self.body is not None and self.method == "GET":
            raise ValueError('a GET request has no body; set method = "POST"')
        return self

    @model_validator(mode="after")
    def _one_kind(self) -> ConnectSpec:
        if sum(map(bool, (self.send, self.send_hex, self.send_base64))) > 1:
            raise ValueError("give one of send, send_hex and send_base64")
        return self

    @property
    def frames(self) -> tuple[Json | BinaryTemplate, ...]:
        """The messages to send after the handshake."""
        return self.send or self.send_hex or self.send_base64


class ResumeSpec(Table):
    """What a connection that returns sends, so that the server sends what it missed."""

    capture: MessageCaptures
    query: dict[str, str] = Field(default_factory=dict)
    headers: HeaderTable = Field(default_factory=dict)
    auth: Annotated[dict[str, Any], AfterValidator(json_value)] | None = None
    send: tuple[Frame, ...] = ()

    @model_validator(mode="after")
    def _says_what(self) -> ResumeSpec:
        if not self.capture:
            raise ValueError("missing capture: name a value of the newest message")
        if not (self.query or self.headers or self.auth or self.send):
            raise ValueError("missing use of what is captured: give query, headers, auth or send")
        return self

    def applied(self, connect: ConnectSpec) -> ConnectSpec:
        """Return how a connection connects again."""
        update: dict[str, object] = {
            "query": {**connect.query, **self.query},
            "headers": {**connect.headers, **self.headers},
        }
        if self.auth is not None:
            update["auth"] = {**(connect.auth or {}), **self.auth}
        if self.send:
            update |= {"send": self.send, "send_hex": (), "send_base64": ()}
        return connect.model_copy(update=update)


class ConfirmSpec(MessageSpec):
    """A message that confirms the subscription, or one of several."""

    capture: MessageCaptures = Field(default_factory=dict)


def _kind_of_confirm(value: object) -> str:
    return "<list>" if isinstance(value, list | tuple) else "<table>"


#: One message that confirms, or several that all must come.
Confirm: TypeAlias = Annotated[
    Annotated[ConfirmSpec, Tag("<table>")] | Annotated[tuple[ConfirmSpec, ...], Tag("<list>")],
    Discriminator(_kind_of_confirm),
]


def confirms(confirm: ConfirmSpec | tuple[ConfirmSpec, ...] | None) -> tuple[ConfirmSpec, ...]:
    """Return the messages that must come before codes are owed."""
    if confirm is None:
        return ()
    return confirm if isinstance(confirm, tuple) else (confirm,)


class AskSpec(RequestSpec):
    """A request that a message gives rise to, and what its answer gives."""

    capture: Captures = Field(default_factory=dict)


class ExchangeSpec(MessageSpec, SendTable):
    """A message, and what follows it: values from it, a request with them, a message to send."""

    capture: MessageCaptures = Field(default_factory=dict)
    request: AskSpec | None = None

    @property
    def given(self) -> set[str]:
        """The names that it gives."""
        return {*self.capture, *(self.request.capture if self.request is not None else ())}


class ReplySpec(ExchangeSpec):
    """A message that requires a reply."""

    @model_validator(mode="after")
    def _replies(self) -> ReplySpec:
        if self.frame is None and self.request is None:
            raise ValueError("missing reply: give send or request")
        return self


class AfterSpec(ExchangeSpec):
    """A step of the conversation in which a connection subscribes."""

    @model_validator(mode="after")
    def _does_something(self) -> AfterSpec:
        if self.frame is None and self.request is None and not self.capture:
            raise ValueError("missing action: give some of capture, request and send")
        return self


class UpkeepSpec(SendTable):
    """A periodic action of a connection: a request, a message or a WebSocket ping."""

    every: float = Field(gt=0, strict=True, allow_inf_nan=False)
    request: RequestSpec | None = None
    ping: StrictBool = False

    @model_validator(mode="after")
    def _one_thing(self) -> UpkeepSpec:
        if [self.request is not None, self.frame is not None, self.ping].count(True) != 1:
            raise ValueError("give one of request, send and ping")
        return self
