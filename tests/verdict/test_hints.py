"""The hints for causes of failure."""

from __future__ import annotations

import pytest

from sseload_users.core.causes import CauseKind, is_local
from sseload_users.verdict import hints


@pytest.mark.parametrize(
    ("operation", "cause", "said"),
    [
        ("resolve", "no such host", "DNS"),
        ("connect", "connection refused", "Nothing listens"),
        ("connect", "timed out", "accepted no connection in time"),
        ("connect", "too many open files", "This machine"),
        ("connect", "no free local port", "--source-addresses"),
        ("connect", "host unreachable", "no route"),
        ("tls", "certificate expired", "has expired"),
        ("tls", "certificate for another host", "names another host"),
        ("tls", "certificate not trusted", "not trusted"),
        ("tls", "wrong version number", "does not speak TLS"),
        ("tls", "something new", "TLS negotiation failed"),
        ("handshake", "HTTP 403", "user names"),
        ("handshake", "HTTP 204", "not to come again"),
        ("handshake", "the server speaks only HTTP/2", "version of HTTP"),
        ("handshake", "HTTP 404", "no such path"),
        ("handshake", "HTTP 429", "rate of connections"),
        ("handshake", "HTTP 502", "asleep"),
        ("handshake", "HTTP 503", "overloaded"),
        ("handshake", "redirected: HTTP 301", "redirects"),
        ("handshake", "bad handshake answer", "not a server of this protocol"),
        ("subscribe", "Unauthorized or unknown username", "user names"),
        ("session", "closed by server: 1000", "on purpose"),
        ("session", "closed by server: 1001", "going away"),
        ("session", "closed by server: 1011", "heartbeat"),
        ("session", "closed by server: no code", "ended the session"),
        ("session", "no close frame", "without a close message"),
        ("session", "connection reset", "cut the connection"),
        ("session", "heartbeat missed", "silent"),
        ("session", "message too large", "max_message"),
        ("message", "protocol error: masked frame", "RFC 6455 does not allow"),
        ("message", "protocol error: reserved bits", "compresses messages without"),
        ("message", "protocol error: bad chunk", "HTTP chunks"),
        ("message", "bad JSON", "cannot be decoded"),
        ("resolve", "timed out", "DNS"),
        ("handshake", "timed out", "switch the proxy's buffering off"),
        ("tls", "timed out", "The connection was accepted"),
        ("before", "timed out", "The connection was accepted"),
        ("health", "HTTP 503", "overloaded"),
        ("subscribe", "timed out", "nothing confirmed the subscription"),
        ("handshake", "connection closed", "closed without a response"),
        ("subscribe", "Socket.IO 2: no session ID", "speaks Socket.IO 2"),
        ("handshake", "HTTP 400: unsupported protocol version", "another version of Socket.IO"),
        ("subscribe", "HTTP 400: session id unknown", "sticky sessions"),
        ("upgrade", "handshake: HTTP 400: session id unknown", "sticky sessions"),
        ("handshake", "HTTP 400: transport unknown", "does not offer this way"),
        ("subscribe", "Connection rejected by server", "application refuses"),
        ("tls", "tlsv1 alert no application protocol", "HTTP/2 only"),
        ("handshake", "HTTP 505", "HTTP/2 only"),
        ("message", "invalid UTF-8", "encoding"),
        ("ingest", "HTTP 400", "ingest body"),
        ("ingest", "HTTP 403", "broadcaster's user"),
        ("ingest", "HTTP 410", "no longer has that ingest path"),
        ("ingest", "HTTP 429", "rate of codes"),
        ("ingest", "HTTP 500", "see its log"),
        ("ingest", "HTTP 504", "proxy"),
        ("ingest", "no answer in time", "No response came in time"),
        ("ingest", "timed out", "No response came in time"),
    ],
)
def test_each_cause_has_its_own_hint(operation: str, cause: str, said: str) -> None:
    assert said in hints.hint(operation, cause)


@pytest.mark.parametrize(
    ("operation", "cause", "said", "is_origin"),
    [
        ("handshake", "HTTP 400", '"Not an accepted origin."', True),
        ("before", "HTTP 403", '{"error":"Unauthorized origin - iframe access only"}', True),
        ("handshake", "HTTP 403", "Origin required", True),
        ("ingest", "HTTP 403", "Origin checking failed", True),
        ("subscribe", "refused: origin not allowed", "", True),
        ("session", "closed by server: 4009", "Origin not allowed", True),
        ("handshake", "HTTP 400", "The original request is bad", False),
        ("handshake", "HTTP 502", "The origin web server is down", False),
        ("handshake", "HTTP 403", "", False),
        ("handshake", "HTTP 400", "Unsupported protocol version", False),
    ],
)
def test_a_refused_origin_is_recognized_by_the_servers_text(
    operation: str, cause: str, said: str, *, is_origin: bool
) -> None:
    hint = hints.hint(operation, cause, said)
    assert ("refuses this origin" in hint) is is_origin
    if is_origin:
        assert "--header 'Origin: …'" in hint
        assert "version" not in hint


@pytest.mark.parametrize(
    ("operation", "cause", "words", "said"),
    [
        (
            "handshake",
            "HTTP 403",
            "Unknown ALPN Protocol, expected `h2` to be available. Was `allowHTTP1` configured?",
            "HTTP/2 only",
        ),
        ("session", "HTTP 400", '"Invalid session abc"', "sticky sessions"),
        ("handshake", "HTTP 400", '"Invalid transport"', "does not offer this way"),
        ("ingest", "HTTP 500", "FATAL: sorry, too many clients already", "its database"),
        ("handshake", "HTTP 503", "QueuePool limit reached: connection pool exhausted", "database"),
        ("handshake", "HTTP 403", "too many clients", "refuses this user or this origin"),
    ],
)
def test_the_servers_own_words_decide_the_hint(
    operation: str, cause: str, words: str, said: str
) -> None:
    assert said in hints.hint(operation, cause, words)


@pytest.mark.parametrize("operation", ["handshake", "session", "ingest", "connect", "upkeep"])
@pytest.mark.parametrize(
    "cause", ["HTTP 500", "HTTP 503", "timed out", "connection reset", "closed by server: 1001"]
)
def test_no_hint_guesses_at_a_database(operation: str, cause: str) -> None:
    assert "database" not in hints.hint(operation, cause)


def test_a_server_that_words_its_refusal_like_a_fault_of_tls_gets_no_hint_about_tls() -> None:
    assert hints.hint("subscribe", "Alert: your session timed out, log in again") == ""


def test_each_kind_of_cause_has_a_hint() -> None:
    assert hints._HINTS.keys() == set(CauseKind)


def test_an_unknown_cause_has_no_hint() -> None:
    assert hints.hint("session", "the dog ate it") == ""
    assert not is_local("session", "the dog ate it")
