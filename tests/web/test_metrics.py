"""Metrics by HTTP: their port, and a real run that is scraped as it goes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
import requests

from sseload_users.core.errors import ConfigError
from sseload_users.report.prometheus import Exposition
from sseload_users.web.metrics_server import MetricsServer
from tests.support.metrics import families, values
from tests.support.ports import free_port
from tests.support.runs import LOCUST, PATIENCE, QUICK, SSELOAD, run, running, target


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    started = MetricsServer(
        lambda accept: Exposition(b"sseload_workers 1\n", f"text/plain; of={accept}"),
        "127.0.0.1",
        0,
    )
    yield started
    started.close()


def ask(server: MetricsServer, path: str, method: str = "GET") -> bytes:
    """The whole response, read by hand because the server is in this process."""
    import gevent.socket as gsocket

    with closing(gsocket.create_connection(("127.0.0.1", server.port), 10)) as to:
        to.sendall(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while piece := to.recv(65536):
            answer += piece
    return answer


def test_only_the_metrics_path_is_served(server: MetricsServer) -> None:
    answer = ask(server, "/metrics")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/plain; of=\r\n" in answer
    assert answer.endswith(b"\r\n\r\nsseload_workers 1\n")
    assert b" 404 " in ask(server, "/")
    assert b" 405 " in ask(server, "/metrics", "DELETE")


def test_a_port_in_use_is_one_sentence(server: MetricsServer) -> None:
    with pytest.raises(ConfigError, match=r"--metrics-port \d+: cannot listen on 127\.0\.0\.1"):
        MetricsServer(lambda _: Exposition(b"", ""), "127.0.0.1", server.port)


@pytest.mark.e2e
def test_a_headless_run_can_be_scraped(tmp_path: Path) -> None:
    port = free_port()
    seen = []
    with (
        target(tmp_path) as (server, _),
        running(
            tmp_path, "12", "8", "4", *QUICK, "--host", server.url, "--target", "websocket",
            "--metrics-port", str(port),
        ) as going,
    ):  # fmt: skip
        going.wait_for("broadcast   Broadcasting")

        def scraped() -> bool:
            answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE)
            seen.append(families(answer.text))
            return values(seen[-1]["sseload_codes"])["accepted",] >= 3

        going.wait_until(scraped, "three accepted codes")
        with pytest.raises(requests.ConnectionError):
            # Not on this machine's other addresses.
            requests.get(f"http://127.0.0.2:{port}/metrics", timeout=PATIENCE)
        outcome = going.finish()
    assert outcome.grade == "good"
    assert "metrics_port" not in outcome.report["run"]["options"]
    last = seen[-1]
    assert values(last["sseload_connections_open"]) == {(): 12}
    assert values(last["sseload_connects"])["succeeded",] == 12
    assert values(last["sseload_deliveries"])["missing",] == 0
    assert values(last["sseload_deliveries"])["delivered",] <= 8 * 12
    for name in ("sseload_codes", "sseload_connects", "sseload_operations"):
        rows = [values(each[name]) for each in seen]
        for before, after in pairwise(rows):
            assert all(after[key] >= many for key, many in before.items()), name


@pytest.mark.e2e
def test_a_port_in_use_ends_a_run_before_it_begins(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        outcome = run(tmp_path, "2", "1", "1", "--metrics-port", port, command=SSELOAD)
    assert outcome.status == 2
    (complaint,) = outcome.error_messages
    assert complaint.startswith(f"sseload: --metrics-port {port}: cannot listen on ")
    assert "(address already in use)" in complaint
    assert not outcome.has_report


@pytest.mark.e2e
def test_locusts_opentelemetry_is_independent(tmp_path: Path) -> None:
    """It works with its packages; without them Locust names them and goes on."""
    with target(tmp_path) as (server, _):
        outcome = run(
            tmp_path, "--headless", "-u", "4", "-r", "50", "--codes", "2", "--duration", "0.5",
            *QUICK, "--target", "websocket", "--host", server.url, "--otel",
            command=LOCUST, env={"OTEL_TRACES_EXPORTER": "console", "OTEL_LOGS_EXPORTER": "none",
                                 "OTEL_METRICS_EXPORTER": "none"},
        )  # fmt: skip
    assert outcome.grade == "good"
    assert outcome.status == 0
    said = outcome.stderr + outcome.stdout
    assert "OpenTelemetry SDK is not installed" in said or "OpenTelemetry enabled" in said


@pytest.mark.e2e
@pytest.mark.dear
def test_a_headless_run_waits_for_the_scrape_of_its_final_metrics(tmp_path: Path) -> None:
    port = free_port()
    with running(
        tmp_path, "6", "3", "1", *QUICK, "--target", "websocket", "--metrics-port", str(port),
        "--metrics-wait", "45",
    ) as going:  # fmt: skip
        going.wait_until(lambda: "Verdict" in going.stdout, "the summary")
        answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE)
        outcome = going.finish()
    assert outcome.status == 0
    assert outcome.seconds < 40
    found = families(answer.text)
    assert values(found["sseload_run_complete"]) == {(): 1}
    assert values(found["sseload_deliveries"])["delivered",] == 18
    assert values(found["sseload_worker_deliveries"])["delivered", "", "local"] == 18
