"""A profile's file as a whole, and the consistency of its tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, model_validator

from sseload_users.targets.audience_spec import AudienceSpec
from sseload_users.targets.batches import BatchTable
from sseload_users.targets.ingest import (
    ConnectionIngestSpec,
    HttpIngestSpec,
    IngestSpec,
    ListenerIngestSpec,
    UnpublishedSpec,
)
from sseload_users.targets.resume_spec import ResumeSpec
from sseload_users.targets.schema import (
    AdviceSpec,
    BeforeSpec,
    CodeSpec,
    RefuseSpec,
    RequestSpec,
    Table,
    VerifySpec,
)
from sseload_users.targets.session_spec import (
    AfterSpec,
    Confirm,
    ConfirmSpec,
    ConnectSpec,
    EndSpec,
    ReplySpec,
    UpkeepSpec,
    confirms,
)
from sseload_users.targets.template import names_in
from sseload_users.targets.texts import Text, texts
from sseload_users.targets.value_types import NAMES_AS_KEYS, check_names
from sseload_users.transports import TransportName


class ProfileSpec(BatchTable):
    """A target profile: the protocol and message format of a server that pushes messages."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["ingest"]},
                {"properties": {"code": {"required": ["id"]}}},
            ]
        }
    )

    transport: TransportName
    """The transport of the listeners: WebSocket, Socket.IO or server-sent events."""
    guarantee: Literal["live", "resume"] = "live"
    """What the server promises across reconnects. `"live"`: nothing is owed for the time without a
    connection. `"resume"`: a client that returns is owed what was sent meanwhile."""
    history: StrictBool = False
    """Whether the server sends new clients what it had sent before they subscribed. Such codes are
    then counted as history, not as unexpected."""
    planned_ends: StrictBool = False
    """Whether the server ends sessions as planned, for example before a deployment. An orderly end
    is then no drop if the client is subscribed again at its first attempt."""
    values: Annotated[dict[str, str], AfterValidator(check_names), NAMES_AS_KEYS] = Field(
        default_factory=dict
    )
    """The profile's own names and their texts. `--value` and users files replace them."""
    health: RequestSpec | None = None
    """The request that tells whether the server is up. Without it, a run starts once the port
    accepts a connection."""
    verify: VerifySpec | None = None
    """The request that tells whether the server knows `{username}`. It is made before any load, for
    the user or for the first 20 of a users file."""
    before: tuple[BeforeSpec, ...] = ()
    """Requests that each connection makes in order before it connects."""
    audience: AudienceSpec | None = None
    """The channels that a connection subscribes to. Without it, and without `--channels`, all
    connections are owed all codes."""
    connect: ConnectSpec
    """How to connect."""
    resume: ResumeSpec | None = None
    """What a connection sends when it returns, so that it gets what it missed. It requires
    `guarantee = "resume"`."""
    after: tuple[AfterSpec, ...] = ()
    """Steps of the conversation in which a connection subscribes. They are taken in order, each
    once, at a message that matches."""
    confirm: Confirm | None = None
    """The message that confirms the subscription; from then on codes are owed. As a list,
    `[[confirm]]`, all of them must come, in any order. Without it, codes are owed once the last
    step of `[[after]]`, or else the handshake, is done (Socket.IO: once the namespace is
    acknowledged)."""
    subscribes_within: float = Field(0.0, ge=0, strict=True, allow_inf_nan=False)
    """How long the server may take until the subscription has its effect, in seconds, where the
    protocol does not confirm that. It begins with what counts as the confirmation. A code that is
    sent meanwhile is owed only where it arrives."""
    refuse: tuple[RefuseSpec, ...] = ()
    """Messages that refuse the subscription."""
    end: tuple[EndSpec, ...] = ()
    """Messages with which the server ends a subscription that it has confirmed. The session then
    ends with that cause, whether the server closes the connection or not. Before the confirmation,
    they refuse the subscription."""
    reply: tuple[ReplySpec, ...] = ()
    """Messages that require a reply. Every message is checked, whether it has a code or not; the
    first entry that matches applies."""
    upkeep: tuple[UpkeepSpec, ...] = ()
    """What to do periodically while connected."""
    code: CodeSpec
    """Where the code is in a message, and which codes the server accepts."""
    ingest: IngestSpec = Field(default_factory=UnpublishedSpec)
    """How a code is handed in, so that the server broadcasts it. Not needed with `code.id`."""
    advice: tuple[AdviceSpec, ...] = ()
    """What to do about known failures of this kind of server. The first entry that matches is
    shown."""

    @model_validator(mode="after")
    def _consistent(self) -> ProfileSpec:
        _check_fit(self, self.transport)
        if isinstance(self.ingest, ConnectionIngestSpec):
            self.ingest.check(self.transport)
            _check_fit(self.ingest, self.ingest.transport(self.transport), "ingest.")
        elif isinstance(self.ingest, ListenerIngestSpec):
            self.ingest.check(self.transport)
            _check_fit(self.ingest, self.transport, "ingest.")
        elif isinstance(self.ingest, UnpublishedSpec):
            if self.code.id is None:
                raise ValueError("ingest is missing; only a profile with code.id needs none")
        elif not any("code" in names_in(each.value) for each in texts(self.ingest)):
            raise ValueError("ingest lacks {code}: use it in the body, path, query or headers")
        waits = self.after or self.confirm is not None
        if self.refuse and not waits and self.transport != "socketio":
            raise ValueError("refuse requires confirm, which ends the wait for a refusal")
        for index, before in enumerate(self.before[1:], 1):
            if before.per == "user" and self.before[index - 1].per != "user":
                raise ValueError(
                    f"before[{index}] is made per user and must precede requests made per "
                    "connection"
                )
        several = self.audience is not None and len(self.audience.names) > 1
        if self.resume is not None:
            _check_resume(self.resume, several=several, guarantee=self.guarantee)
        for each in self.texts():
            names = [*names_in(each.value)]
            if several and "channel" in names and not each.key.startswith(_ONE_CHANNEL):
                raise ValueError(
                    f"{each.key} has {{channel}}, but audience names several channels; use "
                    "{channels}, which are separated by commas, or {channel} in connect.send"
                )
            if names and not each.filled:
                raise ValueError(_not_filled(each.key, names[0]))
            if "code" in names and not each.key.startswith("ingest."):
                raise ValueError(f"{each.key} has {{code}}, which is only available in ingest")
        _check_padding(self.texts())
        return self

    @property
    def ingest_request(self) -> HttpIngestSpec:
        """The request that has a code broadcast.

        Raises:
            TypeError: codes are handed in over a connection; see `Publishing`.
        """
        if not isinstance(self.ingest, HttpIngestSpec):
            raise TypeError("codes are handed in over a connection")
        return self.ingest

    @property
    def confirms(self) -> tuple[ConfirmSpec, ...]:
        """The messages that must come before codes are owed."""
        return confirms(self.confirm)

    def texts(self) -> Iterator[Text]:
        """Return all texts that may contain names: not the values of names, nor codes' template."""
        own = ("values", "code.template")
        return (each for each in texts(self) if each.key not in own)

    def captured(self) -> set[str]:
        """Return the names that responses and messages give."""
        confirmed, after = self.confirms, self.after
        if isinstance(self.ingest, ConnectionIngestSpec):
            confirmed += self.ingest.confirms
            after += self.ingest.after
        return (
            self.captured_before(len(self.before))
            | captured_after(after)
            | {name for each in confirmed for name in each.capture}
            | (set() if self.resume is None else self.resume.names)
        )

    def captured_per_code(self) -> set[str]:
        """Return the names that the answers to the requests for a code give."""
        ingest = self.ingest
        return ingest.captured_before(None) if isinstance(ingest, HttpIngestSpec) else set()

    def captured_before(self, index: int) -> set[str]:
        """Return the names that the first `index` requests before connecting give."""
        return {name for each in self.before[:index] for name in each.capture}


