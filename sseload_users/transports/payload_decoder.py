"""Decoding of long polling's payloads into Engine.IO's packets; no sockets."""

from __future__ import annotations

from collections.abc import Callable

from sseload_users.transports import Closed, Malformed, OnMessage, Revision
from sseload_users.transports.engineio import split_payload

#: How a session closes if a payload is invalid.
BAD_PAYLOAD = Closed("client", "protocol error: bad payload")


class PayloadDecoder:
    """Decodes payloads into packets.

    Args:
        on_message: gets each packet, and the stamp of its payload's last bytes.
        on_close: called with how the session closes if a payload is invalid.
        revision: of the protocol.
        max_message: size limit of a packet in bytes; a larger one ends the session.

    Attributes:
        ended: whether decoding has stopped; set it to stop in the middle of a payload.
    """

    __slots__ = ("_max_message", "_on_close", "_revision", "ended", "on_message")

    #: How the session has closed if the answers end now.
    at_end = Closed("network", "connection closed")

    def __init__(
        self,
        on_message: OnMessage,
        on_close: Callable[[Closed], None],
        revision: Revision,
        max_message: int,
    ) -> None:
        self.on_message = on_message
        self.ended = False
        self._on_close = on_close
        self._revision = revision
        self._max_message = max_message

    def feed(self, data: bytes, arrived_ns: int, empty_ns: int | None) -> None:
        """Decode a whole payload; all of its packets arrived with its end."""
        del empty_ns
        try:
            for packet in split_payload(data, self._revision):
                if self.ended:
                    return
                if len(packet) > self._max_message:
                    self._on_close(Closed("client", "message too large"))
                    return
                self.on_message(packet, arrived_ns)
        except Malformed:
            self._on_close(BAD_PAYLOAD)
