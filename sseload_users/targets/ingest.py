"""The table ``[ingest]``: codes go in by requests, over a connection, or by listeners."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from sseload_users.targets.batches import BatchTable
from sseload_users.targets.schema import (
    Captures,
    MessageSpec,
    RefuseSpec,
    RequestSpec,
    Table,
    requires,
)
from sseload_users.targets.session_spec import (
    AfterSpec,
    Binary,
    BinaryBase64,
    Confirm,
    ConfirmSpec,
    ConnectSpec,
    ReplySpec,
    SendTable,
    UpkeepSpec,
    confirms,
)
from sseload_users.targets.signing import SignSpec
from sseload_users.targets.template import names_in
from sseload_users.targets.texts import texts
from sseload_users.targets.value_types import PAYLOAD_NAMES, Frame

#: Transports in words.
_NAMES = {"socketio": "Socket.IO", "websocket": "WebSocket"}


class IngestBeforeSpec(RequestSpec):
    """A request that precedes, for each code, the one that has it broadcast."""

    capture: Captures = Field(default_factory=dict)
    """Names, and where their values are in the answer. The following requests for the same code can
    use them."""


class HttpIngestSpec(RequestSpec):
    """A request that has a code broadcast."""

    over: Literal["http"] = "http"
    """How codes are handed in: by requests."""
    before: tuple[IngestBeforeSpec, ...] = ()
    """Requests that are made in order for each code before the one of `[ingest]` itself. The code
    counts as sent when the latter is written."""
    sign: SignSpec | None = None
    """The signature of the request, and of those before it. None without it."""

    @property
    def requests(self) -> tuple[RequestSpec, ...]:
        """The requests that hand in a code, in order; the last one has it broadcast."""
        return (*self.before, self)

    def captured_before(self, index: int | None) -> set[str]:
        """Return the names that the first `index` requests for a code give; None: that all give."""
        return {name for each in self.before[:index] for name in each.capture}

    def way(self, connect: ConnectSpec, transport: str) -> str:
        """Return how codes are handed in, without secrets; see `ConnectionIngestSpec.way`."""
        del connect, transport
        return ", then ".join(each.what for each in self.requests)


class IngestConnectSpec(ConnectSpec):
    """How the publisher connects."""

    transport: Literal["websocket", "socketio"] | None = None
    """The publisher's transport; the listeners' without it."""


def _kind_of_expect(value: object) -> str:
    return "<message>" if isinstance(value, dict | MessageSpec) else "<word>"


def _word(value: object) -> object:
    if value not in ("ack", "none"):
        raise ValueError(
            "must be 'ack', 'none' or a table that describes a message: { 'fields' = { … } }"
        )
    return value


#: What answers a code: a Socket.IO acknowledgement, a message, or nothing.
Expect = Annotated[
    Annotated[
        Literal["ack", "none"],
        PlainValidator(_word),
        WithJsonSchema({"enum": ["ack", "none"]}),
        Tag("<word>"),
    ]
    | Annotated[MessageSpec, Tag("<message>")],
    Discriminator(_kind_of_expect),
]


class CodeMessageTable(SendTable):
    """A table with the message that has a code broadcast."""

    model_config = requires("oneOf", "send", "send_hex", "send_base64")

    send: Frame | None = None
    """The message with `{code}`: a table or list is sent as JSON, a text as it is. For Socket.IO, a
    list is an event."""
    send_hex: Binary | None = None
    """A binary message with `{code}` as hexadecimal digits; a name stands for its value in UTF-8.
    Only for WebSocket."""
    send_base64: BinaryBase64 | None = None
    """A binary message with `{code}` in base 64; a name stands for its value in UTF-8. The texts
    before and after a name are in base 64 separately. Only for WebSocket."""

    payload: Frame | None = None
    """What `{payload}` in the message stands for, for protocols that wrap what they pass on: a
    table or list is written as JSON, a text as it is. `{payload_bytes}` is its size in UTF-8."""

    @model_validator(mode="after")
    def _has_code(self) -> Self:
        if self.frame is None:
            raise ValueError("missing message: give send, or send_hex or send_base64")
        message = self._names("send", "send_hex", "send_base64")
        payload = self._names("payload")
        own = next((each for each in PAYLOAD_NAMES if each in payload), None)
        if own is not None:
            raise ValueError(f"payload has {{{own}}}, which is only available in the message")
        if self.payload is not None and "payload" not in message:
            raise ValueError("the message lacks {payload}: use it where the payload stands")
        if "code" not in (message if self.payload is None else payload):
            where = "message" if self.payload is None else "payload"
            raise ValueError(f"the {where} lacks {{code}}: use it where the server reads the code")
        return self

    def _names(self, *keys: str) -> set[str]:
        """Return the names in the texts of keys."""
        found = (each for each in texts(self) if each.key.partition(".")[0] in keys)
        return {name for each in found for name in names_in(each.value)}


class ConnectionIngestSpec(BatchTable, CodeMessageTable):
    """A message that has a code broadcast, and the connection over which it is sent."""

    over: Literal["connection"]
    """How codes are handed in: over a connection of the broadcaster's own."""
    expect: Expect
    """What shows that the server has accepted the code: `"ack"` for Socket.IO's acknowledgement, a
    table that describes a message, or `"none"`, which counts a code as accepted once it is
    written."""
    connect: IngestConnectSpec | None = None
    """How to connect. Without it, the broadcaster connects like a listener, with the listeners'
    `[[after]]`, `[confirm]`, `[[refuse]]`, `[[reply]]` and `[[upkeep]]`."""
    after: tuple[AfterSpec, ...] = ()
    """Steps that are taken before codes can be sent."""
    confirm: Confirm | None = None
    """The message after which codes can be sent, or several as a list, all of which must come."""
    refuse: tuple[RefuseSpec, ...] = ()
    """Messages that refuse a code, or the connection before it is established. They are also
    matched against the payload of an acknowledgement: `fields = { "[0].ok" = false }`."""
    reply: tuple[ReplySpec, ...] = ()
    """Messages that require a reply."""
    upkeep: tuple[UpkeepSpec, ...] = ()
    """What to do periodically while connected."""

    @property
    def confirms(self) -> tuple[ConfirmSpec, ...]:
        """The messages that must come before codes can be sent."""
        return confirms(self.confirm)

    def transport(self, listeners: str) -> str:
        """Return the publisher's transport, given that of the listeners."""
        own = None if self.connect is None else self.connect.transport
        return own or listeners

    def way(self, connect: ConnectSpec, transport: str) -> str:
        """Return how codes are handed in, in words and without secrets.

        Args:
            connect: how listeners connect.
            transport: transport of the listeners.
        """
        own = self.connect or connect
        transport = self.transport(transport)
        room = f", namespace {own.namespace}" if transport == "socketio" else ""
        return f"{_NAMES[transport]} message at {own.path.partition('?')[0]}{room}"

    def check(self, listeners: str) -> None:
        """Check that the keys are consistent.

        Args:
            listeners: transport of the listeners.

        Raises:
            ValueError: they are not; one sentence.
        """
        if self.transport(listeners) == "sse":
            raise ValueError(
                "ingest.connect.transport is missing: listeners use sse, which cannot send; use "
                "'websocket' or 'socketio'"
            )
        is_event = self.transport(listeners) == "socketio" and isinstance(self.send, list)
        if self.expect == "ack" and not is_event:
            raise ValueError(
                "ingest.expect: only a Socket.IO event is acknowledged; send a list such as "
                "['code', { 'code' = '{code}' }], or expect a message or 'none'"
            )
        for each in texts(self, "ingest"):
            if _before_codes(each.key) and "code" in names_in(each.value):
                raise ValueError(
                    f"{each.key} has {{code}}, which is only available in ingest.send, "
                    "ingest.expect and ingest.refuse"
                )


