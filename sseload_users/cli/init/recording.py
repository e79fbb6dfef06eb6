"""Draw a profile's draft from a browser's recording; pure."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sseload_users.cli.init.connecting import ENGINE_PARAMETERS
from sseload_users.cli.init.curl import SUBPROTOCOLS, CopiedRequest
from sseload_users.cli.init.draft import Draft
from sseload_users.cli.init.har import Exchange, Frame, is_sanitized
from sseload_users.cli.init.login import capture_of, source_of
from sseload_users.cli.init.packets import client_packets
from sseload_users.cli.init.recorded_sends import SENDING, SOON_S, emitted, sending_requests
from sseload_users.cli.init.renewal import is_login, renewed
from sseload_users.cli.locate import Content, kind_fields
from sseload_users.core.errors import ConfigError
from sseload_users.transports.http_request import HttpResponse

#: Fewest characters of a value that is taken for one from an earlier answer.
_SHORTEST_VALUE = 8


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recording tells.

    Attributes:
        host: the server's URL.
        draft: the transport, [connect], what comes before it and what keeps it alive.
        place: the connection's URL, for messages.
        sends: requests that may hand a code in, the likeliest first.
        emits: the message that hands a code in over the clients' connection; None if it is a
            request.
        sanitized: whether cookies and tokens may have been left out of it.
        logins: if they were, requests that may give them anew.
    """

    host: str
    draft: Draft
    place: str
    sends: Sequence[CopiedRequest]
    emits: Any = None
    sanitized: bool = False
    logins: Sequence[CopiedRequest] = ()


def understand(exchanges: Sequence[Exchange]) -> Recording:
    """Return what a recording tells of a server's protocol.

    Raises:
        ConfigError: no client connects in it, or nothing hands a code in.
    """
    connection = _connection(exchanges)
    split = urlsplit(connection.request.url)
    scheme = {"ws": "http", "wss": "https"}.get(split.scheme, split.scheme)
    host = f"{scheme}://{split.netloc}"
    draft = Draft()
    is_socketio = "EIO" in dict(parse_qsl(split.query))
    earlier = [
        each for each in exchanges if each.at_s <= connection.at_s and each is not connection
    ]
    if connection.is_socket:
        draft.tables["transport"] = "socketio" if is_socketio else "websocket"
    else:
        draft.tables["transport"] = "sse"
    if is_socketio:
        connection = _with_polled(connection, exchanges)
    sends = [*sending_requests(exchanges, connection)]
    emits, emitted_at_s = None, math.inf
    if connection.is_socket and not sends:
        emits, emitted_at_s = emitted(connection.frames)
    noted = _Connect(draft, connection, earlier, host, emitted_at_s)
    noted.note(is_socketio=is_socketio)
    if not sends and emits is None:
        sends = [
            each.request
            for each in reversed(exchanges)
            if each.request.method in SENDING and each.at_s > connection.at_s
        ]
    if not sends and emits is None:
        raise ConfigError(
            "Nothing in the recording hands a message in after the client has connected: record "
            "also the action that makes a message appear, or give its request with --send."
        )
    sends = [noted.renewed(each, math.inf) for each in sends]
    noted.note_before()
    place = split._replace(query="").geturl()
    sanitized = is_sanitized(exchanges)
    # What follows from a login cannot be traced back to it without cookies.
    untraced = sanitized and "before" not in draft.tables
    logins = [each.request for each in earlier if untraced and is_login(each.request)]
    return Recording(host, draft, place, sends, emits, sanitized, logins)


def _connection(exchanges: Sequence[Exchange]) -> Exchange:
    """Return the connection by which messages came: the one with the most of them."""
    sockets = [each for each in exchanges if each.is_socket]
    if sockets:
        return max(sockets, key=lambda each: sum(not frame.sent for frame in each.frames))
    streams = [each for each in exchanges if each.is_stream]
    if streams:
        return streams[-1]
    raise ConfigError(
        "The recording has no WebSocket and no event stream: open the network panel before the "
        "page, reload it, and save the recording while messages come."
    )


