"""What a cause of failure usually means, and where to look first."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The steps of making a connection; a cause may mean something else before and after it.
CONNECTING = frozenset({"health", "before", "resolve", "connect", "tls", "handshake", "subscribe"})


@dataclass(frozen=True, slots=True)
class _Hint:
    cause: re.Pattern[str]
    text: str
    connecting: bool | None = None  # True: only while connecting, False: only after, None: both
    local: bool = False  # the machine that tests, not the one that is tested


def _hint(cause: str, text: str, *, connecting: bool | None = None, local: bool = False) -> _Hint:
    return _Hint(re.compile(cause, re.IGNORECASE), text, connecting, local)


# The first that matches counts. The causes are those that the transports and the
# broadcaster report, and the words that servers refuse a subscription with.
_HINTS = (
    # the generator's own limits
    _hint(
        r"too many open files",
        "This machine's limit of open files was reached: raise it (ulimit -n) or use more workers.",
        local=True,
    ),
    _hint(
        r"no free local port",
        "This machine ran out of local ports to that server: use --source-addresses "
        "or more machines.",
        local=True,
    ),
    _hint(
        r"no source address",
        "None of --source-addresses is of the server's address family (IPv4 or IPv6).",
        local=True,
    ),
    _hint(
        r"listener error",
        "The code of the test itself raised an error: see the log above.",
        local=True,
    ),
    _hint(r"^left$", "The run ended before this was done.", local=True),
    # finding and reaching the host
    _hint(
        r"no such host|name or service|nodename|getaddrinfo",
        "The name cannot be resolved: check the host's spelling and the DNS.",
    ),
    _hint(r"bad url", "The address is not a URL of this transport: check --host and the profile."),
    _hint(
        r"connection refused",
        "Nothing listens on that address and port, or the server's queue of new connections "
        "is full: check that it runs, and its backlog.",
    ),
    _hint(
        r"unreachable",
        "There is no route to the server: check the network, the firewall and IPv4 or IPv6.",
    ),
    # certificates and TLS
    _hint(
        r"certificate expired",
        "The server's certificate has expired: renew it, or test with --insecure.",
    ),
    _hint(
        r"certificate for another host|hostname mismatch",
        "The certificate names another host: use the name in it, or test with --insecure.",
    ),
    _hint(
        r"certificate",
        "The certificate's issuer is not trusted here: name its authority, "
        "or test with --insecure.",
    ),
    _hint(
        r"wrong version number|record layer|http request",
        "The port does not speak TLS: use http:// or ws://, or another port.",
    ),
    _hint(
        r"^tls\b|handshake fail|alert|ssl|no protocols|unexpected eof|no shared cipher",
        "TLS could not be agreed on: check the proxy's TLS versions, ciphers and certificates.",
        connecting=True,
    ),
    # the handshake and the subscription
    _hint(
        r"HTTP 401",
        "The server wants credentials: check the user names and the token.",
        connecting=True,
    ),
    _hint(
        r"unknown user|unauthori[sz]ed|connection rejected by server",
        "The server refuses this user: check the user names and that they exist on the server.",
        connecting=True,
    ),
    _hint(
        r"HTTP 403|forbidden",
        "The server refuses this user or this origin: check the user names and that they exist "
        "on the server, or name an origin with --header 'Origin: …'.",
        connecting=True,
    ),
    _hint(
        r"HTTP 404|invalid namespace|unable to connect",
        "There is no such path or namespace: check the target profile against the server.",
        connecting=True,
    ),
    _hint(
        r"redirected",
        "The server points elsewhere: use that address, often https:// for http://.",
    ),
    _hint(
        r"HTTP 4(00|26)",
        "The server does not take the request for this protocol: check the path and "
        "the protocol's version, and that proxies pass the Upgrade header on.",
        connecting=True,
    ),
    _hint(
        r"HTTP 429",
        "The server limits the rate of connections: connect more slowly (-r), "
        "or raise the limit for the test.",
        connecting=True,
    ),
    _hint(
        r"HTTP 503",
        "The server or its proxy says that it is overloaded: look at workers, "
        "connection limits and memory.",
        connecting=True,
    ),
    _hint(
        r"HTTP 50[24]",
        "The proxy got no answer from the application: it is down, asleep, "
        "or its workers are all busy.",
        connecting=True,
    ),
    _hint(
        r"HTTP 5\d\d",
        "The application failed at the handshake: see its log; often the database pool is empty.",
        connecting=True,
    ),
    _hint(
        r"HTTP \d+",
        "The server did not switch protocols: check the path in the target profile.",
        connecting=True,
    ),
    _hint(
        r"not an event stream",
        "What answers is a page, not a stream: check the path, and whether it wants a login.",
        connecting=True,
    ),
    _hint(
        r"content encoding",
        "The stream is compressed: switch compression off for it, at the proxy too.",
        connecting=True,
    ),
    _hint(
        r"never acknowledged",
        "The server sends events but acknowledges no namespace: check the profile's namespace.",
        connecting=True,
    ),
    _hint(
        r"bad request",
        "A header or the URL of the profile holds what HTTP does not allow.",
    ),
    _hint(
        r"bad handshake answer",
        "What answers there is not a server of this protocol: check the port and the path.",
    ),
    _hint(
        r"timed out|timeout",
        "The server accepted no connection in time: it is out of workers or CPU, "
        "or packets are lost on the way.",
        connecting=True,
    ),
    # the ingest requests
    _hint(
        r"HTTP 40[13]",
        "The server refuses the broadcaster's user: check its user name and token.",
        connecting=False,
    ),
    _hint(
        r"HTTP 404",
        "There is no such ingest path: check the target profile.",
        connecting=False,
    ),
    _hint(
        r"HTTP 410",
        "This way in has been switched off in the server's version: check the ingest path.",
        connecting=False,
    ),
    _hint(
        r"HTTP 413",
        "The code or its request is too long for the server.",
        connecting=False,
    ),
    _hint(
        r"HTTP 429",
        "The server limits the rate of codes: send them further apart, "
        "or raise the limit for the test.",
        connecting=False,
    ),
    _hint(
        r"HTTP 4\d\d",
        "The server rejects the request: compare the profile's ingest body "
        "with what the server expects.",
        connecting=False,
    ),
    _hint(
        r"HTTP 50[24]",
        "The proxy got no answer from the application: its workers are busy or down.",
        connecting=False,
    ),
    _hint(
        r"HTTP 503",
        "The server says that it is overloaded: look at its workers and connection limits.",
        connecting=False,
    ),
    _hint(
        r"HTTP 5\d\d",
        "The server failed on the code: see its log; often the database's connection limit.",
        connecting=False,
    ),
    _hint(
        r"no answer|timed out|timeout",
        "No answer came in time: the server is busy broadcasting, or its workers are blocked.",
        connecting=False,
    ),
    # how sessions end
    _hint(
        r"heartbeat",
        "The server went silent: it is overloaded, or the network lost the connection.",
    ),
    _hint(
        r"closed by server: 1000",
        "The server ended the session on purpose: look for its limits of time or connections.",
    ),
    _hint(
        r"closed by server: 1001",
        "The server is going away: it was restarted or stopped during the run.",
    ),
    _hint(
        r"closed by server: 1008",
        "The server says that the client broke its rules: see its log.",
    ),
    _hint(
        r"closed by server: 1009",
        "The server says that a message was too large for it.",
    ),
    _hint(
        r"closed by server: 1011",
        "The server failed, or missed this client's heartbeat: see its log.",
    ),
    _hint(
        r"closed by server: 101[23]",
        "The server restarts or asks to come back later: it is overloaded or being deployed.",
    ),
    _hint(
        r"closed by server|end of stream|disconnected by server",
        "The server ended the session: see its log and its limits of time or connections.",
    ),
    _hint(
        r"no close frame|1006|connection closed",
        "The connection ended without a word: the process crashed, or a proxy cut it off.",
    ),
    _hint(
        r"reset|broken pipe|aborted",
        "The server or something on the way cut the connection: "
        "a crash, a full queue, or an idle limit of a proxy.",
    ),
    _hint(
        r"message too large",
        "The server sent a message larger than the profile allows: raise max_message "
        "if that is right.",
    ),
    _hint(
        r"invalid utf-8|bad (packet|frame|json|message|event)|protocol error|unknown opcode"
        r"|malformed|no code",
        "What arrived cannot be decoded: look at the broadcast's encoding, "
        "and at proxies that rewrite it.",
    ),
)


_UNCONFIRMED = _hint(
    r"timed out",
    "The handshake was done, but nothing confirmed the subscription in time: compare the profile's "
    "[confirm] with what the server says; `check` shows it.",
)


# What servers say to an origin that is not on their list, or to none. An answer of 5xx that
# speaks of an origin is that of a proxy, which means the server behind it.
_ORIGIN = re.compile(r"\borigins?\b", re.IGNORECASE)
_REFUSES_ORIGIN = re.compile(r"HTTP 40[013]\b|^(?!HTTP )", re.IGNORECASE)
_OTHER_ORIGIN = _hint(
    "",
    "The server refuses this origin: name one that it lets in, with --header 'Origin: …'.",
)


def hint(operation: str, cause: str, said: str = "") -> str:
    """Where to look first, in one sentence; empty for a cause that is not known.

    Args:
        operation: the step that failed, such as "handshake" (`CONNECTING`) or "ingest".
        cause: the short, countable cause that was reported, such as "HTTP 503".
        said: the server's own words.
    """
    found = _find(operation, cause, said)
    return found.text if found is not None else ""


def is_local(operation: str, cause: str) -> bool:
    """Whether the cause lies with the machine that tests, so that no server is to blame."""
    found = _find(operation, cause)
    return found is not None and found.local


def _find(operation: str, cause: str, said: str = "") -> _Hint | None:
    if operation == "subscribe" and _UNCONFIRMED.cause.search(cause):
        return _UNCONFIRMED
    if _REFUSES_ORIGIN.search(cause) and _ORIGIN.search(f"{cause} {said}"):
        return _OTHER_ORIGIN
    connecting = operation in CONNECTING
    for each in _HINTS:
        if each.connecting in (None, connecting) and each.cause.search(cause):
            return each
    if operation == "tls":
        return next(each for each in _HINTS if each.text.startswith("TLS could not"))
    return None