class ListenerIngestSpec(CodeMessageTable):
    """A message that a listener sends to have a code broadcast."""

    over: Literal["listener"]
    """How codes are handed in: by the listeners in turn, each over its connection."""
    echo: StrictBool = False
    """Whether the sender is owed its own code like everybody else. If not, what it receives of that
    code does not count."""

    def way(self, connect: ConnectSpec, transport: str) -> str:
        """Return how codes are handed in; see `ConnectionIngestSpec.way`."""
        room = f", namespace {connect.namespace}" if transport == "socketio" else ""
        return f"{_NAMES[transport]} message of each listener in turn{room}"

    def check(self, listeners: str) -> None:
        """Check that the keys are consistent; see `ConnectionIngestSpec.check`.

        Raises:
            ValueError: they are not; one sentence.
        """
        if listeners == "sse":
            raise ValueError(
                "ingest.over: listeners use sse, which cannot send; use 'http' or 'connection'"
            )


class UnpublishedSpec(Table):
    """No way to hand codes in: the profile is for observation only, and has no such table."""

    over: Literal["none"] = "none"

    def way(self, connect: ConnectSpec, transport: str) -> str:
        """Return how codes are handed in; see `ConnectionIngestSpec.way`."""
        del connect, transport
        return "none: others send the messages"


def _before_codes(key: str) -> bool:
    tables = ("connect", "after", "confirm", "reply", "upkeep")
    return key.startswith(tuple(f"ingest.{each}" for each in tables))


def names_code(message: MessageSpec) -> bool:
    """Whether the description of a message contains the code, so that the message names it."""
    return any("code" in names_in(each.value) for each in texts(message))


def _way_in(value: object) -> str | None:
    if isinstance(value, UnpublishedSpec):
        return "<none>"
    over = value.get("over", "http") if isinstance(value, dict) else getattr(value, "over", "http")
    return f"<{over}>" if over in ("http", "connection", "listener") else None


#: How codes are handed in. The tags locate validation errors in one of the two tables.
IngestSpec: TypeAlias = Annotated[
    Annotated[HttpIngestSpec, Tag("<http>")]
    | Annotated[ConnectionIngestSpec, Tag("<connection>")]
    | Annotated[ListenerIngestSpec, Tag("<listener>")]
    | Annotated[SkipJsonSchema[UnpublishedSpec], Tag("<none>")],
    Discriminator(
        _way_in,
        custom_error_type="way_in",
        custom_error_message="over must be 'http', 'connection' or 'listener'",
    ),
]
