"""`check` finds separate instances and missing stickiness on a handful of connections."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest

from sseload_users.cli.check_diagnosis import diagnose_failures, diagnose_receipts
from sseload_users.cli.check_publisher import SentCode
from sseload_users.core.config_path import config_path
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from tests.support.relays import balancer
from tests.support.runs import ROOT, SSELOAD, clean_environment, target

MS = 1_000_000


def hint_of(*rows: str, users: int = 1) -> str | None:
    """What is said of connections that received these of the codes A, B and C."""
    sent = [SentCode(code, 10**18 + at * MS, "") for at, code in enumerate("ABC")]
    arrivals = [{code: [10**18 + 5 * MS] for code in row} for row in rows]
    names = [Identity(f"user {at % users}") for at in range(len(rows))]
    return diagnose_receipts(sent, arrivals, names, 1.0)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (("AC", "B", "AC", "B", "AC"), True),
        (("ABC", "", "ABC", "", "ABC"), True),
        (("ABC", "ABC", "ABC", "ABC", ""), False),
        (("AB", "BC", "AC", "B", "AC"), False),
        (("AB", "AB", "AB", "AB", "AB"), False),
        (("", "", "", "", ""), False),
        (("ABC",) * 5, False),
    ],
)
def test_separate_instances_are_told_by_three_codes(rows: tuple[str, ...], found: bool) -> None:
    hint = hint_of(*rows)
    assert (hint is not None) == found
    if hint is not None:
        assert "shared broker" in hint
        assert "isolated_instances" in hint


def test_different_users_may_get_nothing_because_of_who_they_are() -> None:
    assert hint_of("ABC", "", "ABC", "", "ABC", users=5) is None
    assert hint_of("AC", "B", "AC", "B", "AC", users=5) is not None


def test_unknown_sessions_are_told_from_other_failures() -> None:
    unknown = ConnectFailed("handshake", "HTTP 400", server_text="Session ID unknown")
    other = ConnectFailed("handshake", "HTTP 503")
    assert "sticky sessions" in (diagnose_failures([unknown, unknown]) or "")
    assert diagnose_failures([unknown, other, other]) is None
    assert diagnose_failures([other]) is None


@pytest.mark.e2e
@pytest.mark.parametrize("polling", [False, True])
def test_a_check_finds_nodes_that_do_not_know_each_other(tmp_path: Path, polling: bool) -> None:
    profile = "websocket"
    if polling:
        text = config_path("targets/code-server.toml").read_text("utf-8")
        listed = '["websocket", "polling"]'
        assert listed in text
        profile = str(tmp_path / "polling.toml")
        Path(profile).write_text(text.replace(listed, '["polling", "websocket"]'), "utf-8")
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(target(tmp_path / str(at)))[0].url for at in range(2)]
        url = stack.enter_context(balancer(urls))
        done = subprocess.run(
            [*SSELOAD, "check", "--host", url, "--target", profile, "--delivery-timeout", "0.5",
             "--settle", "0"],
            cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    said = " ".join(done.stdout.split())
    assert done.returncode == 1
    if polling:
        assert "connect FAILED" in said
        assert "sticky_sessions" in said
    else:
        assert "receive FAILED" in said
        assert "isolated_instances" in said
        assert "give it a shared broker" in said