def captured_after(steps: Iterable[AfterSpec]) -> set[str]:
    """Return the names that steps after connecting give."""
    return {name for each in steps for name in each.given}


def _check_resume(resume: ResumeSpec, *, several: bool, guarantee: str) -> None:
    if guarantee != "resume":
        raise ValueError('resume requires guarantee = "resume": otherwise the gap owes nothing')
    if several and any("channel" in names_in(each) for each in resume.send):
        raise ValueError(
            "resume.send has {channel}, but audience names several channels, and one value is "
            "captured for all of them"
        )


#: Keys of what carries a code.
_PADDED = re.compile(r"ingest\.(before\[\d+\]\.)?(body|send|send_hex|send_base64|payload)")


def _check_padding(all_texts: Iterable[Text]) -> None:
    """Check that ``{padding}`` is only where a code's payload can be padded, and only once.

    Raises:
        ValueError: it is not; one sentence.
    """
    keys = [each.key for each in all_texts for name in names_in(each.value) if name == "padding"]
    for key in keys:
        if _PADDED.fullmatch(key) is None:
            raise ValueError(
                f"{key} has {{padding}}, which is only available in ingest.body, ingest.send and "
                "ingest.payload"
            )
    if len(keys) > 1:
        raise ValueError(f"{keys[0]} has {{padding}} more than once; use it once")


