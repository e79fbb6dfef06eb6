"""What a Socket.IO client sends, from packets as a browser's network panel shows them; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

#: A packet that opens a namespace, or an event; with namespace, ID and content.
_PACKET = re.compile(r"4([02])(?:(/[^,]*),?)?(\d*)(.*)", re.DOTALL)


@dataclass(slots=True)
class ClientPackets:
    """What a client sends at first.

    Attributes:
        namespace: that it connects to; empty for the default one.
        auth: what it sends with that; None for nothing.
        events: further packets: an event as a list, or a text that is none.
    """

    namespace: str = ""
    auth: Any = None
    events: list[Any] = field(default_factory=list)


def client_packets(texts: Iterable[str]) -> ClientPackets:
    """Return what packets say; a text that is none is taken for an event's own JSON.

    Args:
        texts: the packets, in order.
    """
    made = ClientPackets()
    for text in texts:
        packet = _PACKET.fullmatch(text)
        if packet is None:
            made.events.append(message_of(text))
            continue
        kind, namespace, _, content = packet.groups()
        made.namespace = namespace or made.namespace
        if kind == "2":
            made.events.append(message_of(content))
        elif content:
            made.auth = message_of(content)
    return made


def message_of(text: str) -> Any:
    """Return a message as a profile has it: as a table or list, if it is JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text
