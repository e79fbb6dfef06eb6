"""The profiles against the embedded target, used as by a listener and a broadcaster."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from sseload_users import targets as target
from sseload_users.demo import process
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed, ParsedMessage
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from tests.support.ingest_answers import ingest_failure
from tests.support.replies import confirms

ALICE = Identity("alice")
CODE = "LT-abc123-1-zzz"


def at(name: str, host: str) -> Target:
    return Target(target.load(name), host)


@pytest.fixture(scope="module")
def embedded() -> Iterator[str]:
    with process.start() as server:
        yield server.url


def ask(request: HttpRequest) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
    parts = urlsplit(request.url)
    assert parts.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    path = f"{parts.path}?{parts.query}"
    connection.request(request.method, path, request.body or None, dict(request.headers))
    return connection.getresponse(), connection


def answered(request: HttpRequest) -> tuple[int, bytes]:
    response, connection = ask(request)
    try:
        return response.status, response.read()
    finally:
        connection.close()


def test_the_embedded_streams_from_page_to_pong(embedded: str) -> None:
    found = at("code-server-sse", embedded)
    health = found.health(ALICE)
    assert health is not None
    assert found.answers.is_healthy(*answered(health))
    captured: dict[str, str] = {}
    for step in found.before(ALICE):
        captured |= step.read(HttpResponse(*answered(step.request(captured))))
    endpoint = found.endpoint(ALICE, captured, on_captured=captured.update)
    response, connection = ask(HttpRequest("GET", endpoint.url, endpoint.headers, b""))
    try:
        assert response.status == 200

        def data() -> str:
            line = b""
            while not line.startswith(b"data: "):
                line = response.readline()
            return line.decode().removeprefix("data: ").rstrip("\n")

        assert confirms(endpoint, f"data: {data()}".encode())
        (pong,) = found.upkeep(ALICE, captured)
        assert pong.request is not None
        assert pong.failure(*answered(pong.request)) is None
        plain = at("sse", embedded)
        assert ingest_failure(plain, *answered(plain.ingest(CODE, ALICE))) is None
        assert found.reader.codes_in(ParsedMessage("", data())) == [CODE]
    finally:
        response.close()
        connection.close()


@pytest.mark.parametrize("name", ["code-server", "websocket", "sse"])
def test_the_embedded_target_accepts_codes_only_of_known_users(embedded: str, name: str) -> None:
    found = at(name, embedded)
    assert ingest_failure(found, *answered(found.ingest(CODE, ALICE))) is None
    assert ingest_failure(found, *answered(found.ingest(CODE, Identity('Zoë "x"')))) == "HTTP 403"


def test_the_embedded_target_gives_unknown_users_no_token(embedded: str) -> None:
    (step,) = at("code-server-sse", embedded).before(Identity("stranger"))
    with pytest.raises(ConnectFailed, match="before: HTTP 403"):
        step.read(HttpResponse(*answered(step.request({}))))
