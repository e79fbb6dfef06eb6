"""Find where a code is in the messages that carried it; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sseload_users.targets.template import names_in
from sseload_users.transports import Malformed, TransportName
from sseload_users.transports.registry import transport_for

#: Found in any text around a code of the default shape.
CODE_REGEX = "LT-[0-9a-z]+-[0-9]+-[0-9a-z]+"

#: Names of fields that say what kind of message this is.
_KINDS = (
    "type", "event", "eventtype", "event_type", "messagetype", "message_type", "op", "kind", "t",
    "action", "cmd", "method", "topic", "channel",
)  # fmt: skip
#: Names of fields that a code is in more likely than in others, the likeliest first.
_LIKELY = ("code", "message", "msg", "text", "content", "body", "value", "data", "payload")
#: A step into a list of which every element may carry a code.
_ALL = "[*]"


@dataclass(frozen=True, slots=True)
class Content:
    """The content of one message.

    Attributes:
        event: the event's name in Socket.IO and event streams; empty for none.
        data: a text, bytes that are no text, or the list of a Socket.IO event's arguments.
    """

    event: str
    data: object


@dataclass(frozen=True, slots=True)
class Location:
    """Where a code is, in a profile's words.

    Attributes:
        framing: what stands at the profile's top level: "lines", "separator" or "concatenated"
            with its value; empty if a payload is a message.
        code: the keys of the profile's [code].
        kind: fields and values that messages of this kind have.
    """

    framing: tuple[tuple[str, object], ...]
    code: tuple[tuple[str, object], ...]
    kind: tuple[tuple[str, object], ...] = ()

    def keys(self, *, with_kind: bool) -> dict[str, Any]:
        """Return the keys of [code].

        Args:
            with_kind: whether other kinds of messages carry the code, too.
        """
        fields = {"fields": dict(self.kind)} if with_kind and self.kind else {}
        return {**dict(self.code), **fields}

    def __str__(self) -> str:
        code, framing = dict(self.code), dict(self.framing)
        where = "the whole text"
        if "field" in code:
            where = f"at {code['field']}"
        elif "regex" in code:
            where = "inside a text or binary data that is no JSON"
        if "event" in code:
            where += f" of the event {code['event']}"
        if "lines" in framing:
            where += ", one message a line"
        elif framing:
            where += ", several messages in one payload"
        return where

    @property
    def hint(self) -> str:
        """What to write in a profile."""
        framing = ", ".join(f"{name} = {json.dumps(value)}" for name, value in self.framing)
        code = ", ".join(f"{name} = {json.dumps(value)}" for name, value in self.code)
        if framing:
            return f"Write {framing} at the top of the profile, and in its [code]: {code}"
        return f"Write in the profile's [code]: {code}"


def content_of(kind: TransportName, payload: bytes) -> Content | None:
    """Return the content of a payload; None if it is no message, or cannot be decoded."""
    try:
        message = transport_for(kind).parse(payload)
    except Malformed:
        return None
    return None if message is None else Content(message.name, message.data)


def locate(content: Content, codes: Sequence[str]) -> Location:
    """Return where codes are in a message that contains at least one of them.

    Args:
        content: the message.
        codes: texts of the codes.
    """
    event = (("event", content.event),) if content.event not in ("", "message") else ()
    if isinstance(content.data, list):
        # An event's arguments have fixed places.
        path = _path(content.data, codes, fixed=True)
        found = (("field", path),) if path else (("regex", CODE_REGEX),)
        return Location((), (*event, *found), _kind(content.data[0] if content.data else None))
    if isinstance(content.data, bytes):
        return Location((), (*event, ("regex", CODE_REGEX)))
    text = str(content.data)
    for framing, units in _framings(text):
        for unit in units:
            path = _path(unit, codes)
            if path is not None:
                return Location(framing, (*event, ("field", path)), _kind(unit))
    if text in codes:
        return Location((), (*event, ("whole", True)))
    lines = text.splitlines()
    if len(lines) > 1 and any(line in codes for line in lines):
        return Location((("lines", True),), (*event, ("whole", True)))
    return Location((), (*event, ("regex", CODE_REGEX)))


def kind_of(content: Content) -> tuple[object, ...]:
    """Return what tells a message's kind from others: its event, and fields such as `type`."""
    data = content.data
    if isinstance(data, list):
        data = data[0] if data else None
    elif isinstance(data, str):
        data = _json(data)
    return (content.event, *_kind(data))


