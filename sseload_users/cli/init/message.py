"""A message that a client received while it was watched; pure."""

from __future__ import annotations

from dataclasses import dataclass

from sseload_users.cli.locate import Content, kind_fields


@dataclass(frozen=True, slots=True)
class Message:
    """A message that a client received.

    Attributes:
        connection: the client's number, from 0.
        content: the message.
        codes: codes that are in it.
    """

    connection: int
    content: Content
    codes: tuple[str, ...] = ()


def labels(content: Content) -> set[str]:
    """Return the texts that may say what kind of message this is."""
    texts = {str(value) for value in kind_fields(content).values()}
    return texts | {content.event} | ({content.data} if isinstance(content.data, str) else set())
