"""Causes of failed operations: how many are kept apart, and what kind each is.

A cause is a short, countable text, such as "HTTP 503". Some contain the server's own words,
for example the reason for a refused subscription.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TypeAlias

#: A failed operation and its cause.
Cause: TypeAlias = tuple[str, str]

#: The operations that make a connection.
CONNECTING = frozenset({"health", "before", "resolve", "connect", "tls", "handshake", "subscribe"})

#: The way over from long polling to WebSocket.
UPGRADE = "upgrade"

#: The operations that a session consists of.
_OF_SESSIONS = frozenset({"handshake", "subscribe", "session", UPGRADE})

#: Stands for all further causes of an operation once there are too many.
OTHER = "other"

#: Limit of distinct causes: servers can put anything into their words.
_MAX_CAUSES = 100
#: Causes that the verdict or a hint looks for are always kept.
_ALWAYS_KEPT = frozenset({"timed out", "too many open files", "no free local port"})


def bounded_cause(cause: Cause, known: Collection[Cause]) -> Cause:
    """Return the cause to count: the given one, or its operation's OTHER.

    Args:
        cause: operation and cause of a failure.
        known: the causes counted so far.
    """
    if cause in known or len(known) < _MAX_CAUSES or cause[1] in _ALWAYS_KEPT:
        return cause
    return cause[0], OTHER


class CauseKind(StrEnum):
    """What a cause means, whatever its exact words."""

    # the generator's own limits
    OPEN_FILES = auto()
    LOCAL_PORTS = auto()
    SOURCE_ADDRESS = auto()
    PROXY_PASSWORD = auto()
    PROXY_GATEWAY = auto()
    PROXY = auto()
    LISTENER_ERROR = auto()
    RUN_ENDED = auto()
    # name resolution and reachability
    UNKNOWN_HOST = auto()
    RESOLVE_TIMEOUT = auto()
    INVALID_URL = auto()
    REFUSED = auto()
    UNREACHABLE = auto()
    # TLS
    CERTIFICATE_EXPIRED = auto()
    CERTIFICATE_HOST = auto()
    CERTIFICATE_UNTRUSTED = auto()
    NOT_TLS = auto()
    TLS = auto()
    # handshake and subscription
    UNCONFIRMED = auto()
    CONNECT_UNAUTHENTICATED = auto()
    CONNECT_USER = auto()
    CONNECT_REJECTED = auto()
    CONNECT_FORBIDDEN = auto()
    ORIGIN = auto()
    CONNECT_PATH = auto()
    REDIRECTED = auto()
    CONNECT_PROTOCOL = auto()
    CONNECT_RATE = auto()
    CONNECT_OVERLOADED = auto()
    CONNECT_GATEWAY = auto()
    CONNECT_SERVER_ERROR = auto()
    STAY_AWAY = auto()
    HTTP_2 = auto()
    CONNECT_HTTP = auto()
    NOT_EVENT_STREAM = auto()
    CONTENT_ENCODING = auto()
    UNACKNOWLEDGED = auto()
    INVALID_REQUEST = auto()
    INVALID_HANDSHAKE = auto()
    INVALID_EXTENSIONS = auto()
    CONNECT_TIMEOUT = auto()
    HANDSHAKE_TIMEOUT = auto()
    HANDSHAKE_CLOSED = auto()
    RESPONSE_TIMEOUT = auto()
    SOCKETIO_VERSION = auto()
    ENGINE_VERSION = auto()
    UNKNOWN_SESSION = auto()
    UNKNOWN_TRANSPORT = auto()
    HTTP2_ONLY = auto()
    # either, by the server's own words
    DATABASE = auto()
    # ingest requests
    INGEST_FORBIDDEN = auto()
    INGEST_PATH = auto()
    INGEST_GONE = auto()
    INGEST_TOO_LARGE = auto()
    INGEST_RATE = auto()
    INGEST_REJECTED = auto()
    INGEST_GATEWAY = auto()
    INGEST_OVERLOADED = auto()
    INGEST_SERVER_ERROR = auto()
    TIMEOUT = auto()
    # requests to join or to leave a channel
    CHANNEL_UNCONFIRMED = auto()
    # ends of sessions
    HEARTBEAT = auto()
    CLOSED_NORMALLY = auto()
    CLOSED_GOING_AWAY = auto()
    CLOSED_POLICY = auto()
    CLOSED_TOO_LARGE = auto()
    CLOSED_SERVER_ERROR = auto()
    CLOSED_RESTART = auto()
    CLOSED = auto()
    CONNECTION_LOST = auto()
    RESET = auto()
    # messages
    INFLATED_TOO_LARGE = auto()
    INFLATED_STREAM = auto()
    MESSAGE_TOO_LARGE = auto()
    COMPRESSED_DATA = auto()
    RESERVED_BITS = auto()
    INVALID_FRAME = auto()
    INVALID_CHUNK = auto()
    UNDECODABLE = auto()


#: Kinds whose origin is the generator or its proxy, not the server.
_LOCAL_KINDS = frozenset(
    {
        CauseKind.OPEN_FILES,
        CauseKind.LOCAL_PORTS,
        CauseKind.SOURCE_ADDRESS,
        CauseKind.PROXY_PASSWORD,
        CauseKind.PROXY_GATEWAY,
        CauseKind.PROXY,
        CauseKind.LISTENER_ERROR,
        CauseKind.RUN_ENDED,
    }
)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A pattern of causes.

    Attributes:
        kind: kind of the causes that match.
        regex: searched in the cause.
        connecting: True: while connecting only; False: otherwise only; None: always.
    """

    kind: CauseKind
    regex: re.Pattern[str]
    connecting: bool | None


