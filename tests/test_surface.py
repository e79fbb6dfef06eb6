"""What others on the machine and in its network see of a run: no secret, and no open door."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import psutil
import pytest

from tests.support.runs import QUICK, Run, running
from tests.support.scripted_server import ScriptedServer, accept, code_frame

pytestmark = pytest.mark.e2e

SECRETS = ("hunter2-alpha", "hunter2-beta", "hunter2-gamma", "hunter2-delta")


def listening(run: Run) -> dict[int, str]:
    """The addresses that a run's processes listen on, by port."""
    return {
        each.laddr.port: each.laddr.ip
        for process in run.processes()
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }


def test_secrets_are_given_in_the_environment_and_stand_in_no_process_list(tmp_path: Path) -> None:
    def on_code(_: int, code: str, connection: socket.socket) -> None:
        server.broadcast(code_frame(code))
        accept(connection)

    server = ScriptedServer(None, on_code)
    alpha, beta, gamma, delta = SECRETS
    environment = {
        "SSELOAD_HEADER": (
            f"[X-Alpha: {alpha}, 'Authorization: Bearer {beta}', 'X-Delta: {{delta}}']"
        ),
        "SSELOAD_INGEST_HEADER": f"X-Gamma: {gamma}",
        "SSELOAD_VALUE": f"delta={delta}",
    }
    words = ("4", "4", "2", *QUICK, "--target", "websocket")
    with (
        server.serving() as url,
        running(tmp_path, *words, "--host", url, env=environment) as run,
    ):
        run.wait_for("broadcast ")
        lines = [" ".join(each.cmdline()) for each in run.processes()]
        outcome = run.finish()
    assert lines
    assert not [line for line in lines if any(secret in line for secret in SECRETS)]
    assert outcome.grade in ("good", "warning")
    posts = [head for head in server.heads if head.startswith(b"POST")]
    others = [head for head in server.heads if not head.startswith(b"POST")]
    assert len(posts) == 4
    assert others
    for head in server.heads:
        assert f"X-Alpha: {alpha}".encode() in head
        assert f"Authorization: Bearer {beta}".encode() in head
        assert f"X-Delta: {delta}".encode() in head
        assert (f"X-Gamma: {gamma}".encode() in head) == (head in posts)


def test_a_run_listens_on_this_machine_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ("4", "2", "2", *QUICK, "--target", "websocket", "--metrics-port", str(port))
    with running(tmp_path, *words) as run:
        run.wait_for("broadcast ")
        found = listening(run)
        run.finish()
    # The metrics, and the embedded target.
    assert port in found
    assert len(found) >= 2
    assert all(ipaddress.ip_address(each).is_loopback for each in found.values()), found
