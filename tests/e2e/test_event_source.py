"""Event streams that a run follows as EventSource does (HTML Standard §9.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import Outcome, run
from tests.support.stream_server import Refuse, StreamServer, status

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS = 4
RUN = (
    *("--target", "sse"),
    *("--settle", "0.1", "--delivery-timeout", "1", "--warm-up", "3", "--reconnect"),
)


def users(server: StreamServer) -> dict[str, int]:
    """How many requests for a stream each user made."""
    return {user: len(requests) for user, requests in server.requests.items()}


def run_with(tmp_path: Path, refuse: Refuse, seconds: str = "3") -> tuple[StreamServer, Outcome]:
    """Run against a server that ends each stream after two codes."""
    names = tmp_path / "users.csv"
    names.write_text("\n".join(["username", *(f"user{each}" for each in range(CONNECTIONS))]))
    server = StreamServer(refuse, end_after=2)
    with server.serving() as url:
        return server, run(
            tmp_path,
            str(CONNECTIONS),
            "6",
            seconds,
            *RUN,
            "--users-file",
            str(names),
            "--host",
            url,
        )


def test_status_204_ends_a_stream_for_good_and_is_no_failure(tmp_path: Path) -> None:
    server, outcome = run_with(
        tmp_path, lambda _, number: status("204 No Content") if number > 1 else None
    )
    connections = outcome.report["connections"]
    assert list(users(server).values()) == [2] * CONNECTIONS
    assert connections["ended"] == CONNECTIONS
    assert (connections["attempted"], connections["failed"]) == (CONNECTIONS, 0)
    assert outcome.causes == {("session", "end of stream"): CONNECTIONS}


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        ("503 Busy", "HTTP 503"),
        ("200 OK", "not an event stream: no content type"),
    ],
)
def test_a_response_that_opens_no_stream_ends_the_reconnecting(
    tmp_path: Path, response: str, cause: str
) -> None:
    server, outcome = run_with(tmp_path, lambda _, number: status(response) if number > 1 else None)
    connections = outcome.report["connections"]
    assert list(users(server).values()) == [2] * CONNECTIONS
    assert connections["ended"] == connections["reconnected"] == 0
    assert connections["failed"] == CONNECTIONS
    assert outcome.causes == {
        ("session", "end of stream"): CONNECTIONS,
        ("handshake", cause): CONNECTIONS,
    }


def test_streams_codes_and_health_checks_follow_redirects(tmp_path: Path) -> None:
    server = StreamServer(lambda *_: None, moved=True)
    with server.serving() as url:
        outcome = run(tmp_path, str(CONNECTIONS), "6", "3", *RUN, "--host", url)
    assert outcome.grade == "good"
    assert len(server.codes) == outcome.report["codes"]["accepted"] == 6
    assert server.delivered == outcome.report["deliveries"]["delivered"] == 6 * CONNECTIONS


def test_a_network_error_does_not_end_the_reconnecting(tmp_path: Path) -> None:
    _, outcome = run_with(tmp_path, lambda _, number: b"" if number == 2 else None, "6")
    connections = outcome.report["connections"]
    assert connections["reconnected"] >= CONNECTIONS
    assert connections["failed"] == CONNECTIONS
    assert outcome.causes["handshake", "connection closed"] == CONNECTIONS
