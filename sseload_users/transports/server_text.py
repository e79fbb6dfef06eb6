"""The text that a server sends when it refuses something, in a form to show to people."""

from __future__ import annotations

import html
import json
import re
import string

from sseload_users.transports import ParsedMessage

#: Most characters of a server's text that are shown.
MAX_TEXT = 300
#: Most bytes of a response's body that are searched for text.
MAX_BODY = 4096
# What a browser does not display.
_HIDDEN = re.compile(
    r"<(head|title|script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.S | re.I
)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)(?:</title|\Z)", re.S | re.I)
_TAG = re.compile(r"<[^>]*(?:>|\Z)")
_DIGITS, _PUNCTUATION = frozenset(string.digits), string.punctuation
_LONGEST_CAUSE, _LONGEST_WORD, _LONGEST_NUMBER = 80, 30, 3


def body_text(body: bytes) -> str:
    """Return the beginning of a response body's text; of HTML, what a browser displays."""
    text = body[:MAX_BODY].decode(errors="replace").strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        displayed = html.unescape(_TAG.sub(" ", _HIDDEN.sub(" ", text)))
        text = " ".join(displayed.split())
        if not text and title is not None:
            text = " ".join(html.unescape(title[1]).split())
    return text[:MAX_TEXT].rstrip()


def message_text(message: ParsedMessage) -> str:
    """Return the beginning of a message's data, as text or as JSON."""
    data = message.data
    if isinstance(data, bytes):
        data = data.decode(errors="replace")
    return data_text(data).strip("\0 \t\r\n")[:MAX_TEXT].rstrip()


def data_text(data: object) -> str:
    """Return a string as it is and anything else as JSON; empty if there is nothing.

    A list's only item and an object's only key ``message`` stand for the whole.
    """
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if isinstance(data, dict) and [*data] == ["message"]:
        data = data["message"]
    if isinstance(data, str):
        return data
    try:
        return "" if data is None else json.dumps(data, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        return ""  # nested too deeply


def text_beyond(cause: str, text: str) -> str:
    """Return a server's text if it says more than the cause; else an empty text."""
    plain = text.casefold().strip(" .!")
    return "" if plain in cause.casefold() else text


def countable_cause(text: str) -> str:
    """Return a server's message as a short cause that is the same for all connections."""
    plain = "".join(each if each.isprintable() else " " for each in text[:500]).lower()
    kept = ("…" if _is_specific(word.strip(_PUNCTUATION)) else word for word in plain.split())
    return " ".join(kept)[:_LONGEST_CAUSE].rstrip(" .!")


def _is_specific(word: str) -> bool:
    """Whether a word may differ between connections, or be a secret.

    These are IDs, addresses, tokens and names with numbers. Short numbers, such as an HTTP
    status, are kept.
    """
    if len(word) > _LONGEST_WORD or "@" in word:
        return True
    return len(word) > _LONGEST_NUMBER and not _DIGITS.isdisjoint(word)
