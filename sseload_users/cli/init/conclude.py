"""What a profile must say, from the messages that a few clients received; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sseload_users.cli.init.confirmation import find_confirmation
from sseload_users.cli.init.message import Message, labels
from sseload_users.cli.locate import (
    CODE_REGEX,
    Location,
    kind_fields,
    kind_of,
    locate,
)

_PINGS = ("ping", "PING", "Ping")


@dataclass(slots=True)
class Conclusion:
    """Keys of a profile, and what is to be said about them.

    Attributes:
        tables: tables and keys at the profile's top level.
        comments: comments on some of them, by name.
        notes: what the user should know, each a sentence.
    """

    tables: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def conclude(
    early: Sequence[Message],
    carriers: Sequence[Message],
    connections: int,
    sent: Sequence[Any] = (),
) -> Conclusion:
    """Return what a profile must say.

    Args:
        early: messages that came before the first code was handed in, by client, in order.
        carriers: messages with codes, by client, in order.
        connections: the number of clients.
        sent: messages that the clients sent to subscribe.
    """
    made = Conclusion()
    location = _find_code(carriers, connections, made)
    for key, value in location.framing:
        made.tables[key] = value
        made.comments[key] = "A payload can hold several messages."
    confirm = find_confirmation(early, connections, sent)
    if confirm is not None:
        made.tables["confirm"] = confirm
        made.comments["confirm"] = (
            "Codes are owed once this message has come, which every new client gets."
        )
    _find_pings(early, made)
    return made


def _find_code(carriers: Sequence[Message], connections: int, made: Conclusion) -> Location:
    kinds: dict[tuple[object, ...], list[Message]] = {}
    for each in carriers:
        kinds.setdefault(kind_of(each.content), []).append(each)
    # The kind that most clients get: an answer to the sender alone is another kind.
    best = max(kinds.values(), key=_reach)
    # A message with several codes shows more of how messages are put together.
    shown = max(best, key=lambda each: len(each.codes))
    location = locate(shown.content, shown.codes)
    made.tables["code"] = location.keys(with_kind=len(kinds) > 1)
    made.comments["code"] = "Where the code is in a message."
    if made.tables["code"].get("regex") == CODE_REGEX:
        made.comments["code"] += (
            " It is found by its shape here; a path (field) costs less, if there is one."
        )
    elif len(kinds) > 1 and location.kind:
        made.comments["code"] += " Messages of other kinds carry it, too."
    reached = _reach(best)
    if reached < connections:
        made.notes.append(
            f"Only {reached} of {connections} clients received the code. `sseload check` shows "
            "which, and what that can mean."
        )
    return location


def _reach(some: Iterable[Message]) -> int:
    """Return how many clients received one of these messages."""
    return len({each.connection for each in some})


def _find_pings(early: Sequence[Message], made: Conclusion) -> None:
    for each in early:
        if not any(word in labels(each.content) for word in _PINGS):
            continue
        content = each.content
        if isinstance(content.data, list) or content.event:
            continue
        if content.data in _PINGS:
            made.tables["reply"] = [{"text": content.data, "send": _pong(str(content.data))}]
        else:
            message = json.loads(str(content.data))
            answer = {
                name: _pong(value) if value in _PINGS else value for name, value in message.items()
            }
            made.tables["reply"] = [{"fields": kind_fields(content), "send": answer}]
        made.comments["reply"] = "A guess: the server sends pings, and expects pongs."
        return


def _pong(text: str) -> str:
    return text.replace("ing", "ong").replace("ING", "ONG")
