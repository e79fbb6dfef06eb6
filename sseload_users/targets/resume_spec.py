"""The table about returning: what a connection sends so that the server sends what it missed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, model_validator

from sseload_users.targets.schema import MessageCaptures, MessageSpec, Table, defaults
from sseload_users.targets.session_spec import ConnectSpec
from sseload_users.targets.value_types import (
    NAMES_AS_KEYS,
    Frame,
    HeaderTable,
    ValuePath,
    check_names,
    json_value,
)


class NextSpec(MessageSpec):
    """A message that says the number of the next message that is counted."""

    number: ValuePath
    """Path to the number."""


class CountSpec(MessageSpec):
    """The messages that are counted under a name."""

    next: NextSpec | None = None
    """The message with which the server says the number of the next one, if it begins again with
    earlier messages."""


class ResumeSpec(Table):
    """What a connection that returns sends, so that the server sends what it missed."""

    capture: MessageCaptures = Field(default_factory=dict)
    """Names, and where their values are in messages. A value is that of the newest message that has
    one. Only this table and `[[upkeep]]` can use them."""
    count: Annotated[dict[str, CountSpec], AfterValidator(check_names), NAMES_AS_KEYS] = Field(
        default_factory=dict
    )
    """Names, and which messages are counted under them. A value is the number of the newest such
    message, from 1 on, or 0. Only this table and `[[upkeep]]` can use them."""
    before: StrictBool = True
    """Whether a connection that returns makes the requests of `[[before]]` again. If not, it uses
    what they returned at first; if the server then refuses it, it starts anew."""
    query: dict[str, str] = Field(default_factory=dict)
    """Parameters to add to the URL, beside those of `[connect]`."""
    headers: HeaderTable = Field(default_factory=dict)
    """Headers to send, beside those of `[connect]`."""
    auth: Annotated[dict[str, Any], AfterValidator(json_value)] | None = None
    """What to add to the `auth` payload of `[connect]`. Only for Socket.IO."""
    send: tuple[Frame, ...] = ()
    """Messages that take the place of those of `[connect]`, as a list. Not for server-sent
    events."""

    @model_validator(mode="after")
    def _says_what(self) -> ResumeSpec:
        if not (self.capture or self.count or not self.before):
            raise ValueError(
                "missing capture: name a value of the newest message, or count messages"
            )
        if self.capture.keys() & self.count.keys():
            raise ValueError("capture and count have a name in common; choose another")
        if not (self.query or self.headers or self.auth or self.send):
            raise ValueError("missing use of what is captured: give query, headers, auth or send")
        return self

    @property
    def names(self) -> set[str]:
        """The names that it gives."""
        return {*self.capture, *self.count}

    @property
    def initial(self) -> dict[str, str]:
        """The values before the first message."""
        return defaults(self.capture) | dict.fromkeys(self.count, "0")

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
