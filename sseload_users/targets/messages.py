"""Match received messages against a profile's descriptions."""

from __future__ import annotations

import re
from collections.abc import Callable

from sseload_users.core.formatting import clean, shorten
from sseload_users.targets.batches import BatchTable, json_values
from sseload_users.targets.paths import MISSING, has_values, json_or_missing, scalar_text
from sseload_users.targets.requests import matched_text
from sseload_users.targets.schema import CodeSpec, MessageSpec, RefuseSpec, SentSpec
from sseload_users.targets.template import Json
from sseload_users.transports import Malformed, ParsedMessage

_UNREAD = object()


class ReceivedMessage:
    """One message; its JSON is parsed on first use.

    Attributes:
        name: the event's name; empty if the transport has none.
        text: the message's text; for a Socket.IO event the first argument, if it is a text. Of a
            binary message, each byte is the character with its number (ISO 8859-1).
    """

    __slots__ = ("_value", "name", "text")

    def __init__(self, name: str, text: str, value: Json = _UNREAD) -> None:
        self.name = name
        self.text = text
        self._value = value

    @property
    def value(self) -> Json:
        """The message as a JSON value, or ``MISSING`` if it is not JSON."""
        if self._value is _UNREAD:
            self._value = json_or_missing(self.text)
        return self._value

    @property
    def broken(self) -> bool:
        """Whether it begins like a JSON object or array but is no JSON value, nor several."""
        return (
            self.value is MISSING
            and self.text.lstrip()[:1] in {"{", "["}
            and any(json_or_missing(each) is MISSING for each in json_values(self.text))
        )


def messages_in(event: ParsedMessage, batches: BatchTable) -> list[ReceivedMessage]:
    """Return the messages in an event.

    Args:
        event: what the transport received.
        batches: tells how an event contains several messages. Of a Socket.IO event, the first
            argument does, if it is a text.
    """
    data = event.data
    if isinstance(data, str):
        return [ReceivedMessage(event.name, text) for text in batches.parts(data)]
    if isinstance(data, bytes):
        return [ReceivedMessage(event.name, data.decode("latin-1"), MISSING)]
    if not isinstance(data, list):
        return []
    if data and isinstance(data[0], str):
        further = data[1:]
        texts = batches.parts(data[0])
        return [ReceivedMessage(event.name, text, [text, *further]) for text in texts]
    text = data[0].decode("latin-1") if data and isinstance(data[0], bytes) else ""
    return [ReceivedMessage(event.name, text, data)]


def matches(message: MessageSpec, what: ReceivedMessage) -> bool:
    """Whether a message meets all conditions of a profile's description."""
    if message.event is not None and what.name != message.event:
        return False
    if message.text is not None and what.text != message.text:
        return False
    if message.contains is not None and message.contains not in what.text:
        return False
    if message.regex is not None and message.regex.search(what.text) is None:
        return False
    return has_values(message.fields, what.value) and all(
        path.find(what.value) is not MISSING for path in message.has
    )


def refusal_cause(refuse: RefuseSpec, what: ReceivedMessage, hide: Callable[[str], str]) -> str:
    """Return a refusal's cause: the profile's, and the server's own words, if any.

    Args:
        refuse: the description of the refusal.
        what: the message.
        hide: redacts secrets.
    """
    words = server_text_of(refuse, what, hide)
    return f"{refuse.cause}: {countable(words)}" if words else refuse.cause


def server_text_of(refuse: RefuseSpec, what: ReceivedMessage, hide: Callable[[str], str]) -> str:
    """Return the server's own words in a refusal; empty if there are none.

    Args:
        refuse: the description of the refusal.
        what: the message.
        hide: redacts secrets.
    """
    words: object = None
    if refuse.reason is not None:
        words = refuse.reason.find(what.value)
    elif refuse.regex is not None and refuse.regex.groups:
        words = matched_text(refuse.regex, what.text)
    return clean(hide(words)).strip() if isinstance(words, str) else ""


def countable(words: str) -> str:
    """Shorten a server's words to a cause that is the same for all connections and codes.

    Numbers and identifiers are replaced: they would make each refusal a cause of its own.
    """
    return shorten(re.sub(r"\b[0-9a-fA-F-]*\d[0-9a-fA-F-]{2,}\b", "…", words), 80)


#: Limits of an id: characters of a text, and digits of a number in a row.
_MAX_ID, _MAX_DIGITS = 256, 15


def find_sightings(code: CodeSpec, what: ReceivedMessage) -> list[tuple[str, int | None]]:
    """Return what identifies a message that others sent, and its time of sending (ns).

    With ``[*]`` in the path, a message may have several; the time is that of them all.

    Raises:
        Malformed: the message should be JSON but is not, or an id or the time is invalid.
    """
    if code.id is None or (code.event is not None and what.name != code.event):
        return []
    if what.broken:
        raise Malformed("bad JSON")
    if code.fields and not has_values(code.fields, what.value):
        return []
    path = code.id
    values = path.find_all(what.value) if path.has_wildcard else (path.find(what.value),)
    ids = [text for each in values if (text := scalar_text(each)) is not None]
    for each in ids:
        if len(each) > _MAX_ID:
            raise Malformed(f"id of more than {_MAX_ID} characters")
        number = each.isascii() and each.isdecimal() and len(each) <= _MAX_DIGITS
        if code.sequence and not (number and each[0] != "0"):
            raise Malformed("id is not a number from 1, without leading zeros")
    sent_ns = None
    if ids and code.sent is not None:
        sent_ns = _time_ns(code.sent, what)
    return [(each, sent_ns) for each in ids]


def _time_ns(sent: SentSpec, what: ReceivedMessage) -> int:
    given = sent.path.find(what.value)
    try:
        # An integer stays exact: nanoseconds do not fit into a float.
        time = int(given) if isinstance(given, int) else float(given)
        found = round(time * sent.unit_ns)
    except (TypeError, ValueError, OverflowError):
        raise Malformed("the time of sending is not a number") from None
    if isinstance(given, bool) or not 0 < found < 1 << 63:
        raise Malformed("the time of sending is not a time")
    return found


def find_codes(code: CodeSpec, what: ReceivedMessage) -> list[str]:
    """Return the texts of the codes in a message, in their order.

    Raises:
        Malformed: the message should be JSON but is not.
    """
    if code.event is not None and what.name != code.event:
        return []
    if (code.field is not None or code.fields) and what.broken:
        raise Malformed("bad JSON")
    if code.fields and not has_values(code.fields, what.value):
        return []
    if code.field is not None:
        values = (
            code.field.find_all(what.value)
            if code.field.has_wildcard
            else (code.field.find(what.value),)
        )
        return [text for each in values if (text := scalar_text(each)) is not None]
    if code.regex is not None:
        found = code.regex.finditer(what.text)
        return [text for each in found if (text := each[code.regex.groups]) is not None]
    return [what.text]
