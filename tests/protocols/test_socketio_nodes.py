"""Two nodes of Socket.IO that share their broadcasts by Redis, until one is cut off from it."""

from __future__ import annotations

import contextlib
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sseload_users.core.config_path import config_path
from tests.protocols.contract import Served, assert_all_delivered, assert_equal
from tests.protocols.debian import require_debian_program, started
from tests.protocols.node import node_server
from tests.support.relays import balancer
from tests.support.runs import QUICK, Outcome, run

pytestmark = [pytest.mark.e2e, pytest.mark.protocols]

CONNECTIONS, CODES = 24, 20


@contextlib.contextmanager
def nodes(folder: Path) -> Iterator[list[Served]]:
    """Run Redis and two nodes."""
    require_debian_program("redis-server")
    redis = ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", ""]
    with started(redis, folder) as port, contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                node_server("socketio_node.js", f"redis://127.0.0.1:{port}", options=())
            )
            for _ in range(2)
        ]


def attempt(folder: Path, served: list[Served], *host: str) -> tuple[Outcome, list[Counter[str]]]:
    """Run against the nodes; return the outcome, and what each has sent."""
    profile = config_path("targets/socketio.toml").read_text("utf-8")
    # Polls would need a balancer that sends each client to one node.
    profile = profile.replace('# transports = ["websocket"]', 'transports = ["websocket"]')
    (folder / "socketio.toml").write_text(profile, "utf-8")
    outcome = run(
        folder, str(CONNECTIONS), str(CODES), "1", "-r", "200", *QUICK, *host,
        "--target", str(folder / "socketio.toml"),
    )  # fmt: skip
    return outcome, [Counter(each.sent()) for each in served if each.sent is not None]


def test_nodes_that_share_broadcasts_deliver_everything(tmp_path: Path) -> None:
    with nodes(tmp_path / "redis") as served, balancer([each.url for each in served]) as url:
        outcome, sent = attempt(tmp_path, served, "--host", url)
    assert_all_delivered(outcome, CONNECTIONS, CODES)
    assert sent[0].keys() == sent[1].keys()
    assert_equal(outcome, sent[0] + sent[1])


@pytest.mark.parametrize("known", [False, True])
def test_a_node_that_is_cut_off_from_redis_is_named(tmp_path: Path, known: bool) -> None:
    """Behind a balancer it shows in who lacks what; if the nodes are known, by the node."""
    with nodes(tmp_path / "redis") as served, balancer([each.url for each in served]) as url:
        urllib.request.urlopen(f"{served[1].url}/cut", data=b"", timeout=5).close()
        host = ("--nodes", ",".join(each.url for each in served)) if known else ("--host", url)
        outcome, sent = attempt(tmp_path, served, *host)
    deliveries = outcome.report["deliveries"]
    total = (sent[0] + sent[1]).total()
    assert deliveries["owed"] == CONNECTIONS * CODES
    assert deliveries["delivered"] == total
    assert deliveries["missing"] == CONNECTIONS * CODES - total
    assert_equal(outcome, sent[0] + sent[1])
    # Each code reached the clients of the node that it was posted to.
    assert not sent[0].keys() & sent[1].keys()
    (found,) = outcome.report["diagnosis"]
    assert found["pattern"] == ("by_node" if known else "isolated_instances")
    assert found["explains"] == 1.0
    assert outcome.grade == "issues"
