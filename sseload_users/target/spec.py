"""What a profile's file says as a whole, and what in it must fit together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool, model_validator

from sseload_users.target.schema import (
    Advice,
    Before,
    Call,
    Code,
    Confirm,
    Connect,
    Model,
    Refuse,
    Reply,
    TransportName,
    Upkeep,
    Verify,
    named,
)
from sseload_users.target.template import names_in
from sseload_users.target.texts import Text, texts


class Spec(Model):
    """A profile's file."""

    transport: TransportName
    lines: StrictBool = False
    values: Annotated[dict[str, str], AfterValidator(named)] = Field(default_factory=dict)
    health: Call | None = None
    verify: Verify | None = None
    before: tuple[Before, ...] = ()
    connect: Connect
    confirm: Confirm | None = None
    refuse: tuple[Refuse, ...] = ()
    reply: tuple[Reply, ...] = ()
    upkeep: tuple[Upkeep, ...] = ()
    code: Code
    ingest: Call
    advice: tuple[Advice, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        for key, transports in _ONLY_FOR.items():
            if self.transport not in transports and self._is_given(*key.split(".")):
                raise ValueError(
                    f"{key} is only for {' and '.join(transports)}, not for {self.transport}"
                )
        if self.refuse and self.confirm is None and self.transport != "socketio":
            raise ValueError(
                "refuse is looked at until a message confirms the subscription; give confirm, too"
            )
        for index, before in enumerate(self.before[1:], 1):
            if before.per == "user" and self.before[index - 1].per != "user":
                raise ValueError(
                    f"before[{index}] is made once for each user, and stands behind one that each "
                    "connection makes; put it first"
                )
        if not any("code" in names_in(each.value) for each in texts(self.ingest)):
            raise ValueError("ingest has no {code}: put it into its body, path, query or headers")
        for each in self.texts():
            names = [*names_in(each.value)]
            if names and not each.filled:
                raise ValueError(_not_filled(each.key, names[0]))
            if "code" in names and not each.key.startswith("ingest."):
                raise ValueError(f"{each.key} has {{code}}, which is only known in ingest")
        return self

    def _is_given(self, key: str, inner: str = "") -> bool:
        """Whether the file has a key, or any of the tables there has an inner one."""
        if not inner:
            return key in self.model_fields_set
        value = getattr(self, key)
        tables: Iterable[Model | None] = value if isinstance(value, tuple) else (value,)
        return any(table is not None and inner in table.model_fields_set for table in tables)

    def texts(self) -> Iterator[Text]:
        """Every text that may have names in it: not the values of names, nor codes' template."""
        own = ("values", "code.template")
        return (each for each in texts(self) if each.key not in own)

    def captured(self) -> set[str]:
        """The names that answers and the confirming message give."""
        confirmed = set() if self.confirm is None else {*self.confirm.capture}
        return self.captured_before(len(self.before)) | confirmed

    def captured_before(self, index: int) -> set[str]:
        """The names that the answers to the first so many requests before connecting give."""
        return {name for each in self.before[:index] for name in each.capture}


def _not_filled(key: str, name: str) -> str:
    said = f"{key} has {{{name}}}, but names are not replaced there"
    if key.endswith("regex"):
        return rf"{said}; use text or fields, or write \{{{name}\}} for the braces themselves"
    return f"{said}; write the text itself"


_ONLY_FOR: dict[str, tuple[TransportName, ...]] = {
    "connect.subprotocols": ("websocket",),
    "connect.namespace": ("socketio",),
    "connect.auth": ("socketio",),
    "connect.send": ("websocket", "socketio"),
    "reply": ("websocket", "socketio"),
    "upkeep.send": ("websocket", "socketio"),
    "confirm.event": ("socketio", "sse"),
    "refuse.event": ("socketio", "sse"),
    "reply.event": ("socketio", "sse"),
    "code.event": ("socketio", "sse"),
    "lines": ("websocket",),
}
