"""Socket.IO's connection state recovery: what restores a session on the server; no sockets.

https://socket.io/docs/v4/connection-state-recovery: a server that offers it gives a private ID with
the acknowledgement, and an offset as the last argument of each event. The next session sends both
with its CONNECT packet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sseload_users.transports import Malformed
from sseload_users.transports.packets import parse_packet


def recovery_id(data: object) -> str:
    """Return the private ID in the data of an acknowledgement; empty if there is none."""
    found = data.get("pid") if isinstance(data, Mapping) else None
    return found if isinstance(found, str) else ""


def event_offset(event: bytes) -> str | None:
    """Return the offset that comes with an event: its last argument, if that is a text."""
    if not event:
        return None
    try:
        parsed = parse_packet(event)
    except Malformed:
        return None
    arguments = parsed.data if parsed is not None else None
    last = arguments[-1] if isinstance(arguments, list) and arguments else None
    return last if isinstance(last, str) else None


def recovery_text(private_id: str, offset: str | None) -> str:
    """Return ID and offset as one text, for `recovery_of`."""
    return json.dumps([private_id, offset])


def recovery_of(text: str) -> tuple[str, str | None]:
    """Return the private ID, empty if there is none, and the offset of the session before."""
    if not text:
        return "", None
    private_id, offset = json.loads(text)
    return private_id, offset


def with_recovery(auth: Mapping[str, object] | None, text: str) -> Mapping[str, object] | None:
    """Return a CONNECT packet's data with what restores the session before."""
    private_id, offset = recovery_of(text)
    if not private_id:
        return auth
    state = {"pid": private_id} | ({} if offset is None else {"offset": offset})
    return {**state, **(auth or {})}
