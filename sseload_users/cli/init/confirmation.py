"""Which message confirms a subscription, from what clients received before any code; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from sseload_users.cli.init.message import Message, labels
from sseload_users.cli.locate import Content, kind_fields

#: Kinds of messages that come again and again, so that they confirm nothing.
_PERIODIC = {"heartbeat", "keepalive", "keep-alive", "hb", "tick", "ping"}
#: A text that says the same to every client, whenever it comes.
_CONSTANT = re.compile(r"[A-Za-z][^\d\s]*")
#: A word before what differs: "SCORE 2:1".
_WORD = re.compile(r"[A-Za-z][\w-]*(?=[^\w-])")
#: Fewest characters of a word by which an answer to a subscription can be told.
_SHORTEST = 3


def find_confirmation(
    early: Sequence[Message], connections: int, sent: Sequence[Any]
) -> dict[str, Any] | None:
    """Return what describes the message that confirms a subscription; None if there is none.

    It is the first message that repeats a word of the last message that the clients sent to
    subscribe. Without one, it is the first message of all, or the second one for clients that
    sent two messages. Every client must have got one that can be described alike.

    Args:
        early: messages that came before the first code was handed in, by client, in order.
        connections: the number of clients.
        sent: messages that the clients sent to subscribe.
    """
    received: dict[int, list[Content]] = {}
    for each in early:
        received.setdefault(each.connection, []).append(each.content)
    if len(received) < connections:
        return None
    first, *others = received.values()
    words = {*_words(sent[-1])} if sent else set()
    answers = [each for each in first if any(word in str(each.data) for word in words)]
    own, *places = [[_described(each) for each in some] for some in (first, *others)]
    for content in [*answers[:1], *first[max(0, len(sent) - 1) :][:1], first[0]]:
        found = None if _is_periodic(content) else _described(content)
        # What comes more often than it was asked for is data.
        if found is None or own.count(found) > max(1, len(sent)):
            continue
        # Without a word of theirs, only its place shows that it is for the client itself.
        at = own.index(found)
        if all(
            found in some if content in answers else some[at:][:1] == [found] for some in places
        ):
            return found
    return None


def _described(content: Content) -> dict[str, Any] | None:
    """Return conditions that hold for such a message, whatever state it reports."""
    if content.event not in ("", "message"):
        return {"event": content.event}
    fields = kind_fields(content)
    if fields:
        return {"fields": fields}
    if not isinstance(content.data, str):
        return None
    try:
        value = json.loads(content.data)
    except ValueError:
        return _of_text(content.data)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return {"fields": {"[0]": value[0]}}
    if isinstance(value, dict) and value:
        return {"has": [_path(name) for name in value]}
    return None


def _of_text(text: str) -> dict[str, Any] | None:
    if _CONSTANT.fullmatch(text):
        return {"text": text}
    word = _WORD.match(text)
    return None if word is None else {"regex": rf"^{re.escape(word[0])}\b"}


def _path(name: str) -> str:
    return f'["{name}"]' if set(name) & set('.[]"') else name


def _is_periodic(content: Content) -> bool:
    return not _PERIODIC.isdisjoint(each.lower() for each in labels(content))


def _words(value: Any) -> Iterator[str]:
    """Yield the words of the texts in a message."""
    if isinstance(value, str):
        yield from (each for each in re.findall(r"[\w-]+", value) if len(each) >= _SHORTEST)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _words(each)
    elif isinstance(value, list):
        for each in value:
            yield from _words(each)
