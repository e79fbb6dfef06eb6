"""Whole runs against servers on Node that compress: the account, and what was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.servers.compressing import compressing_server
from tests.support.runs import QUICK, Outcome, run

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONNECTIONS, CODES = 8, 6


def run_against(
    folder: Path, *arguments: str, target: str = "websocket", **options: Any
) -> tuple[Outcome, dict[str, int]]:
    """Run against a new server; return the outcome and what the server counted."""
    with compressing_server(**options) as server:
        outcome = run(
            folder, str(CONNECTIONS), str(CODES), "1", "--host", server.url, "--target", target,
            *QUICK, "--delivery-timeout", "5", *arguments,
        )  # fmt: skip
        return outcome, server.truth()


def check_all_delivered(outcome: Outcome) -> None:
    deliveries = outcome.report["deliveries"]
    assert deliveries["owed"] == deliveries["delivered"] == CONNECTIONS * CODES
    assert deliveries["malformed"] == 0


NO_TAKEOVER = {"serverNoContextTakeover": True, "clientNoContextTakeover": True, "threshold": 0}


@pytest.mark.parametrize(
    ("deflate", "negotiated"),
    [
        ({"threshold": 0}, "permessage-deflate"),
        (
            NO_TAKEOVER,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        (
            {"threshold": 0, "serverMaxWindowBits": 9, "clientMaxWindowBits": 10},
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        ),
    ],
    ids=["takeover", "no takeover", "small windows"],
)
def test_every_compressed_code_is_delivered_and_its_bytes_are_counted(
    tmp_path: Path, deflate: dict[str, Any], negotiated: str
) -> None:
    outcome, truth = run_against(tmp_path, deflate=deflate, required=True, padding=2000)
    check_all_delivered(outcome)
    compression = outcome.report["compression"]
    assert compression["negotiated"] == {negotiated: CONNECTIONS}
    assert compression["inflated_bytes"] == truth["bytes"]
    assert 0 < compression["wire_bytes"] < truth["bytes"] / 5
    assert f"{negotiated} in {CONNECTIONS} of {CONNECTIONS} sessions" in " ".join(
        outcome.stdout.split()
    )


def test_messages_below_the_threshold_come_uncompressed(tmp_path: Path) -> None:
    # ws has a threshold only where each message is compressed by itself.
    deflate = {"threshold": 1000, "serverNoContextTakeover": True}
    outcome, truth = run_against(tmp_path, "--processes", "2", deflate=deflate, padding=2000)
    check_all_delivered(outcome)
    # Only the greetings are short.
    greetings = CONNECTIONS * len('{"type":"connected"}')
    compression = outcome.report["compression"]
    assert compression["negotiated"] == {
        "permessage-deflate; server_no_context_takeover": CONNECTIONS
    }
    assert compression["inflated_bytes"] == truth["bytes"] - greetings


def test_without_compression_a_server_that_requires_it_refuses(tmp_path: Path) -> None:
    outcome, truth = run_against(tmp_path, "--no-compression", deflate=True, required=True)
    assert outcome.status != 0
    assert outcome.causes[("handshake", "HTTP 400")] == truth["refused"] == CONNECTIONS
    assert any("--no-compression" in note for note in outcome.report["run"]["notes"])


def test_without_compression_a_server_compresses_nothing(tmp_path: Path) -> None:
    outcome, _ = run_against(tmp_path, "--no-compression", deflate={"threshold": 0})
    check_all_delivered(outcome)
    assert outcome.report["compression"] == {
        "negotiated": {"none": CONNECTIONS},
        "wire_bytes": 0,
        "inflated_bytes": 0,
    }


@pytest.mark.parametrize(
    ("coding", "always", "arguments"),
    [
        ("gzip", False, ()),
        ("deflate", False, ("--processes", "2")),
        ("br", True, ()),
        ("gzip", True, ("--no-compression",)),
    ],
)
def test_every_event_of_a_compressed_stream_is_delivered(
    tmp_path: Path, coding: str, always: bool, arguments: tuple[str, ...]
) -> None:
    outcome, truth = run_against(
        tmp_path, *arguments, target="sse", coding=coding, always=always, padding=2000
    )
    check_all_delivered(outcome)
    compression = outcome.report["compression"]
    assert compression["negotiated"] == {coding: CONNECTIONS}
    assert compression["inflated_bytes"] == truth["bytes"]
    assert 0 < compression["wire_bytes"] < truth["bytes"] / 5


def test_without_compression_a_stream_comes_uncompressed(tmp_path: Path) -> None:
    outcome, _ = run_against(tmp_path, "--no-compression", target="sse", coding="gzip")
    check_all_delivered(outcome)
    assert outcome.report["compression"]["negotiated"] == {"none": CONNECTIONS}


def test_compressed_answers_to_requests_are_read(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text(
        """
transport = "sse"
health = { path = "/health", expect = { fields = { "status" = "healthy" } } }
before = [{ path = "/login", capture = { "state" = { field = "status" } } }]
connect = { path = "/stream", query = { "state" = "{state}" } }
confirm = { fields = { "type" = "connected" } }
code = { field = "code" }
[ingest]
method = "POST"
path = "/api/ingest"
body = { "code" = "{code}" }
expect = { fields = { "status" = "success" } }
"""
    )
    outcome, _ = run_against(tmp_path / "run", target=str(profile), coding="gzip", always=True)
    check_all_delivered(outcome)
    assert outcome.status == 0


def test_events_that_a_compressor_never_flushes_are_missing(tmp_path: Path) -> None:
    outcome, truth = run_against(
        tmp_path,
        "--delivery-timeout",
        "1",
        target="sse",
        coding="gzip",
        flush=False,
        flushGreeting=True,
    )
    deliveries = outcome.report["deliveries"]
    assert deliveries["owed"] == deliveries["missing"] == CONNECTIONS * CODES
    assert truth["messages"] == CONNECTIONS * (CODES + 1)
    assert outcome.grade == "issues"


def test_check_says_what_was_negotiated(tmp_path: Path) -> None:
    with compressing_server(deflate={"threshold": 0}) as server:
        words = ("--host", server.url, "--target", "websocket")
        checked = run(tmp_path, "check", *words, report=False)
    assert checked.status == 0
    assert "/ws, with permessage-deflate, and the server confirmed each" in checked.stdout
