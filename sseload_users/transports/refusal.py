"""A server's own words where it refuses: in the body of an HTTP answer, or in a message.

h11 owns HTTP/1.1 (RFC 9112): a body may have a length, come in chunks, or end with the
connection.
"""

from __future__ import annotations

import html
import json
import re

import h11

from sseload_users.transports import Event
from sseload_users.transports.reader import READ_BYTES
from sseload_users.transports.stamped_socket import StampedSocket

#: Most bytes of an answer's head.
HEAD_BYTES = 65536
#: Most bytes of a refusal's body that are read.
_BODY_BYTES = 4096
#: Most characters of a server's words that are shown.
SHOWN = 300
#: Seconds that a refusal's body may take to come after its head.
_BODY_SECONDS = 1.0
# What a browser does not show of a page.
_UNSHOWN = re.compile(
    r"<(head|title|script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.S | re.I
)
_TITLE = re.compile(r"<title\b[^>]*>(.*?)(?:</title|\Z)", re.S | re.I)
_TAG = re.compile(r"<[^>]*(?:>|\Z)")


class Answer:
    """The answer to a request: its head and, where it refuses, the beginning of its body.

    Args:
        client: h11's connection, by which the request has been made.
        accepted: the status that does not refuse.

    Attributes:
        head: the final answer's; None before it is there.
    """

    def __init__(self, client: h11.Connection, accepted: int) -> None:
        self._client = client
        self._accepted = accepted
        self._body = b""
        self.head: h11.Response | None = None

    @classmethod
    def to_upgrade(cls, head: bytes) -> Answer:
        """The answer to a request for an upgrade that was made elsewhere.

        Args:
            head: what has been read of it.
        """
        client = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        client.send(h11.Request(method="GET", target="/", headers=[("Host", "any")]))
        client.send(h11.EndOfMessage())
        answer = cls(client, 101)
        answer.feed(head)
        return answer

    @property
    def refused(self) -> bool:
        """Whether the answer's head is there, and refuses."""
        return self.head is not None and self.head.status_code != self._accepted

    def feed(self, data: bytes) -> bool:
        """Take the next bytes of the answer; empty at its end.

        Returns:
            Whether that is enough: the whole head and, of a refusal, what it says.

        Raises:
            h11.RemoteProtocolError: this is no answer.
        """
        try:
            self._client.receive_data(data)
            while (event := self._client.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self.head = event
                    if not self.refused:
                        return True
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) >= _BODY_BYTES:
                        return True
                elif not isinstance(event, h11.InformationalResponse):
                    return True
        except h11.RemoteProtocolError:
            if self.head is None:
                raise
            return True
        return False

    def read_body(self, arrival: StampedSocket) -> None:
        """Read what a refusal says, for a second at most."""
        arrival.settimeout(min(arrival.gettimeout() or _BODY_SECONDS, _BODY_SECONDS))
        try:
            while not self.feed(arrival.recv(READ_BYTES)):
                pass
        except OSError:
            return  # what came until then has to do

    def header(self, name: str) -> str:
        """A header's value; empty if there is none."""
        if self.head is None:
            return ""
        values = (value for key, value in self.head.headers if key == name.encode())
        return ", ".join(value.decode(errors="replace") for value in values)

    @property
    def words(self) -> str:
        """What a refusal says: its body, or else the reason in its status line."""
        said = words_of_body(self._body)
        if said or self.head is None:
            return said
        return self.head.reason.decode(errors="replace")


def words_of_body(body: bytes) -> str:
    """The beginning of what a body says; of a page, what a browser would show."""
    text = body[:_BODY_BYTES].decode(errors="replace").strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        shown = html.unescape(_TAG.sub(" ", _UNSHOWN.sub(" ", text)))
        text = " ".join(shown.split()) or " ".join(html.unescape(title[1] if title else "").split())
    return text[:SHOWN].rstrip()


def words_of_event(event: Event) -> str:
    """The beginning of what a message says, as text or as JSON."""
    data = event.data
    if isinstance(data, bytes):
        data = data.decode(errors="replace")
    return words_of(data).strip("\0 \t\r\n")[:SHOWN].rstrip()


def words_of(data: object) -> str:
    """A text as it is, all else as JSON; a list's only item and a bare message as themselves."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if isinstance(data, dict) and [*data] == ["message"]:
        data = data["message"]
    if isinstance(data, str):
        return data
    try:
        return "" if data is None else json.dumps(data, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        return ""  # it is nested too deeply


def adds_to(cause: str, words: str) -> str:
    """A server's words, where they say more than the cause does; else nothing."""
    plain = words.casefold().strip(" .!")
    return "" if plain in cause.casefold() else words
