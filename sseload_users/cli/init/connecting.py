"""Find out where and how clients connect: try what is likely, the likeliest first; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from sseload_users.cli.init.draft import Draft
from sseload_users.cli.init.login import names_used

#: Where servers often have clients connect.
_USUAL = (
    ("socketio", "/socket.io/"),
    ("websocket", "/ws"),
    ("websocket", "/"),
    ("websocket", "/websocket"),
    ("websocket", "/socket"),
    ("sse", "/events"),
    ("sse", "/stream"),
    ("sse", "/sse"),
)

#: A profile's transport and [connect].
Way = dict[str, Any]


def ways(
    draft: Draft, places: Sequence[tuple[str, str]], subscribe: Sequence[str]
) -> Iterator[Way]:
    """Yield the ways in which clients may connect.

    Args:
        draft: its [connect], if it has one, is kept for its transport.
        places: transports and paths; the usual ones are tried if there are none.
        subscribe: messages to send once connected.
    """
    base = dict(draft.tables.get("connect", {}))
    kept = draft.tables.get("transport")
    if not places and kept and base:
        yield {"transport": kept, "connect": base}
        return
    for transport, place in places or _USUAL:
        split = urlsplit(place)
        own = {**base} if transport == kept else {}
        host = f"{split.scheme}://{split.netloc}" if split.netloc else ""
        own["path"] = host + (split.path or "/")
        if split.query:
            own["query"] = draft.query(split.query)
        if subscribe and transport != "sse":
            own["send"] = [_message(each) for each in subscribe]
        yield {"transport": transport, "connect": own}


def with_token(way: Way, name: str | None) -> Iterator[Way]:
    """Yield a way to connect, and then with a login's token in the usual places.

    Args:
        way: the way.
        name: that stands for the token; None if there is none.
    """
    yield way
    connect: Mapping[str, Any] = way["connect"]
    if name is None or names_used(str(connect)):
        return
    value = f"{{{name}}}"
    if way["transport"] == "socketio":
        yield {**way, "connect": {**connect, "auth": {"token": value}}}
    headers = {**connect.get("headers", {}), "Authorization": f"Bearer {value}"}
    yield {**way, "connect": {**connect, "headers": headers}}
    for key in dict.fromkeys((name, "token", "access_token")):
        query = {**connect.get("query", {}), key: value}
        yield {**way, "connect": {**connect, "query": query}}


def _message(text: str) -> Any:
    """Return a message as a profile has it: as a table or list, if it is JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text
