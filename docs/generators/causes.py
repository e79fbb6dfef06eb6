"""The page of causes of failures, and what to do about each, from the hints of reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from docs.generators.markdown import header, row
from sseload_users.core.causes import CauseKind, classify
from sseload_users.verdict import hints

_INTRODUCTION = """\
# Troubleshooting

Begin with the first sentence below the verdict that has an arrow (→): it says where to look. \
This page has the same advice in one place.

| what you see | where to go |
|---|---|
| the run did not start, or ended with status 2 | the sentence on the terminal says what is wrong \
and what to do; `sseload check` tries each step by itself |
| connections fail, or sessions drop | *Errors by cause* in the report, and [the \
causes](#errors-by-cause) below |
| codes are missing, late or doubled | the report's [diagnosis](diagnosis.md), if there is one; \
otherwise [what to do about each rule](verdict.md#what-to-do-about-it) |
| nothing is received at all | `sseload check`: it says whether the code came where the \
[profile](targets.md#check-a-profile) does not look |
| the generator is saturated, or deliveries are in doubt | one of its processes was [too \
busy](verdict.md#the-rules): use more [workers](distributed.md), or fewer connections |
| a search has no answer | [what ended it](capacity.md#a-search) |
| the figures differ from those of another tool | [the comparison](comparison.md), and [how wrong \
a figure can be](trust.md#how-wrong-a-figure-can-be) |

## Errors by cause

`make schema` generates these tables from the hints of reports. The first column has examples: the \
[operation](report.md#causes) that failed, and the cause as the report words it; *said* is the \
server's own text, where that decides. Other causes of the same kind have the same hint. The \
[advice](target-details.md#advice) of a profile comes before it.
"""


class _Example(NamedTuple):
    """A failure of a kind.

    Attributes:
        operation: what failed.
        cause: why, as reports word it.
        said: the server's own words, where they decide the kind.
    """

    operation: str
    cause: str
    said: str = ""


_Kinds = Mapping[CauseKind, Sequence[_Example]]

_GROUPS: Mapping[str, _Kinds] = {
    "This machine, or its proxy": {
        CauseKind.OPEN_FILES: [_Example("connect", "too many open files")],
        CauseKind.LOCAL_PORTS: [_Example("connect", "no free local port")],
        CauseKind.SOURCE_ADDRESS: [_Example("connect", "no source address of this family")],
        CauseKind.PROXY_PASSWORD: [_Example("connect", "proxy proxy.example:3128: HTTP 407")],
        CauseKind.PROXY_GATEWAY: [_Example("connect", "proxy proxy.example:3128: HTTP 502")],
        CauseKind.PROXY: [_Example("connect", "proxy proxy.example:3128: HTTP 403")],
        CauseKind.LISTENER_ERROR: [_Example("session", "listener error: KeyError")],
        CauseKind.RUN_ENDED: [_Example("connect", "left")],
    },
    "The way to the server": {
        CauseKind.UNKNOWN_HOST: [_Example("resolve", "no such host")],
        CauseKind.RESOLVE_TIMEOUT: [_Example("resolve", "timed out")],
        CauseKind.INVALID_URL: [_Example("connect", "bad url")],
        CauseKind.REFUSED: [_Example("connect", "connection refused")],
        CauseKind.UNREACHABLE: [_Example("connect", "host unreachable")],
        CauseKind.CONNECT_TIMEOUT: [_Example("connect", "timed out")],
    },
    "TLS": {
        CauseKind.CERTIFICATE_EXPIRED: [_Example("tls", "certificate expired")],
        CauseKind.CERTIFICATE_HOST: [_Example("tls", "certificate for another host")],
        CauseKind.CERTIFICATE_UNTRUSTED: [_Example("tls", "certificate not trusted")],
        CauseKind.NOT_TLS: [_Example("tls", "wrong version number")],
        CauseKind.HTTP2_ONLY: [_Example("tls", "tlsv1 alert no application protocol")],
        CauseKind.TLS: [_Example("tls", "no shared cipher")],
    },
    "The handshake": {
        CauseKind.HANDSHAKE_TIMEOUT: [_Example("handshake", "timed out")],
        CauseKind.HANDSHAKE_CLOSED: [_Example("handshake", "connection closed")],
        CauseKind.RESPONSE_TIMEOUT: [_Example("before", "timed out")],
        CauseKind.CONNECT_UNAUTHENTICATED: [_Example("handshake", "HTTP 401")],
        CauseKind.CONNECT_FORBIDDEN: [_Example("handshake", "HTTP 403")],
        CauseKind.ORIGIN: [_Example("handshake", "HTTP 403", "origin not allowed")],
        CauseKind.CONNECT_PATH: [_Example("handshake", "HTTP 404")],
        CauseKind.REDIRECTED: [_Example("handshake", "redirected: HTTP 301")],
        CauseKind.CONNECT_PROTOCOL: [_Example("handshake", "HTTP 400")],
        CauseKind.CONNECT_RATE: [_Example("handshake", "HTTP 429")],
        CauseKind.CONNECT_OVERLOADED: [_Example("handshake", "HTTP 503")],
        CauseKind.CONNECT_GATEWAY: [_Example("handshake", "HTTP 502")],
        CauseKind.CONNECT_SERVER_ERROR: [_Example("handshake", "HTTP 500")],
        CauseKind.DATABASE: [_Example("handshake", "HTTP 500", "too many connections")],
        CauseKind.STAY_AWAY: [_Example("handshake", "HTTP 204")],
        CauseKind.CONNECT_HTTP: [_Example("handshake", "HTTP 200")],
        CauseKind.HTTP_2: [_Example("handshake", "the server speaks only HTTP/2")],
        CauseKind.NOT_EVENT_STREAM: [_Example("handshake", "not an event stream: text/html")],
        CauseKind.CONTENT_ENCODING: [_Example("handshake", "content encoding not supported: zstd")],
        CauseKind.INVALID_REQUEST: [_Example("handshake", "bad request")],
        CauseKind.INVALID_HANDSHAKE: [_Example("handshake", "bad handshake answer")],
        CauseKind.INVALID_EXTENSIONS: [_Example("handshake", "invalid extensions")],
    },
    "Socket.IO, and the subscription": {
        CauseKind.UNCONFIRMED: [_Example("subscribe", "timed out")],
        CauseKind.CONNECT_USER: [_Example("subscribe", "Unauthorized or unknown username")],
        CauseKind.CONNECT_REJECTED: [_Example("subscribe", "Connection rejected by server")],
        CauseKind.UNACKNOWLEDGED: [_Example("subscribe", "never acknowledged")],
        CauseKind.SOCKETIO_VERSION: [_Example("subscribe", "Socket.IO 2: no session ID")],
        CauseKind.ENGINE_VERSION: [_Example("handshake", "HTTP 400: unsupported protocol version")],
        CauseKind.UNKNOWN_SESSION: [_Example("subscribe", "HTTP 400: session id unknown")],
        CauseKind.UNKNOWN_TRANSPORT: [_Example("handshake", "HTTP 400: transport unknown")],
    },
    "Codes that are handed in": {
        CauseKind.INGEST_FORBIDDEN: [_Example("ingest", "HTTP 403")],
        CauseKind.INGEST_PATH: [_Example("ingest", "HTTP 404")],
        CauseKind.INGEST_GONE: [_Example("ingest", "HTTP 410")],
        CauseKind.INGEST_TOO_LARGE: [_Example("ingest", "HTTP 413")],
        CauseKind.INGEST_RATE: [_Example("ingest", "HTTP 429")],
        CauseKind.INGEST_REJECTED: [_Example("ingest", "HTTP 400")],
        CauseKind.INGEST_GATEWAY: [_Example("ingest", "HTTP 502")],
        CauseKind.INGEST_OVERLOADED: [_Example("ingest", "HTTP 503")],
        CauseKind.INGEST_SERVER_ERROR: [_Example("ingest", "HTTP 500")],
        CauseKind.TIMEOUT: [_Example("ingest", "no answer in time")],
        CauseKind.CHANNEL_UNCONFIRMED: [_Example("channel", "join: not confirmed in time")],
    },
    "Sessions that end": {
        CauseKind.CLOSED_NORMALLY: [_Example("session", "closed by server: 1000")],
        CauseKind.CLOSED_GOING_AWAY: [_Example("session", "closed by server: 1001")],
        CauseKind.CLOSED_POLICY: [_Example("session", "closed by server: 1008")],
        CauseKind.CLOSED_TOO_LARGE: [_Example("session", "closed by server: 1009")],
        CauseKind.CLOSED_SERVER_ERROR: [_Example("session", "closed by server: 1011")],
        CauseKind.CLOSED_RESTART: [_Example("session", "closed by server: 1012")],
        CauseKind.CLOSED: [
            _Example("session", "end of stream"),
            _Example("session", "disconnected by server"),
        ],
        CauseKind.CONNECTION_LOST: [_Example("session", "no close frame")],
        CauseKind.RESET: [_Example("session", "connection reset")],
        CauseKind.HEARTBEAT: [_Example("session", "heartbeat missed")],
        CauseKind.MESSAGE_TOO_LARGE: [_Example("session", "message too large")],
        CauseKind.INFLATED_TOO_LARGE: [_Example("session", "inflated message too large")],
        CauseKind.INFLATED_STREAM: [_Example("session", "inflated stream too large")],
    },
    "Messages that cannot be decoded": {
        CauseKind.RESERVED_BITS: [_Example("message", "protocol error: reserved bits")],
        CauseKind.INVALID_FRAME: [_Example("message", "protocol error: masked frame")],
        CauseKind.INVALID_CHUNK: [_Example("message", "protocol error: bad chunk")],
        CauseKind.COMPRESSED_DATA: [_Example("message", "bad compressed data")],
        CauseKind.UNDECODABLE: [
            _Example("message", "bad JSON"),
            _Example("message", "invalid UTF-8"),
        ],
    },
}


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    for title, kinds in _GROUPS.items():
        yield f"### {title}\n"
        yield header("cause", "what it means, and where to look first")
        for kind, examples in kinds.items():
            hint = hints.hint(*examples[0]).replace("[", "\\[")
            yield row("; ".join(_shown(kind, each) for each in examples), hint)
        yield ""


def _shown(kind: CauseKind, example: _Example) -> str:
    """Return an example as the page shows it, provided that it is one.

    Raises:
        ValueError: reports take such a cause for another kind.
    """
    if classify(*example) is not kind:
        raise ValueError(f"not an example of {kind}: {example}")
    said = f", said: *{example.said}*" if example.said else ""
    return f"{example.operation}: `{example.cause}`{said}"


def page() -> str:
    """Return the text of docs/troubleshooting.md.

    Raises:
        ValueError: a kind of cause is missing.
    """
    missing = set(CauseKind) - {kind for kinds in _GROUPS.values() for kind in kinds}
    if missing:
        raise ValueError(f"kinds of causes without an example: {sorted(missing)}")
    return "\n".join(_lines()).rstrip() + "\n"