def kind_fields(content: Content) -> dict[str, object]:
    """Return the fields by which a message's kind can be told; empty if it has none."""
    data = _json(content.data) if isinstance(content.data, str) else content.data
    return dict(_kind(data))


def _framings(text: str) -> Iterator[tuple[tuple[tuple[str, object], ...], Sequence[Any]]]:
    """Yield the ways to take a text as JSON, the simplest first, with the values that gives."""
    whole = _json(text)
    if isinstance(whole, dict | list):
        yield (), [whole]
        return
    for key, value, parts in (
        ("separator", "\x1e", text.split("\x1e")),
        ("lines", True, text.split("\n")),
    ):
        filled = [part for part in parts if part.strip()]
        values = [_json(part) for part in filled]
        if len(parts) > 1 and values and all(isinstance(each, dict | list) for each in values):
            yield ((key, value),), values
            return
    concatenated = _concatenated(text)
    if len(concatenated) > 1:
        yield (("concatenated", True),), concatenated


def _concatenated(text: str) -> list[Any]:
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            return []
        found.append(value)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def _path(value: Any, codes: Sequence[str], *, fixed: bool = False) -> str | None:
    """Return the path to a text that is one of the codes; None if there is none."""
    leaves = _leaves(value, (), fixed=fixed)
    found: list[tuple[str, ...]] = [steps for steps, leaf in leaves if leaf in codes]
    # A profile would take a key such as "{id}" for a name.
    found = [steps for steps in found if not any(names_in(steps))]
    if not found:
        return None
    return _text(min(found, key=_rank))


def _rank(steps: Sequence[str]) -> tuple[int, int]:
    name = steps[-1] if steps else ""
    likely = _LIKELY.index(name) if name in _LIKELY else len(_LIKELY)
    return len(steps), likely


def _leaves(
    value: Any, steps: tuple[str, ...], *, fixed: bool = False
) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield steps, value
        inner = _json(value)
        if isinstance(inner, dict | list):
            yield from _leaves(inner, steps)
    elif isinstance(value, Mapping):
        for name, child in value.items():
            yield from _leaves(child, (*steps, name))
    elif isinstance(value, list):
        same = not fixed and _are_alike(value)
        for index, child in enumerate(value):
            yield from _leaves(child, (*steps, _ALL if same else f"[{index}]"))


def _are_alike(values: Iterable[Any]) -> bool:
    """Whether the elements of a list are of one kind, so that there may be more or fewer."""
    shapes = {tuple(sorted(each)) if isinstance(each, dict) else type(each) for each in values}
    return len(shapes) == 1 and not shapes <= {str}


def _text(steps: Sequence[str]) -> str:
    text = ""
    for step in steps:
        if step == _ALL or (step.startswith("[") and step[1:-1].isdigit()):
            text += step
        elif set(step) & set('.[]"'):
            text += f'["{step}"]'
        else:
            text += f".{step}" if text else step
    return text


def _kind(value: Any) -> tuple[tuple[str, object], ...]:
    if not isinstance(value, Mapping):
        return ()
    named = [name for name in value if name.lower() in _KINDS and _is_label(value[name])]
    named.sort(key=lambda name: _KINDS.index(name.lower()))
    return tuple((name, value[name]) for name in named)


def _is_label(value: object) -> bool:
    """Whether a value names a kind: a short text, or a number too small to be a time."""
    if isinstance(value, str):
        return 0 < len(value) <= 60
    return isinstance(value, int) and 0 <= value < 1000


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