def _not_filled(key: str, name: str) -> str:
    problem = f"{key} has {{{name}}}, but names are not replaced there"
    if key.endswith("regex"):
        return rf"{problem}; use text or fields, or write \{{{name}\}} for literal braces"
    return f"{problem}; write the text itself"


def _check_fit(table: Table, transport: str, where: str = "") -> None:
    """Check that all keys of a table apply to the transport.

    Args:
        table: a table with keys that describe a connection.
        transport: transport of that connection.
        where: prefix of the table's keys in the file.

    Raises:
        ValueError: a key does not apply; one sentence.
    """
    for key, transports in _ONLY_FOR.items():
        if transport not in transports and _is_given(table, *key.split(".")):
            raise ValueError(
                f"{where}{key} is only for {' and '.join(transports)}, not for {transport}"
            )


def _is_given(table: Table, key: str, *inner: str) -> bool:
    """Whether a table has a key, or any of the tables there has an inner one."""
    if not inner:
        return key in table.model_fields_set
    value = getattr(table, key, None)
    tables: Iterable[object] = value if isinstance(value, tuple) else (value,)
    return any(isinstance(each, Table) and _is_given(each, *inner) for each in tables)


#: Keys of texts about one channel, even if a connection subscribes to several.
_ONE_CHANNEL = ("ingest.", "connect.send", "audience.")

_ONLY_FOR: dict[str, tuple[TransportName, ...]] = {
    "connect.method": ("sse",),
    "connect.body": ("sse",),
    "connect.http": ("sse",),
    "connect.multiplex": ("sse",),
    "connect.subprotocols": ("websocket",),
    "connect.namespace": ("socketio",),
    "connect.auth": ("socketio",),
    "connect.engine": ("socketio",),
    "connect.parser": ("socketio",),
    "connect.transports": ("socketio",),
    "connect.send": ("websocket", "socketio"),
    "audience.join": ("websocket", "socketio"),
    "audience.leave": ("websocket", "socketio"),
    "audience.joined.event": ("socketio",),
    "audience.left.event": ("socketio",),
    "resume.auth": ("socketio",),
    "resume.send": ("websocket", "socketio"),
    "after.send": ("websocket", "socketio"),
    "reply.send": ("websocket", "socketio"),
    "upkeep.send": ("websocket", "socketio"),
    "upkeep.ping": ("websocket",),
    **{
        f"{table}{key}": ("websocket",)
        for table in (
            "",
            "connect.",
            "after.",
            "reply.",
            "upkeep.",
            "audience.join.",
            "audience.leave.",
        )
        for key in ("send_hex", "send_base64")
    },
    "after.event": ("socketio", "sse"),
    "confirm.event": ("socketio", "sse"),
    "refuse.event": ("socketio", "sse"),
    "end.event": ("socketio", "sse"),
    "reply.event": ("socketio", "sse"),
    "code.event": ("socketio", "sse"),
    "expect.event": ("socketio", "sse"),
}
