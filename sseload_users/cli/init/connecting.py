"""Find out where and how clients connect: try what is likely, the likeliest first; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from sseload_users.cli.init.curl import SUBPROTOCOLS, CopiedRequest
from sseload_users.cli.init.draft import Draft, mapped
from sseload_users.cli.init.login import names_used
from sseload_users.cli.init.packets import client_packets, message_of

#: Where servers often have clients connect.
_USUAL = (
    ("socketio", "/socket.io/"),
    ("websocket", "/ws"),
    ("websocket", "/"),
    ("websocket", "/websocket"),
    ("websocket", "/socket"),
    ("sse", "/events"),
    ("sse", "/stream"),
    ("sse", "/sse"),
)

#: Socket.IO's own parameters, which sseload adds.
ENGINE_PARAMETERS = ("EIO", "transport", "sid", "t", "b64")

#: A profile's transport and [connect].
Way = dict[str, Any]


def ways(
    draft: Draft, host: str, places: Sequence[tuple[str, CopiedRequest]], subscribe: Sequence[str]
) -> Iterator[Way]:
    """Yield the ways in which clients may connect.

    Args:
        draft: its [connect], if it has one, is kept for its transport.
        host: the server's URL.
        places: transports and handshakes; the usual ones are tried if there are none.
        subscribe: messages to send once connected.
    """
    base = dict(draft.tables.get("connect", {}))
    kept = draft.tables.get("transport")
    if not places and kept and base:
        yield {"transport": kept, "connect": base}
        return
    usual = [(transport, CopiedRequest("GET", path, ())) for transport, path in _USUAL]
    for transport, request in places or usual:
        own = {**base} if transport == kept else {}
        own |= handshake(draft, host, transport, request)
        own |= _subscribing(draft, transport, subscribe)
        yield {"transport": transport, "connect": own}


def handshake(draft: Draft, host: str, transport: str, request: CopiedRequest) -> dict[str, Any]:
    """Return a copied handshake as a profile's [connect].

    Args:
        draft: keeps the secrets.
        host: the server's URL, which the profile does not repeat.
        transport: "websocket", "socketio" or "sse".
        request: its URL is complete, or a path.
    """
    split = urlsplit(request.url)
    scheme = {"ws": "http", "wss": "https"}.get(split.scheme, split.scheme)
    origin = f"{scheme}://{split.netloc}" if split.netloc else ""
    offered = [value for name, value in request.headers if name.lower() == SUBPROTOCOLS]
    sent = replace(
        request,
        url=split._replace(scheme=scheme).geturl() if origin else host + request.url,
        headers=tuple(pair for pair in request.headers if pair[0].lower() != SUBPROTOCOLS),
    )
    table = draft.request(sent, origin or host)
    table["path"] = ("" if origin in ("", host) else origin) + (split.path or "/")
    if table["method"] == "GET" or transport != "sse":
        del table["method"]
    if transport == "socketio":
        query = table.pop("query", {})
        own = {name: text for name, text in query.items() if name not in ENGINE_PARAMETERS}
        table |= {"query": own} if own else {}
        table |= {"engine": 3} if query.get("EIO") == "3" else {}
    if offered and transport == "websocket":
        table["subprotocols"] = [each.strip() for each in ",".join(offered).split(",")]
    return table


def with_token(way: Way, name: str | None) -> Iterator[Way]:
    """Yield a way to connect, and then with a login's token in the usual places.

    Args:
        way: the way.
        name: that stands for the token; None if there is none.
    """
    yield way
    connect: Mapping[str, Any] = way["connect"]
    if name is None or names_used(str(connect)):
        return
    value = f"{{{name}}}"
    if way["transport"] == "socketio":
        yield {**way, "connect": {**connect, "auth": {"token": value}}}
    headers = {**connect.get("headers", {}), "Authorization": f"Bearer {value}"}
    yield {**way, "connect": {**connect, "headers": headers}}
    for key in dict.fromkeys((name, "token", "access_token")):
        query = {**connect.get("query", {}), key: value}
        yield {**way, "connect": {**connect, "query": query}}


def _subscribing(draft: Draft, transport: str, subscribe: Sequence[str]) -> dict[str, Any]:
    """Return what clients send once connected, as keys of [connect], without its secrets."""
    if not subscribe or transport == "sse":
        return {}
    if transport != "socketio":
        return {"send": [mapped(message_of(each), draft.hide) for each in subscribe]}
    packets = client_packets(subscribe)
    made: dict[str, Any] = {}
    if packets.namespace:
        made["namespace"] = packets.namespace
    if packets.auth is not None:
        made["auth"] = mapped(packets.auth, draft.hide)
    if packets.events:
        made["send"] = [mapped(each, draft.hide) for each in packets.events]
    return made