def _pattern(kind: CauseKind, regex: str, *, connecting: bool | None = None) -> _Pattern:
    return _Pattern(kind, re.compile(regex, re.IGNORECASE), connecting)


#: The first match counts.
_PATTERNS = (
    _pattern(CauseKind.PROXY_PASSWORD, r"^proxy \S+: HTTP 407"),
    _pattern(CauseKind.PROXY_GATEWAY, r"^proxy \S+: HTTP 50[0-4]"),
    _pattern(CauseKind.PROXY, r"^proxy \S+: |^proxy not supported"),
    _pattern(CauseKind.OPEN_FILES, r"too many open files"),
    _pattern(CauseKind.LOCAL_PORTS, r"no free local port"),
    _pattern(CauseKind.SOURCE_ADDRESS, r"no source address"),
    _pattern(CauseKind.LISTENER_ERROR, r"listener error"),
    _pattern(CauseKind.RUN_ENDED, r"^left$"),
    _pattern(CauseKind.UNKNOWN_HOST, r"no such host|name or service|nodename|getaddrinfo"),
    _pattern(CauseKind.INVALID_URL, r"bad url"),
    _pattern(CauseKind.REFUSED, r"connection refused"),
    _pattern(CauseKind.UNREACHABLE, r"unreachable"),
    _pattern(CauseKind.CERTIFICATE_EXPIRED, r"certificate expired"),
    _pattern(CauseKind.CERTIFICATE_HOST, r"certificate for another host|hostname mismatch"),
    _pattern(CauseKind.CERTIFICATE_UNTRUSTED, r"certificate"),
    _pattern(CauseKind.NOT_TLS, r"wrong version number|record layer|http request"),
    _pattern(
        CauseKind.TLS,
        r"^tls\b|handshake fail|alert|ssl|no protocols|unexpected eof|no shared cipher",
        connecting=True,
    ),
    _pattern(CauseKind.CONNECT_UNAUTHENTICATED, r"HTTP 401", connecting=True),
    _pattern(CauseKind.CONNECT_USER, r"unknown user|unauthori[sz]ed", connecting=True),
    # What python-socketio sends where the application gives no reason.
    _pattern(CauseKind.CONNECT_REJECTED, r"connection rejected by server", connecting=True),
    _pattern(CauseKind.CONNECT_FORBIDDEN, r"HTTP 403|forbidden", connecting=True),
    _pattern(
        CauseKind.CONNECT_PATH, r"HTTP 404|invalid namespace|unable to connect", connecting=True
    ),
    _pattern(CauseKind.REDIRECTED, r"redirected"),
    _pattern(CauseKind.CONNECT_PROTOCOL, r"HTTP 4(00|26)", connecting=True),
    _pattern(CauseKind.CONNECT_RATE, r"HTTP 429", connecting=True),
    _pattern(CauseKind.CONNECT_OVERLOADED, r"HTTP 503", connecting=True),
    _pattern(CauseKind.CONNECT_GATEWAY, r"HTTP 50[24]", connecting=True),
    _pattern(CauseKind.CONNECT_SERVER_ERROR, r"HTTP 5\d\d", connecting=True),
    _pattern(CauseKind.HTTP_2, r"HTTP/2"),
    _pattern(CauseKind.STAY_AWAY, r"HTTP 204", connecting=True),
    _pattern(CauseKind.CONNECT_HTTP, r"HTTP \d+", connecting=True),
    _pattern(CauseKind.NOT_EVENT_STREAM, r"not an event stream", connecting=True),
    _pattern(CauseKind.CONTENT_ENCODING, r"content encoding", connecting=True),
    _pattern(CauseKind.UNACKNOWLEDGED, r"never acknowledged", connecting=True),
    _pattern(CauseKind.INVALID_REQUEST, r"bad request"),
    _pattern(CauseKind.SOCKETIO_VERSION, r"^Socket\.IO 2\b"),
    _pattern(CauseKind.INVALID_HANDSHAKE, r"bad handshake answer"),
    _pattern(CauseKind.INVALID_EXTENSIONS, r"invalid extensions"),
    _pattern(CauseKind.INGEST_FORBIDDEN, r"HTTP 40[13]", connecting=False),
    _pattern(CauseKind.INGEST_PATH, r"HTTP 404", connecting=False),
    _pattern(CauseKind.INGEST_GONE, r"HTTP 410", connecting=False),
    _pattern(CauseKind.INGEST_TOO_LARGE, r"HTTP 413", connecting=False),
    _pattern(CauseKind.INGEST_RATE, r"HTTP 429", connecting=False),
    _pattern(CauseKind.INGEST_REJECTED, r"HTTP 4\d\d", connecting=False),
    _pattern(CauseKind.INGEST_GATEWAY, r"HTTP 50[24]", connecting=False),
    _pattern(CauseKind.INGEST_OVERLOADED, r"HTTP 503", connecting=False),
    _pattern(CauseKind.INGEST_SERVER_ERROR, r"HTTP 5\d\d", connecting=False),
    _pattern(CauseKind.TIMEOUT, r"no answer|timed out|timeout", connecting=False),
    _pattern(CauseKind.CHANNEL_UNCONFIRMED, r"(join|leave): not confirmed", connecting=False),
    _pattern(CauseKind.COMPRESSED_DATA, r"(bad|after the) compressed (data|stream)"),
    _pattern(CauseKind.RESERVED_BITS, r"protocol error: reserved bits"),
    _pattern(CauseKind.INVALID_CHUNK, r"protocol error: bad chunk"),
    _pattern(CauseKind.INVALID_FRAME, r"protocol error|unknown opcode"),
    _pattern(CauseKind.HEARTBEAT, r"heartbeat"),
    _pattern(CauseKind.CLOSED_NORMALLY, r"closed by server: 1000"),
    _pattern(CauseKind.CLOSED_GOING_AWAY, r"closed by server: 1001"),
    _pattern(CauseKind.CLOSED_POLICY, r"closed by server: 1008"),
    _pattern(CauseKind.CLOSED_TOO_LARGE, r"closed by server: 1009"),
    _pattern(CauseKind.CLOSED_SERVER_ERROR, r"closed by server: 1011"),
    _pattern(CauseKind.CLOSED_RESTART, r"closed by server: 101[23]"),
    _pattern(CauseKind.CLOSED, r"closed by server|end of stream|disconnected by server"),
    _pattern(CauseKind.CONNECTION_LOST, r"no close frame|1006|connection closed"),
    _pattern(CauseKind.RESET, r"reset|broken pipe|aborted"),
    _pattern(CauseKind.INFLATED_TOO_LARGE, r"inflated message too large"),
    _pattern(CauseKind.INFLATED_STREAM, r"inflated stream too large"),
    _pattern(CauseKind.MESSAGE_TOO_LARGE, r"message too large"),
    _pattern(
        CauseKind.UNDECODABLE,
        r"invalid utf-8|bad (packet|frame|json|message|event)|malformed|no code",
    ),
)

