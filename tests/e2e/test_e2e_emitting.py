"""Whole runs in which listeners emit the codes, as in a chat."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.chat_server import ECHOES, ChatServer
from tests.support.runs import QUICK, Outcome, run

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

PROFILE = """\
transport = "websocket"

[connect]
path = "/"

[confirm]
fields = { "type" = "welcome" }

[code]
field = "payload.code"

[ingest]
over = "listener"
send = { "type" = "broadcast", "payload" = { "code" = "{code}" } }
"""


def profile_of(folder: Path, *, echo: bool) -> str:
    path = folder / "chat.toml"
    path.write_text(PROFILE + f"echo = {str(echo).lower()}\n", "utf-8")
    return str(path)


def run_chat(folder: Path, server: ChatServer, *arguments: str, echo: bool) -> Outcome:
    with server.serving() as url:
        return run(
            folder, *arguments, *QUICK, "--target", profile_of(folder, echo=echo), "--host", url
        )


@pytest.mark.parametrize("echo", ECHOES)
def test_the_emitters_own_echo_does_not_count(tmp_path: Path, echo: str) -> None:
    server = ChatServer(echo)
    outcome = run_chat(tmp_path, server, "5", "10", "1", echo=False)
    deliveries, codes = outcome.report["deliveries"], outcome.report["codes"]
    assert (codes["accepted"], codes["scheduled"]) == (10, 10)
    # Each code is owed to all but its emitter, who has its turn with each fifth code.
    assert server.emitted == dict.fromkeys(range(1, 6), 2)
    assert (deliveries["owed"], deliveries["delivered"]) == (10 * 4, 10 * 4)
    assert (deliveries["duplicate"], deliveries["unexpected"]) == (0, 0)
    assert outcome.grade == "good"


@pytest.mark.parametrize(("echo", "delivered"), [("same", 30), ("none", 24)])
def test_the_emitters_own_echo_is_owed_if_the_profile_says_so(
    tmp_path: Path, echo: str, delivered: int
) -> None:
    outcome = run_chat(tmp_path, ChatServer(echo), "5", "6", "1", echo=True)
    deliveries = outcome.report["deliveries"]
    assert (deliveries["owed"], deliveries["delivered"]) == (6 * 5, delivered)
    assert deliveries["missing"] == 30 - delivered


def test_a_loss_is_counted_for_the_others_only(tmp_path: Path) -> None:
    """Client 1 gets no odd message; where it sent one itself, it is owed none."""
    server = ChatServer("none", lambda client, message: client == 1 and message % 2 == 1)
    outcome = run_chat(tmp_path, server, "4", "8", "1", echo=False)
    assert server.lost
    deliveries = outcome.report["deliveries"]
    assert deliveries["owed"] == 8 * 3
    assert deliveries["missing"] == server.lost
    assert outcome.status == 1


def test_listeners_of_the_broadcasters_worker_emit(tmp_path: Path) -> None:
    server = ChatServer("result")
    outcome = run_chat(tmp_path, server, "9", "6", "1", "--processes", "2", echo=False)
    deliveries = outcome.report["deliveries"]
    assert (deliveries["owed"], deliveries["delivered"]) == (6 * 8, 6 * 8)
    assert server.emitted.total() == 6
    assert outcome.grade == "good"


def test_a_check_has_listeners_emit(tmp_path: Path) -> None:
    with ChatServer("result").serving() as url:
        outcome = run(
            tmp_path, "check", "--target", profile_of(tmp_path, echo=False), "--host", url,
            "--settle", "0", report=False,
        )  # fmt: skip
    assert outcome.status == 0, outcome.stdout
    assert "send      WebSocket message of each listener in turn: written" in outcome.stdout
    assert "receive   4 of 4 other connections received the code, " in outcome.stdout
    assert "receive   8 of 8 copies came, " in outcome.stdout


def test_listeners_of_each_node_emit_in_turn(tmp_path: Path) -> None:
    """Code k is emitted at node k, and reaches that node's other clients only."""
    one, two = ChatServer("result"), ChatServer("result")
    with one.serving() as first, two.serving() as second:
        outcome = run(
            tmp_path, "6", "8", "1", *QUICK, "--target", profile_of(tmp_path, echo=False),
            "--nodes", f"{first},{second}",
        )  # fmt: skip
    assert (one.emitted.total(), two.emitted.total()) == (4, 4)
    pairs = [(each["owed"], each["delivered"]) for each in outcome.report["node_pairs"]]
    assert pairs == [(4 * 2, 4 * 2), (4 * 3, 0), (4 * 3, 0), (4 * 2, 4 * 2)]
