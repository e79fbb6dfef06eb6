"""Answers to codes whose heads came before."""

from __future__ import annotations

from dataclasses import dataclass

from sseload_users.transports.http_request import HttpResponse
from sseload_users.transports.known_heads import HEAD_END, MAX_KNOWN_BYTES, KnownHeads

#: Headers that say how the bytes after the head give the body, beside its length.
_ENCODING = frozenset({"transfer-encoding", "content-encoding"})


class KnownAnswers:
    """The heads of answers that a parser has read, so that it need not read them again.

    For a second, a server answers each code with the same head: only its date changes.
    """

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        # By the request's method, on which an answer's framing depends (RFC 9112 §6.3), and the
        # head's bytes.
        self._heads: KnownHeads[_Head] = KnownHeads()

    def find(self, method: str, data: bytes) -> HttpResponse | None:
        """Return the answer that some bytes are, if its head is known and all of it is there.

        Args:
            method: of the request.
            data: from the beginning of the answer.
        """
        end = data.find(HEAD_END) + len(HEAD_END)
        head = self._heads.get((method, data[:end]))
        if head is None or len(data) - end != head.body_bytes:
            return None
        return HttpResponse(head.status, data[end:], head.headers)

    def add(self, method: str, data: bytes, answer: HttpResponse) -> None:
        """Remember an answer's head if it alone says how long the body is.

        Args:
            method: of the request.
            data: the answer and no more; its connection can take another request.
            answer: the same, parsed.
        """
        end = data.find(HEAD_END) + len(HEAD_END)
        names = {name.lower() for name, _ in answer.headers}
        if end <= MAX_KNOWN_BYTES and data[end:] == answer.body and not names & _ENCODING:
            head = _Head(answer.status, answer.headers, len(answer.body))
            self._heads.add((method, data[:end]), head)


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of an answer.

    Attributes:
        status: its status.
        headers: its headers.
        body_bytes: the size of the body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body_bytes: int
