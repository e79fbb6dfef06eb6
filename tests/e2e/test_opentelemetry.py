"""Locust's exporter of OpenTelemetry data (--otel), against a collector."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.collector import collector
from tests.support.ports import free_port
from tests.support.runs import LOCUST, QUICK, Outcome, run_against_target, running, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: A user that makes three requests with Locust's own client.
LOCUSTFILE = """
from locust import HttpUser, task
from sseload_users import CodeBroadcaster, CodeListener

class Visitor(HttpUser):
    fixed_count = 1

    @task
    def look(self):
        for _ in range(3):
            self.client.get("/health")
        self.stop()
"""


def exporting(url: str, **attributes: str) -> dict[str, str]:
    """Return the environment that leads to a collector."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={each}" for key, each in attributes.items()),
    }


def check(outcome: Outcome, counts: Mapping[tuple[str, str], int]) -> None:
    """Check what has been exported against the report."""
    report = outcome.report
    connections, codes = report["connections"], report["codes"]
    expected = {
        ("connect", ""): connections["succeeded"],
        ("connect", "ConnectFailed"): connections["failed"],
        ("ingest", ""): codes["accepted"],
        ("ingest", "IngestFailed"): codes["rejected"],
        ("code", ""): report["deliveries"]["delivered"],
    }
    assert counts == {key: count for key, count in expected.items() if count}


def test_requests_are_exported_as_the_report_counts_them(tmp_path: Path) -> None:
    with collector() as (url, collected):
        outcome, _ = run_against_target(
            tmp_path, "12", "20", "2", *QUICK, "--target", "websocket", "--otel",
            faults=("--lose", "0.2", "--refuse", "0.3", "--ingest-status", "500",
                    "--ingest-share", "0.25"),
            env=exporting(url),
        )  # fmt: skip
    assert collected.errors == []
    durations = collected.durations()
    check(outcome, {key: each["count"] for key, each in durations.items()})
    deliveries = outcome.report["deliveries"]
    # What never came has no duration, and is not exported.
    assert deliveries["missing"] > 0
    mean_s = durations["code", ""]["sum"] / deliveries["delivered"]
    assert mean_s * 1000 == pytest.approx(outcome.report["delivery_ms"]["mean"], rel=0.01)
    assert collected.users() == {"CodeListener": 12, "CodeBroadcaster": 1}
    assert collected.services() == {"locust"}
    assert collected.spans == []


def test_each_worker_exports_its_own_requests(tmp_path: Path) -> None:
    port = str(free_port())
    with (
        target(tmp_path / "target") as (server, _),
        collector() as (url, collected),
        contextlib.ExitStack() as stack,
    ):
        master = stack.enter_context(
            running(
                tmp_path / "master", "6", "10", "2", *QUICK, "--host", server.url, "--target",
                "websocket", "--master", "--expect-workers", "2", "--master-bind-port", port,
                "--otel", env=exporting(url, **{"service.instance.id": "master"}),
            )
        )  # fmt: skip
        workers = [
            stack.enter_context(
                running(
                    tmp_path / name, "--worker", "--master-port", port, "--otel",
                    command=LOCUST, report=False,
                    env=exporting(url, **{"service.instance.id": name}),
                )
            )
            for name in ("a", "b")
        ]  # fmt: skip
        outcome = master.finish()
        for each in workers:
            each.finish()
    assert outcome.status == 0, outcome.stderr
    durations = collected.durations()
    check(outcome, {key: each["count"] for key, each in durations.items()})
    assert durations["code", ""]["processes"] == 2
    assert collected.users() == {"CodeListener": 6, "CodeBroadcaster": 1}


def test_requests_of_locusts_own_users_become_spans(tmp_path: Path) -> None:
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(LOCUSTFILE)
    with collector() as (url, collected):
        outcome, _ = run_against_target(
            tmp_path, "-f", str(locustfile), "--headless", "-u", "6", "-r", "50", "--codes", "5",
            "--duration", "1", *QUICK, "--target", "websocket", "--otel",
            command=LOCUST, env=exporting(url),
        )  # fmt: skip
    assert outcome.report["deliveries"]["delivered"] == 4 * 5
    assert collected.spans.count("GET /health") == 3
    assert collected.durations()["/health", ""]["count"] == 3
    assert collected.durations()["code", ""]["count"] == 4 * 5