class _Connect:
    """Notes how a client connected."""

    def __init__(
        self,
        draft: Draft,
        connection: Exchange,
        earlier: Sequence[Exchange],
        host: str,
        emitted_at_s: float,
    ) -> None:
        self._draft = draft
        self._connection = connection
        self._earlier = earlier
        self._host = host
        self._emitted_at_s = emitted_at_s
        self._before: list[tuple[Exchange, dict[str, Any]]] = []

    def note(self, *, is_socketio: bool) -> None:
        request = self._connection.request
        split = urlsplit(request.url)
        connect: dict[str, Any] = {"path": split.path or "/"}
        fields = dict(parse_qsl(split.query, keep_blank_values=True))
        if is_socketio:
            fields = {
                name: value for name, value in fields.items() if name not in ENGINE_PARAMETERS
            }
        query = {name: self._traced(name, value) for name, value in fields.items()}
        headers = self._headers(request)
        if is_socketio:
            self._note_socketio(connect)
        else:
            self._note_messages(connect)
        if query:
            connect["query"] = query
        if headers:
            connect["headers"] = headers
        offered = [value for name, value in request.headers if name.lower() == SUBPROTOCOLS]
        if offered:
            connect["subprotocols"] = [each.strip() for each in ",".join(offered).split(",")]
        if request.method == "POST":
            connect |= {"method": "POST", "body": self._traced_message(request.body)}
        self._draft.tables["connect"] = connect
        self._note_upkeep()
        self._log_in(request)

    def note_before(self) -> None:
        """Note the requests whose answers the others need."""
        if self._before:
            tables = sorted(self._before, key=lambda pair: pair[0].at_s)
            self._draft.tables["before"] = [table for _, table in tables]

    def _opening(self) -> list[tuple[Frame | None, str]]:
        """Return the texts that the client sent at first, each with the message before it.

        That is None before the first message. What is sent again and again is left out, and so
        is the message that hands a code in, with all that follows it.
        """
        frames = self._connection.frames
        many = Counter(each.data for each in frames if each.sent)
        last: Frame | None = None
        opening = []
        for each in frames:
            if not each.sent:
                last = each
            elif each.at_s >= min(self._emitted_at_s, self._connection.at_s + SOON_S):
                break
            elif isinstance(each.data, str) and many[each.data] < 3:
                opening.append((last, each.data))
        return opening

    def _note_messages(self, connect: dict[str, Any]) -> None:
        """Note what the client sent at first: at once, or after a message that asks for it."""
        at_once: list[Any] = []
        after: list[dict[str, Any]] = []
        for before, text in self._opening():
            message = self._traced_message(text)
            fields = _kind_fields(before)
            if fields and at_once:
                after.append({"fields": fields, "send": message})
            else:
                at_once.append(message)
        if at_once:
            connect["send"] = at_once
        if after:
            self._draft.tables["after"] = after

    def _note_socketio(self, connect: dict[str, Any]) -> None:
        polled = any(
            urlsplit(each.request.url).path == connect["path"] and not each.is_socket
            for each in self._earlier
        )
        if not polled:
            connect["transports"] = ["websocket"]
        # Packets of the transport itself, such as 5 for an upgrade, are none of Socket.IO's.
        opening = [text for _, text in self._opening() if text.startswith(("40", "42"))]
        packets = client_packets(opening)
        if packets.namespace:
            connect["namespace"] = packets.namespace
        if packets.auth is not None:
            connect["auth"] = self._traced_value("", packets.auth)
        if packets.events:
            connect["send"] = [self._traced_value("", each) for each in packets.events]

    def _note_upkeep(self) -> None:
        """Note a message that the client sends again and again."""
        times: dict[str, list[float]] = {}
        for each in self._connection.frames:
            if each.sent and isinstance(each.data, str) and len(each.data) > 1:
                times.setdefault(each.data, []).append(each.at_s)
        for text, at in times.items():
            gaps = [later - sooner for sooner, later in pairwise(at)]
            if len(gaps) > 1 and max(gaps) < 1.5 * min(gaps):
                self._draft.tables["upkeep"] = [
                    {"every": round(min(gaps), 1), "send": self._traced_message(text)}
                ]
                return

    def _headers(self, request: CopiedRequest) -> dict[str, str]:
        """Return the handshake's headers; cookies that earlier answers set come by themselves."""
        kept = []
        for name, value in request.headers:
            if name.lower() == "cookie":
                own = [
                    each.strip()
                    for each in value.split(";")
                    if self._setter(each.partition("=")[0].strip()) is None
                ]
                if not own:
                    continue
                kept.append((name, "; ".join(own)))
            elif name.lower() not in ("origin", SUBPROTOCOLS):
                kept.append((name, self._traced(name, value)))
        return self._draft.headers(kept)

    def _traced_message(self, text: str) -> Any:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return self._traced_value("", value)

    def _traced_value(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._traced_value(key, each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._traced_value(name, each) for each in value]
        return self._traced(name, value) if isinstance(value, str) else value

    def _traced(self, name: str, value: str, at_s: float = math.inf) -> str:
        """Return what stands for a value: a name, if an earlier answer gave it."""
        word = value.rpartition(" ")[2]
        if len(word) >= _SHORTEST_VALUE:
            for each in reversed(self._earlier):
                where = source_of(word, _response(each)) if each.text and each.at_s < at_s else None
                if where is not None:
                    known = re.sub(r"\W", "_", name or "token").lower()
                    self._step(each).setdefault("capture", {})[known] = where
                    return value.replace(word, f"{{{known}}}")
        return self._draft.hide(name, value)

    def renewed(self, request: CopiedRequest, at_s: float) -> CopiedRequest:
        """Return a request with names in place of the values that earlier answers give.

        Args:
            request: as the browser sent it.
            at_s: when (Unix time, s); only what came before can be in it.
        """
        cookies = set()
        for name, value in request.headers:
            for each in value.split(";") if name.lower() == "cookie" else ():
                cookie = each.partition("=")[0].strip()
                setter = self._setter(cookie, at_s)
                if setter is not None:
                    self._step(setter)
                    cookies.add(cookie)
        token = None
        for name, value in request.headers:
            if name.lower() == "authorization" and value.startswith("Bearer "):
                traced = self._traced("token", value, at_s)
                token = traced.partition("{")[2].rstrip("}") if traced.endswith("}") else None
        return renewed(request, lambda name: self._gives(name, at_s), token, cookies)

    def _gives(self, name: str, at_s: float) -> bool:
        """Whether an earlier answer has a value of a name; note where, if so."""
        for each in reversed(self._earlier):
            found = capture_of(name, _response(each)) if each.at_s < at_s else None
            if found is not None:
                self._step(each).setdefault("capture", {})[name] = found[0]
                return True
        return False

    def _setter(self, cookie: str, at_s: float = math.inf) -> Exchange | None:
        """Return the exchange that set a cookie last."""
        for each in reversed(self._earlier):
            if each.at_s >= at_s:
                continue
            for name, value in each.headers:
                if name.lower() == "set-cookie" and any(
                    line.partition("=")[0].strip() == cookie for line in value.splitlines()
                ):
                    return each
        return None

    def _log_in(self, request: CopiedRequest) -> None:
        """Note the requests that set the handshake's cookies."""
        for name, value in request.headers:
            if name.lower() == "cookie":
                for each in value.split(";"):
                    setter = self._setter(each.partition("=")[0].strip())
                    if setter is not None:
                        self._step(setter)

    def _step(self, exchange: Exchange) -> dict[str, Any]:
        for known, table in self._before:
            if known is exchange:
                return table
        request = self.renewed(exchange.request, exchange.at_s)
        table = self._draft.request(request, self._host)
        self._before.append((exchange, table))
        return table


def _response(exchange: Exchange) -> HttpResponse:
    return HttpResponse(exchange.status, exchange.text.encode(), exchange.headers)


def _with_polled(connection: Exchange, exchanges: Sequence[Exchange]) -> Exchange:
    """Return a Socket.IO connection with the packets that came and went before by polling."""
    place, session = _session(connection)
    frames = [*connection.frames]
    for each in exchanges:
        if each is connection or _session(each) != (place, session) or not session:
            continue
        sent = each.request.method == "POST"
        text = each.request.body if sent else each.text
        frames += [Frame(sent, each.at_s, packet) for packet in text.split("\x1e") if packet]
    return replace(connection, frames=sorted(frames, key=lambda frame: frame.at_s))


def _session(exchange: Exchange) -> tuple[str, str]:
    split = urlsplit(exchange.request.url)
    return split.path, dict(parse_qsl(split.query)).get("sid", "")


def _kind_fields(frame: Frame | None) -> dict[str, object]:
    if frame is None or not isinstance(frame.data, str):
        return {}
    return kind_fields(Content("", frame.data))