_TIMED_OUT = re.compile("timed out|no answer in time", re.IGNORECASE)
#: What it means that an operation timed out; for the others it is `CauseKind.TIMEOUT`.
_TIMEOUTS = {
    "resolve": CauseKind.RESOLVE_TIMEOUT,
    "connect": CauseKind.CONNECT_TIMEOUT,
    "tls": CauseKind.HANDSHAKE_TIMEOUT,
    "handshake": CauseKind.HANDSHAKE_TIMEOUT,
    "subscribe": CauseKind.UNCONFIRMED,
    "before": CauseKind.RESPONSE_TIMEOUT,
    "health": CauseKind.RESPONSE_TIMEOUT,
}

# What servers say to an origin that is not on their list, or to none. A 5xx response that
# mentions an origin is a proxy's, which means the server behind it.
_ORIGIN = re.compile(r"\borigins?\b", re.IGNORECASE)
# What servers say that accept HTTP/2 only: Node's has status 403.
_HTTP2_ONLY = re.compile(r"allowHTTP1|ALPN protocol, expected|no application protocol", re.I)
# What applications say in a 5xx response if their database is the cause.
_DATABASE = re.compile(
    r"\bdatabase\b|too many (?:clients|connections)|\b(?:connection|queue) ?pool\b", re.I
)
# What Engine.IO's servers say, Node's first and then python-engineio's.
_ENGINE_ERRORS = (
    (CauseKind.UNKNOWN_SESSION, re.compile(r"session id unknown|invalid session", re.I)),
    (CauseKind.UNKNOWN_TRANSPORT, re.compile(r"transport unknown|invalid transport", re.I)),
    (CauseKind.ENGINE_VERSION, re.compile(r"unsupported (protocol )?version", re.I)),
)
_REFUSES_ORIGIN = re.compile(r"HTTP 40[013]\b|^(?!HTTP )", re.IGNORECASE)


