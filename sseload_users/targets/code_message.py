"""The message that has a code broadcast, over any connection."""

from __future__ import annotations

from collections.abc import Mapping

from sseload_users.targets.filling import Filler
from sseload_users.targets.ingest import CodeMessageTable
from sseload_users.targets.padding import PADDING, message_size, padded


def code_message(
    filler: Filler,
    table: CodeMessageTable,
    values: Mapping[str, str],
    payload_bytes: int,
    ack_id: int | None = None,
) -> str | bytes:
    """Return the message for a code.

    Args:
        filler: fills the profile's texts.
        table: its description in the profile.
        values: values by name, the code's included.
        payload_bytes: size to which the message is padded; 0 for no padding.
        ack_id: ID with which a Socket.IO event requests an acknowledgement.

    Raises:
        ConfigError: a name has no value.
        ConnectFailed: at "subscribe": the server did not give a value.
    """

    def build(padding: str) -> str | bytes:
        own = {**values, PADDING: padding}
        if table.payload is not None:
            payload = filler.text_at("ingest.payload", table.payload, own)
            size = len(payload.encode("utf-8", "replace"))
            own |= {"payload": payload, "payload_bytes": str(size)}
        return filler.message_at("ingest.send", table.frame, own, ack_id)

    return padded(build, message_size, values["code"], payload_bytes)
