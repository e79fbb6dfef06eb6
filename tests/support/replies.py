"""What an endpoint answers."""

from __future__ import annotations

from sseload_users.transports.endpoint import Endpoint


def replies(endpoint: Endpoint, *payloads: bytes) -> list[str]:
    """Return the replies to payloads, in their order."""
    sent: list[str] = []
    assert endpoint.reply is not None
    for payload in payloads:
        endpoint.reply(payload, sent.append)
    return sent
