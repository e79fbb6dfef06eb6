"""The tables about one session: connect, confirm, answer, ask, keep alive."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    Tag,
    WithJsonSchema,
    model_validator,
)

from sseload_users.targets.schema import (
    Captures,
    MessageCaptures,
    MessageSpec,
    RefuseSpec,
    RequestSpec,
    Table,
    requires,
)
from sseload_users.targets.template import BinaryTemplate, Json
from sseload_users.targets.value_types import Frame, HeaderTable, UrlPath, json_value
from sseload_users.transports import CarrierName, ParserName
from sseload_users.transports.endpoint import HttpVersion


def _binary(value: object) -> BinaryTemplate:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} must be a text of hexadecimal digits")  # noqa: TRY004
    return BinaryTemplate(value)


def _base64(value: object) -> BinaryTemplate:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} must be a text in base 64")  # noqa: TRY004
    try:
        return BinaryTemplate.of_base64(value)
    except ValueError:
        raise ValueError(f"{value!r} is not base64") from None


def _transports(value: tuple[CarrierName, ...]) -> tuple[CarrierName, ...]:
    if not value or len(set(value)) < len(value):
        raise ValueError("give 'polling', 'websocket' or both, the first to connect by first")
    return value


Binary: TypeAlias = Annotated[
    BinaryTemplate,
    PlainValidator(_binary),
    WithJsonSchema({"title": "hexadecimal digits", "type": "string"}),
]
BinaryBase64: TypeAlias = Annotated[
    BinaryTemplate,
    PlainValidator(_base64),
    WithJsonSchema({"title": "base 64", "type": "string", "contentEncoding": "base64"}),
]


class SendTable(Table):
    """A table that can have a message to send: text, JSON or binary."""

    send: Frame | None = None
    """The message: a table or list is sent as JSON, a text as it is. For Socket.IO, a list is an
    event: `["join", { "room" = "codes" }]`. Not for server-sent events."""
    send_hex: Binary | None = None
    """A binary message as hexadecimal digits; a name stands for its value in UTF-8. Only for
    WebSocket."""
    send_base64: BinaryBase64 | None = None
    """A binary message in base 64; a name stands for its value in UTF-8. The texts before
    and after a name are in base 64 separately. Only for WebSocket."""

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
    """HTTP method of the request that opens an event stream. Only for server-sent events."""
    path: UrlPath
    """Path of the handshake, or a name such as `"{url}"` whose value is a path or a whole URL."""
    query: dict[str, str] = Field(default_factory=dict)
    """Parameters to add to the URL."""
    headers: HeaderTable = Field(default_factory=dict)
    """Headers of the handshake. Those of the command line replace headers of the same name."""
    body: Frame | None = None
    """Body of a POST, as that of a [request](#requests). Only for server-sent events."""
    http: HttpVersion = "auto"
    """HTTP version of event streams: `"auto"` offers HTTP/2 and HTTP/1.1 with TLS, as browsers do,
    and is HTTP/1.1 without; `"2"` is HTTP/2 only, without TLS by prior knowledge; `"1.1"` is
    HTTP/1.1 only."""
    multiplex: int = Field(1, gt=0, strict=True)
    """The most event streams that share one TCP connection, by HTTP/2, as tabs of a browser do.
    By default, each has its own. Only for server-sent events."""
    subprotocols: tuple[str, ...] = ()
    """Subprotocols to offer; the server must select one. Only for WebSocket."""
    namespace: str = Field("/", pattern=r"^/[^,?]*$")
    """The namespace to join. Only for Socket.IO."""
    auth: Annotated[dict[str, Any], AfterValidator(json_value)] | None = None
    """The `auth` payload that is sent to join the namespace. Only for Socket.IO, from version 3
    on."""
    engine: Literal[3, 4] = 4
    """Version of Engine.IO: 3 for servers of Socket.IO 2, 4 for later ones. Only for Socket.IO."""
    parser: ParserName = "json"
    """Encoding of packets: `"msgpack"` for servers with `socket.io-msgpack-parser`. Only for
    Socket.IO."""
    transports: Annotated[tuple[CarrierName, ...], AfterValidator(_transports)] = (
        "polling",
        "websocket",
    )
    """How to connect, by the first of these. `["polling", "websocket"]` polls first and then
    upgrades to WebSocket, as Socket.IO's own clients do; `["polling"]` only polls; `["websocket"]`
    and `["websocket", "polling"]` connect by WebSocket without any polling. Only for Socket.IO."""
    send: tuple[Frame, ...] = ()
    """Messages to send after the handshake, as a list. A table or list in it is sent as JSON, a
    text as it is; for Socket.IO, a list is an event: `[["join", { "room" = "codes" }]]`. A message
    with `{channel}` is sent once for each channel. Not for server-sent events."""
    send_hex: tuple[Binary, ...] = ()
    """Binary messages to send after the handshake, as a list of hexadecimal digits. Only for
    WebSocket."""
    send_base64: tuple[BinaryBase64, ...] = ()
    """Binary messages to send after the handshake, as a list of texts in base 64. Only for
    WebSocket."""
    max_message: int = Field(1 << 20, gt=0, strict=True)
    """Size of the largest message, in bytes; a larger one ends the session, and so does a
    compressed one that is larger once inflated."""

    @model_validator(mode="after")
    def _fits_engine(self) -> Self:
        if self.engine == 3 and self.auth is not None:
            raise ValueError(
                "auth requires engine = 4: servers of Socket.IO 2 do not read it; use query"
            )
        return self

    @model_validator(mode="after")
    def _shares_http2(self) -> Self:
        if self.multiplex > 1 and self.http == "1.1":
            raise ValueError('multiplex requires HTTP/2: set http to "auto" or "2"')
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


class ConfirmSpec(MessageSpec):
    """A message that confirms the subscription, or one of several."""

    capture: MessageCaptures = Field(default_factory=dict)
    """Names, and where their values are in the message. Only `[[upkeep]]` and the messages of
    `[audience]` can use them, and for a publisher's connection its messages."""


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


class EndSpec(RefuseSpec):
    """A message with which the server ends the subscription, whether it then closes or not."""

    cause: str = Field("ended by server", min_length=1)
    """What to call the end in the report."""
    planned: StrictBool = False
    """Whether such an end is orderly; with `planned_ends`, it is then no drop."""
    reconnect: StrictBool = True
    """Whether clients may reconnect after it. If not, the connection stays away, `--reconnect` or
    not."""


class AskSpec(RequestSpec):
    """A request that is made in response to a message."""

    capture: Captures = Field(default_factory=dict)
    """Names, and where their values are in the answer. The message to send can use them."""


class ExchangeSpec(MessageSpec, SendTable):
    """A message, and what follows it: values from it, a request with them, a message to send."""

    capture: MessageCaptures = Field(default_factory=dict)
    """Names, and where their values are in the message. The request and the message to send can
    use them."""
    request: AskSpec | None = None
    """A request to make, before the message is sent."""

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

    model_config = requires("oneOf", "request", "send", "send_hex", "send_base64", "ping = true")

    every: float = Field(gt=0, strict=True, allow_inf_nan=False)
    """The time between two of them, in seconds."""
    request: RequestSpec | None = None
    """The request to make."""
    ping: StrictBool = False
    """Whether to send a WebSocket ping. Only for WebSocket."""

    @model_validator(mode="after")
    def _one_thing(self) -> UpkeepSpec:
        if [self.request is not None, self.frame is not None, self.ping].count(True) != 1:
            raise ValueError("give one of request, send and ping")
        return self
