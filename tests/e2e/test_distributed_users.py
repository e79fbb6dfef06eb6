"""The users of a file over several workers, at a server that allows one session per user."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sseload_users.demo import record
from tests.support.distributed import distributed
from tests.support.runs import target

pytestmark = pytest.mark.e2e


def test_each_user_connects_once_and_the_sender_not_at_all(tmp_path: Path) -> None:
    users = ["boss", *(f"user{number}" for number in range(50))]
    (tmp_path / "users.csv").write_text("\n".join(["username", *users]), "utf-8")
    with (
        target(tmp_path, "--one-session", "--users", ",".join(users)) as (server, path),
        distributed(
            tmp_path, "--codes", "5", "--duration", "1", "--sender", "boss",
            "--users-file", str(tmp_path / "users.csv"), host=server.url, connections=50,
        ) as swarm,
    ):  # fmt: skip
        outcome = swarm.finish()
    truth, report = record.read(path), outcome.report
    connected = Counter(each.username for each in truth.connections.values())
    assert connected == Counter(users[1:])
    assert truth.dropped == report["connections"]["dropped"] == 0
    assert report["deliveries"]["delivered"] == report["deliveries"]["owed"] == 50 * 5
    assert report["run"]["notes"] == []
    assert sorted(row["username"] for row in outcome.table("connections")) == sorted(users[1:])
