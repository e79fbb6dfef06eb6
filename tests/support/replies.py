"""What an endpoint does with messages."""

from __future__ import annotations

from sseload_users.transports.endpoint import Confirm, Endpoint


def replies(endpoint: Endpoint, *payloads: bytes) -> list[str | bytes]:
    """Return the replies to payloads, in their order."""
    sent: list[str | bytes] = []
    assert endpoint.reply is not None
    for payload in payloads:
        endpoint.reply(payload, sent.append)
    return sent


def confirms(endpoint: Endpoint, payload: bytes) -> bool:
    """Whether a payload completes the subscription; nothing may be sent."""
    sent: list[str | bytes] = []
    assert endpoint.confirm is not None
    confirmed = endpoint.confirm(payload, 1, sent.append)
    assert (confirmed, sent) in ((None, []), (1, []))
    return confirmed is not None


def confirmed_by(wanted: bytes) -> Confirm:
    """Return what a payload confirms, for an endpoint."""
    return lambda payload, arrived_ns, _: arrived_ns if payload == wanted else None
