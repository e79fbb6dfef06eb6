"""The table ``[ingest]``: a code goes in by a request, or over the publisher's connection."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, PlainValidator, StrictBool, Tag

from sseload_users.targets.schema import (
    Call,
    Confirm,
    Connect,
    Frame,
    Message,
    Model,
    Refuse,
    Reply,
    Upkeep,
)
from sseload_users.targets.template import names_in
from sseload_users.targets.texts import texts

#: What transports are called in words.
_NAMES = {"socketio": "Socket.IO", "websocket": "WebSocket"}


class HttpIngest(Call):
    """The request that has a code broadcast."""

    over: Literal["http"] = "http"

    def way(self, connect: Connect, transport: str) -> str:
        """How codes go in, in words that may be shown; see `ConnectionIngest.way`."""
        del connect, transport
        return f"{self.method} {self.path.partition('?')[0]}"


class IngestConnect(Connect):
    """Where and how the publisher connects."""

    transport: Literal["websocket", "socketio"] | None = None


def _kind_of_expect(value: object) -> str:
    return "<message>" if isinstance(value, dict | Message) else "<word>"


def _word(value: object) -> object:
    if value not in ("ack", "none"):
        raise ValueError(
            "it must be 'ack', 'none', or a table that says which message: { 'fields' = { … } }"
        )
    return value


#: What answers a code: Socket.IO's acknowledgement, a message, or nothing.
Expect = Annotated[
    Annotated[Literal["ack", "none"], PlainValidator(_word), Tag("<word>")]
    | Annotated[Message, Tag("<message>")],
    Discriminator(_kind_of_expect),
]


class ConnectionIngest(Model):
    """The message that has a code broadcast, and the connection that it is sent over."""

    over: Literal["connection"]
    send: Frame
    expect: Expect
    lines: StrictBool = False
    connect: IngestConnect | None = None
    confirm: Confirm | None = None
    refuse: tuple[Refuse, ...] = ()
    reply: tuple[Reply, ...] = ()
    upkeep: tuple[Upkeep, ...] = ()

    def transport(self, listeners: str) -> str:
        """What carries the codes in, where listeners use that."""
        own = None if self.connect is None else self.connect.transport
        return own or listeners

    def way(self, connect: Connect, transport: str) -> str:
        """How codes go in, in words that may be shown.

        Args:
            connect: where listeners connect.
            transport: that they use.
        """
        own = self.connect or connect
        transport = self.transport(transport)
        room = f", namespace {own.namespace}" if transport == "socketio" else ""
        return f"{_NAMES[transport]} message at {own.path.partition('?')[0]}{room}"

    def check(self, listeners: str) -> None:
        """Look at what must fit together.

        Args:
            listeners: the transport that they use.

        Raises:
            ValueError: something does not; one sentence.
        """
        if self.transport(listeners) == "sse":
            raise ValueError(
                "ingest.connect.transport is missing: listeners use sse, by which nothing can be "
                "sent; say 'websocket' or 'socketio'"
            )
        is_event = self.transport(listeners) == "socketio" and isinstance(self.send, list)
        if self.expect == "ack" and not is_event:
            raise ValueError(
                "ingest.expect: only a Socket.IO event is acknowledged; send a list such as "
                "['code', { 'code' = '{code}' }], or expect a message or 'none'"
            )
        if "code" not in names_in(self.send):
            raise ValueError("ingest.send has no {code}: put it where the server looks for it")
        for each in texts(self, "ingest"):
            if _before_codes(each.key) and "code" in names_in(each.value):
                raise ValueError(
                    f"{each.key} has {{code}}, which is only known in ingest.send, ingest.expect "
                    "and ingest.refuse"
                )


def _before_codes(key: str) -> bool:
    return key.startswith(("ingest.connect", "ingest.confirm", "ingest.reply", "ingest.upkeep"))


def says_code(message: Message) -> bool:
    """Whether a message is described by the code that it is about."""
    return any("code" in names_in(each.value) for each in texts(message))


def _way_in(value: object) -> str | None:
    over = value.get("over", "http") if isinstance(value, dict) else getattr(value, "over", "http")
    return f"<{over}>" if over in ("http", "connection") else None


#: How codes go in. The tags say which of the two a mistake was made in.
Ingest: TypeAlias = Annotated[
    Annotated[HttpIngest, Tag("<http>")] | Annotated[ConnectionIngest, Tag("<connection>")],
    Discriminator(
        _way_in,
        custom_error_type="way_in",
        custom_error_message="over must be 'http' or 'connection'",
    ),
]
