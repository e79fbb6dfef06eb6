"""What a client calls as it goes on: the hooks of the user that it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sseload_users.core.sessions import Session


@dataclass(frozen=True, slots=True)
class ClientCalls:
    """What a client calls as it goes on.

    Attributes:
        before_connect: called before each connect attempt; returns values for names of the
            profile.
        on_connected: called each time it is subscribed.
        on_closed: called each time a session ends, with the cause.
        on_message: called in the hub with each message, its arrival (wall clock, ns), the session
            and the session's number; None if messages are of no interest.
        find_codes: finds the codes in a message; None for the way that the profile describes.
    """

    before_connect: Callable[[], Mapping[str, str] | None]
    on_connected: Callable[[], None]
    on_closed: Callable[[str], None]
    on_message: Callable[[bytes, int, Session, int], None] | None
    find_codes: Callable[[bytes], list[str]] | None


def _nothing(*_: object) -> None:
    """Do nothing."""


#: For all clients whose class overrides nothing.
NO_CALLS = ClientCalls(_nothing, _nothing, _nothing, None, None)
