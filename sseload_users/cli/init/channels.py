"""Find the name of a channel in a draft, where clients subscribe and where codes go; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any
from urllib.parse import urlsplit

from sseload_users.targets.redaction import is_secret_name

#: What stands for a channel in a profile.
CHANNEL = "{channel}"
#: Tables by which a client comes to its channel, and those by which a code does.
_SUBSCRIBING, _SENDING = ("before", "connect", "after"), ("ingest",)
#: Tables in which a channel's name is replaced.
_REPLACED = (*_SUBSCRIBING, *_SENDING, "confirm", "upkeep")
#: Keys whose texts name no channel: they are the protocol's.
_PROTOCOL = ("method", "transports", "subprotocols", "over", "capture", "expect", "confirm")
#: Headers whose texts name no channel.
_HEADERS = ("origin", "referer", "content-type", "cookie", "authorization")
#: Words that say what is to be done, and nothing of where; in plural, too.
_ACTIONS = frozenset({
    "broadcast", "code", "connect", "data", "event", "in", "ingest", "join", "json", "listen",
    "message", "msg", "notify", "out", "ping", "post", "publish", "push", "query", "say", "send",
    "sender", "sub", "subscribe", "subscription", "text", "token", "type", "update",
})  # fmt: skip
#: Words that say what kind of thing something is, and not which one, unless they are a text alone.
_GENERAL = frozenset({
    "api", "app", "ask", "cable", "channel", "chat", "client", "feed", "graphql", "group", "hub",
    "live", "news", "notice", "notification", "online", "public", "realtime", "rest", "room",
    "rpc", "service", "session", "socket", "sse", "stream", "topic", "user", "websocket", "ws",
})  # fmt: skip
#: How likely a word names a channel, by where it is.
_IN_PATH, _IN_TEXT, _WHOLE = 1, 2, 3
#: Fewest and most characters of a channel's name.
_LENGTHS = range(2, 61)
#: A name in braces, which stands for something else.
_NAME = re.compile(r"\{[A-Za-z_]\w*\}")
#: A part of a text such as "room:lobby", "/rooms/lobby" or '["join","lobby"]'.
_PART = re.compile(r"[^\s:/,;|#\"'\[\](){}=&?]+")


def channel_names(tables: Mapping[str, Any]) -> dict[str, bool]:
    """Return words that may name a channel, the likeliest first.

    These are in what clients send to subscribe, and in the request for a code.

    Args:
        tables: a profile's.

    Returns:
        For each word whether it is anywhere but in paths, where it may as well be a folder.
    """
    subscribing, sending = _words(tables, _SUBSCRIBING), _words(tables, _SENDING)
    # A whole text is likelier than a part of one, and a value than a part of a path.
    likely = {each: subscribing[each] + sending[each] for each in subscribing if each in sending}
    in_paths = 2 * _IN_PATH
    return {
        each: likely[each] > in_paths for each in sorted(likely, key=lambda each: -likely[each])
    }


def with_channel(tables: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a profile's tables with `{channel}` in place of a channel's name.

    The name itself becomes the value of `{channel}` in a run without channels.

    Args:
        tables: the profile's.
        name: the channel's.
    """
    word = _word(name)

    def replaced(text: str) -> str:
        return word.sub(lambda _: CHANNEL, text)

    made = {
        table: _mapped(value, replaced) if table in _REPLACED else value
        for table, value in tables.items()
    }
    made["values"] = {**tables.get("values", {}), "channel": name}
    # A code is found in the same place, whatever channel it came by.
    code = {key: each for key, each in tables.get("code", {}).items() if key != "fields"}
    fields = tables.get("code", {}).get("fields", {})
    kept = {path: value for path, value in fields.items() if not word.search(str(value))}
    if word.search(str(code.get("event", ""))):
        del code["event"]
    if code:
        made["code"] = {**code, **({"fields": kept} if kept else {})}
    return made


def names_channel(tables: Mapping[str, Any], name: str) -> tuple[bool, bool]:
    """Return whether a name is in what clients send to subscribe, and in the request for a code."""
    word = _word(name)
    found = [
        any(word.search(text) for table in some for _, text in _texts(tables.get(table), (table,)))
        for some in (_SUBSCRIBING, _SENDING)
    ]
    return found[0], found[1]


def _word(name: str) -> re.Pattern[str]:
    """Return what finds a channel's name in a text, but not as a part of a longer word."""
    return re.compile(rf"(?<![\w.{{-]){re.escape(name)}(?![\w.}}-])")


def _words(tables: Mapping[str, Any], some: Sequence[str]) -> dict[str, int]:
    """Return the words of some tables that may name a channel, with how likely each does."""
    found: dict[str, int] = {}
    for table in some:
        for keys, text in _texts(tables.get(table), (table,)):
            in_path = keys[-1] == "path"
            for part in _PART.findall(urlsplit(text).path if in_path else text):
                likely = _IN_PATH if in_path else _IN_TEXT if part != text else _WHOLE
                if _may_name(part, _ACTIONS if likely == _WHOLE else _ACTIONS | _GENERAL):
                    found[part] = max(likely, found.get(part, 0))
    return found


def _may_name(word: str, excluded: Set[str]) -> bool:
    plain = word.lower()
    return (
        len(word) in _LENGTHS
        and not {plain, plain.removesuffix("s")} & excluded
        and re.fullmatch(r"v?\d+(\.\d+)*", plain) is None
        and any(map(str.isalnum, word))
    )


def _texts(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the texts that may have a channel's name, with the keys that lead to each."""
    if isinstance(value, str):
        if not is_secret_name(keys[-1]):
            yield keys, _NAME.sub(" ", value)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if key not in _PROTOCOL and not (keys[-1] == "headers" and key.lower() in _HEADERS):
                yield from _texts(each, (*keys, key))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, keys)


def _mapped(value: Any, change: Callable[[str], str], key: str = "") -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {
            name: each
            if name in _PROTOCOL or (key == "headers" and name.lower() in _HEADERS)
            else _mapped(each, change, name)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_mapped(each, change, key) for each in value]
    return value