def classify(operation: str, cause: str, words: str = "") -> CauseKind | None:
    """Return the kind of a cause; None for one that is not known.

    Args:
        operation: the operation that failed, such as "handshake" or "ingest".
        cause: its cause, such as "HTTP 503".
        words: the server's own words.
    """
    if _TIMED_OUT.fullmatch(cause) and operation in _TIMEOUTS:
        return _TIMEOUTS[operation]
    if operation == "handshake" and cause == "connection closed":
        return CauseKind.HANDSHAKE_CLOSED
    if operation in CONNECTING and (_HTTP2_ONLY.search(f"{cause} {words}") or cause == "HTTP 505"):
        return CauseKind.HTTP2_ONLY
    if cause.startswith("HTTP 5") and _DATABASE.search(words):
        return CauseKind.DATABASE
    if _REFUSES_ORIGIN.search(cause) and _ORIGIN.search(f"{cause} {words}"):
        return CauseKind.ORIGIN
    if "HTTP 400" in cause and operation in _OF_SESSIONS:
        for kind, regex in _ENGINE_ERRORS:
            if regex.search(f"{cause} {words}"):
                return kind
    connecting = operation in CONNECTING or operation == UPGRADE
    for each in _PATTERNS:
        # The server words its refusal of a subscription itself: TLS has succeeded then.
        if each.kind is CauseKind.TLS and operation == "subscribe":
            continue
        if each.connecting in (None, connecting) and each.regex.search(cause):
            return each.kind
    return CauseKind.TLS if operation == "tls" else None


def is_local(operation: str, cause: str) -> bool:
    """Whether the cause lies with the generator, so that no server is to blame."""
    return classify(operation, cause) in _LOCAL_KINDS
