"""Ask on a terminal for what the arguments do not say."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from sseload_users.cli.init import curl
from sseload_users.cli.init.login import with_plain_names
from sseload_users.core.errors import ConfigError

_SEND = "The request that makes a message appear, as the browser copies it (cURL): "
_CONNECT = (
    "Where clients connect: a path such as /ws, or the request as the browser copies it (Enter "
    "to try the usual places): "
)
_SUBSCRIBE = "A message that clients send once connected (Enter for none): "
_CHANNEL = "Is {} the name of a channel (a room, a topic, a group) of several? (y/N): "


def can_ask() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


def ask_send() -> str:
    """Return the request that hands a code in.

    Raises:
        ConfigError: nobody can answer.
    """
    if not can_ask():
        raise ConfigError(
            "--send is missing. Give the request that hands a code in, as a browser copies it: "
            "--send 'curl …'; or a recording: --har FILE."
        )
    return _answer(_SEND)


def ask_connect() -> list[tuple[str, curl.CopiedRequest]]:
    """Return transports and handshakes by which clients may connect; none if that is not known."""
    answer = _answer(_CONNECT).strip()
    if not answer:
        return []
    request = handshake(answer)
    path = urlsplit(request.url).path
    if path.rstrip("/").endswith("socket.io"):
        return [("socketio", request)]
    if request.method == "POST":
        return [("sse", request)]
    return [("websocket", request), ("sse", request)]


def ask_subscribe() -> list[str]:
    """Return the messages that clients send once connected."""
    answer = _answer(_SUBSCRIBE).strip()
    return [with_plain_names(answer)] if answer else []


def ask_whether_channel(name: str) -> bool:
    """Whether a word is the name of a channel; False if nobody can answer."""
    return can_ask() and _answer(_CHANNEL.format(name)).strip().lower() in ("y", "yes")


def handshake(text: str) -> curl.CopiedRequest:
    """Return the handshake that a path says, or a request that a browser copied.

    Raises:
        ConfigError: the request cannot be read.
    """
    text = with_plain_names(text)
    if text.lstrip().startswith("curl "):
        return curl.parse(text)
    return curl.CopiedRequest("GET", text, ())


def _answer(question: str) -> str:
    """Return an answer; a backslash at the end of a line continues it, as in a shell."""
    lines = [input(question)]
    while lines[-1].endswith("\\"):
        lines.append(input())
    return "\n".join(lines)
