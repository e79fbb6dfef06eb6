"""All ways to start a run: the command, Locust, a configuration, another locustfile, the wheel."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sseload_users.core.version import VERSION
from sseload_users.demo import record
from sseload_users.demo.record import Record
from tests.support.runs import (
    LOCUST,
    QUICK,
    ROOT,
    SSELOAD,
    Outcome,
    clean_environment,
    run,
    run_against_target,
    target,
)
from tests.support.wheel import build_wheel, install

pytestmark = pytest.mark.e2e

EMBEDDED = re.compile(
    r"^No --host given: testing the embedded target, which listens at (http://127\.0\.0\.1:\d+)\.$",
    re.MULTILINE,
)

#: A locustfile with user classes of its own; each use of one leaves a line in a file.
CUSTOM_LOCUSTFILE = """
import os
from pathlib import Path

from locust import HttpUser, constant, events, task
from sseload_users import CodeBroadcaster, CodeListener

SEEN = Path(os.environ["SEEN"])


def note(line):
    with SEEN.open("a") as file:
        file.write(line + "\\n")


class Subscriber(CodeListener):
    host = os.environ["TARGET"]
    target = "websocket"
    username = "alice"
    delivery_timeout = 1

    def on_connected(self):
        note("connected")

    def on_code(self, delivery):
        note(f"code {delivery.text} {delivery.arrived_ns} {delivery.sequence} "
             f"{delivery.latency_ms} {delivery.session} {delivery.duplicate}")

    def on_closed(self, cause):
        note(f"closed {cause}")


class Sender(CodeBroadcaster):
    host = os.environ["TARGET"]
    target = "websocket"
    username = "bob"
    codes = 3
    duration = 1


class Visitor(HttpUser):
    host = os.environ["TARGET"]
    wait_time = constant(0.2)

    @task
    def look(self):
        self.client.get("/health")
"""

LISTENER = """

@events.request.add_listener
def on_request(request_type, name, response_time, exception, **_):
    failed = type(exception).__name__ if exception else "-"
    note(f"request {request_type} {name} {failed} {response_time}")
"""

#: Some failures of each kind that Locust's table shows.
FAULTS = (
    "--lose", "0.1", "--drop", "0.25", "--drop-after", "2", "--refuse", "0.2",
    "--ingest-status", "500", "--ingest-share", "0.25",
)  # fmt: skip


def test_the_command_takes_numbers_and_options(tmp_path: Path) -> None:
    outcome, truth = run_against_target(
        tmp_path,
        "7", "3", "1", *QUICK, "--target", "websocket", "--username", "alice",
        "--header", "X-Token: verysecret", "--spawn-rate", "40",
        "--csv", str(tmp_path / "locust"), "--html", str(tmp_path / "locust.html"),
    )  # fmt: skip
    assert outcome.status == 0
    assert outcome.grade == "good"
    assert outcome.report["deliveries"]["delivered"] == truth.sent == 7 * 3
    assert {each.username for each in truth.connections.values()} == {"alice"}
    options = outcome.report["run"]["options"]
    assert (options["codes"], options["duration"], options["users"]) == (3, 1.0, 8)
    assert options["spawn_rate"] == 40
    assert options["header"] == ["X-Token"]
    assert EMBEDDED.search(outcome.stderr) is None
    assert (tmp_path / "locust_stats.csv").exists()
    assert "verysecret" not in outcome.stdout + outcome.stderr
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"verysecret" not in file.read_bytes(), file


def test_without_host_the_embedded_target_is_tested(tmp_path: Path) -> None:
    outcome = run(tmp_path, "5", "2", "1", *QUICK, "--target", "websocket")
    assert outcome.status == 0
    (url,) = EMBEDDED.findall(outcome.stderr)
    assert outcome.report["run"]["target"] == url
    assert outcome.report["deliveries"]["delivered"] == 5 * 2


def test_locust_in_the_repository_needs_no_further_option(tmp_path: Path) -> None:
    short = {"CODES": "3", "SETTLE": "0.1", "DELIVERY_TIMEOUT": "2.5"}
    outcome = run(
        tmp_path,
        # Without a duration, the codes fit into the time limit.
        "--headless", "-u", "20", "-t", "5s",
        command=LOCUST, report=False,
        env={
            **{f"SSELOAD_{name}": value for name, value in short.items()},
            "SSELOAD_DELIVERY_REPORT": str(tmp_path / "report"),
        },
    )  # fmt: skip
    assert outcome.status == 0
    assert EMBEDDED.search(outcome.stderr) is not None
    report = outcome.report
    # One of the users broadcasts.
    assert report["connections"]["succeeded"] == 19
    assert report["deliveries"]["delivered"] == 19 * 3
    assert report["run"]["options"]["spawn_rate"] == 100
    assert report["run"]["complete"] is True
    assert report["run"]["notes"] == []
    assert 0 < report["run"]["options"]["duration"] <= 2.5
    assert report["run"]["options"]["target"] == "code-server"
    # Locust's own table is printed once, and the verdict comes last.
    lines = outcome.stderr + outcome.stdout
    assert lines.count("Response time percentiles (approximated)") == 1
    assert any("Verdict" in line for line in outcome.stdout.strip().splitlines()[-8:])


def test_configuration_files_work_with_locust(tmp_path: Path) -> None:
    outcome, truth = run_against_target(
        tmp_path,
        "--config", "config/stress.conf", "-u", "11", "--codes", "3", "--duration", "1", *QUICK,
        command=LOCUST,
    )  # fmt: skip
    assert outcome.status == 0
    assert outcome.report["connections"]["succeeded"] == truth.opened == 10
    assert outcome.report["deliveries"]["delivered"] == truth.sent == 10 * 3


CustomRuns = dict[str, tuple[Outcome, Record, Path]]


@pytest.fixture(scope="module")
def custom_runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> CustomRuns:
    """Run the locustfile, with a listener for requests and without."""
    parent = tmp_path_factory.mktemp("custom")

    def one(name: str) -> tuple[Outcome, Record, Path]:
        folder = parent / name
        folder.mkdir()
        text = CUSTOM_LOCUSTFILE + (LISTENER if name == "listener" else "")
        (folder / "custom.py").write_text(text)
        with_host = {"SEEN": str(folder / "seen"), "PYTHONPATH": str(ROOT)}
        outcome, truth = run_with_class_host(
            folder,
            "-f", "custom.py", "--headless", "-u", "23", "-r", "50", *QUICK,
            "--csv", "locust", "--html", "locust.html", "--json-file", "locust",
            env=with_host,
        )  # fmt: skip
        return outcome, truth, folder

    with ThreadPoolExecutor(2) as pool:
        names = ("listener", "alone")
        return dict(zip(names, pool.map(one, names), strict=True))


def run_with_class_host(
    folder: Path, *arguments: str, env: dict[str, str]
) -> tuple[Outcome, Record]:
    """Run with the host set by the user classes only."""
    with target(folder, *FAULTS) as (server, path):
        env = {**env, "TARGET": server.url}
        outcome = run(folder, *arguments, command=LOCUST, cwd=folder, env=env)
    return outcome, record.read(path)


def table(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Read Locust's table from its CSV file."""
    with (folder / "locust_stats.csv").open(newline="") as file:
        return {(row["Type"], row["Name"]): row for row in csv.DictReader(file)}


def expected_table(outcome: Outcome) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the requests and failures that Locust's table should have, from the report."""
    connections, deliveries = outcome.report["connections"], outcome.report["deliveries"]
    codes = outcome.report["codes"]
    undelivered = deliveries["owed"] - deliveries["delivered"]
    return {
        ("WS", "connect"): (connections["attempted"], connections["failed"]),
        ("WS", "session"): (connections["dropped"], connections["dropped"]),
        ("WS", "code"): (deliveries["owed"], undelivered),
        ("POST", "ingest"): (codes["sent"], codes["sent"] - codes["accepted"]),
    }


@pytest.mark.parametrize("how", ["listener", "alone"])
def test_only_the_users_of_the_locustfile_run(custom_runs: CustomRuns, how: str) -> None:
    outcome, truth, folder = custom_runs[how]
    report = outcome.report
    # One of the 23 users broadcasts; the other two classes share the rest.
    assert report["connections"]["attempted"] == len(truth.connections) == 11
    assert {each.username for each in truth.connections.values()} == {"alice"}
    assert report["codes"]["scheduled"] == len(truth.ingests) == 3
    assert report["run"]["options"]["codes"] == 3
    assert report["deliveries"]["delivered"] == truth.sent > 0
    deliveries = report["deliveries"]
    # Some were dropped before the timeout of a lost code.
    assert deliveries["missing"] + deliveries["interrupted"] == truth.lost > 0
    visits = table(folder)["GET", "/health"]
    assert int(visits["Request Count"]) >= 11
    assert EMBEDDED.search(outcome.stderr) is None


@pytest.mark.parametrize("how", ["listener", "alone"])
def test_on_code_gets_each_code_that_came(custom_runs: CustomRuns, how: str) -> None:
    outcome, truth, folder = custom_runs[how]
    codes = [line.split() for line in (folder / "seen").read_text().splitlines()]
    called = [fields for fields in codes if fields[0] == "code"]
    assert len(called) == outcome.report["deliveries"]["delivered"] == truth.sent
    assert {fields[1] for fields in called} == {code.code for code in truth.codes.values()}
    starts = {code.code: code.start_ns for code in truth.codes.values()}
    assert all(0 <= int(fields[2]) - starts[fields[1]] < 10**9 for fields in called)
    sequences = {fields[1]: int(fields[3]) for fields in called}
    assert sequences == {code: int(code.split("-")[2]) for code in starts}
    assert all(0 < float(fields[4]) < 1000 for fields in called)
    assert {tuple(fields[5:]) for fields in called} == {("1", "False")}


@pytest.mark.parametrize("how", ["listener", "alone"])
def test_hooks_are_called_for_each_session(custom_runs: CustomRuns, how: str) -> None:
    outcome, _, folder = custom_runs[how]
    lines = (folder / "seen").read_text().splitlines()
    connections = outcome.report["connections"]
    assert lines.count("connected") == connections["succeeded"]
    closed = [line for line in lines if line.startswith("closed ")]
    assert len(closed) == connections["succeeded"]
    dropped = [line for line in closed if line != "closed left"]
    assert len(dropped) == connections["dropped"] > 0


@pytest.mark.parametrize("how", ["listener", "alone"])
def test_locusts_own_outputs_have_the_same_counts(custom_runs: CustomRuns, how: str) -> None:
    outcome, _, folder = custom_runs[how]
    rows, wanted = table(folder), expected_table(outcome)
    counted = {
        key: (int(row["Request Count"]), int(row["Failure Count"]))
        for key, row in rows.items()
        if key not in (("GET", "/health"), ("", "Aggregated"))
    }
    assert counted == wanted
    assert all(requests > 0 for requests, _ in wanted.values())
    in_json = {
        (row["method"], row["name"]): (row["num_requests"], row["num_failures"])
        for row in json.loads((folder / "locust.json").read_text())
        if row["name"] != "/health"
    }
    assert in_json == wanted
    page = (folder / "locust.html").read_text()
    for name in ("code", "connect", "session", "ingest"):
        assert f'"{name}"' in page
    with (folder / "locust_failures.csv").open(newline="") as file:
        failures = {
            (row["Method"], row["Name"], row["Error"]): int(row["Occurrences"])
            for row in csv.DictReader(file)
        }
    assert sum(failures.values()) == sum(failed for _, failed in wanted.values())
    deliveries = outcome.report["deliveries"]
    assert failures["WS", "code", "DeliveryError('missing')"] == deliveries["missing"]


def test_a_request_listener_gets_each_delivery(custom_runs: CustomRuns) -> None:
    outcome, _, folder = custom_runs["listener"]
    heard = [line.split() for line in (folder / "seen").read_text().splitlines()]
    requests = [fields[1:] for fields in heard if fields[0] == "request"]
    counted: dict[tuple[str, str], list[int]] = {}
    for kind, name, failed, _ in requests:
        counts = counted.setdefault((kind, name), [0, 0])
        counts[0] += 1
        counts[1] += failed != "-"
    del counted["GET", "/health"]
    assert {key: tuple(counts) for key, counts in counted.items()} == expected_table(outcome)
    times = [float(fields[3]) for fields in requests if fields[:3] == ["WS", "code", "-"]]
    latency = outcome.report["delivery_ms"]
    assert len(times) == latency["count"]
    assert min(times) == pytest.approx(latency["min"], rel=0.01)
    assert sum(times) / len(times) == pytest.approx(latency["mean"], rel=0.01)


def test_the_table_is_the_same_with_and_without_a_listener(custom_runs: CustomRuns) -> None:
    counts: list[Any] = []
    for how in ("listener", "alone"):
        outcome, _, folder = custom_runs[how]
        row = table(folder)["WS", "code"]
        # Both runs have the same seed, so the same deliveries are lost.
        counts.append((row["Request Count"], row["Failure Count"]))
        latency = outcome.report["delivery_ms"]
        assert float(row["Min Response Time"]) == pytest.approx(latency["min"], rel=0.01)
        assert float(row["Max Response Time"]) == pytest.approx(latency["max"], rel=0.01)
    assert counts[0] == counts[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it outside the repository; return the directory."""
    folder = tmp_path_factory.mktemp("installed")
    return install(build_wheel(folder), folder / "site")


@pytest.mark.parametrize("command", ["sseload", "python -m sseload_users"])
def test_the_wheel_works_outside_the_repository(
    installed: Path, tmp_path: Path, command: str
) -> None:
    program = (sys.executable, str(installed / "bin" / "sseload"))
    outcome = run(
        tmp_path,
        "5", "2", "1", *QUICK,
        command=program if command == "sseload" else SSELOAD,
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert outcome.status == 0
    assert outcome.report["deliveries"]["delivered"] == 5 * 2
    assert outcome.report["run"]["versions"]["sseload"] == VERSION


def test_the_wheel_has_every_page(installed: Path, tmp_path: Path) -> None:
    pages = {path.stem: path for path in (ROOT / "docs").glob("*.md")}
    printed = {
        name: subprocess.run(
            [sys.executable, str(installed / "bin" / "sseload"), "docs", *([name] if name else [])],
            cwd=tmp_path, env={**clean_environment(), "PYTHONPATH": str(installed)},
            check=True, capture_output=True, text=True, timeout=30,
        ).stdout
        for name in ("", "verdict")
    }  # fmt: skip
    assert [line.split()[0] for line in printed[""].splitlines()] == sorted(pages)
    assert printed["verdict"] == pages["verdict"].read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "noted"),
    [
        (("--ca-file", str(ROOT / "tests" / "certificates" / "ca.pem")), []),
        (("--insecure",), ["Any server certificate was accepted (--insecure)."]),
    ],
    ids=["trusted", "insecure"],
)
def test_a_run_over_tls(tmp_path: Path, arguments: tuple[str, ...], noted: list[str]) -> None:
    certificate = str(ROOT / "tests" / "certificates" / "server.pem")
    outcome, truth = run_against_target(
        tmp_path, "7", "3", "1", *QUICK, "--target", "code-server", *arguments,
        faults=("--tls-cert", certificate),
    )  # fmt: skip
    assert outcome.report["run"]["target"].startswith("https://")
    assert outcome.report["run"]["notes"] == noted
    assert outcome.report["deliveries"]["delivered"] == truth.sent == 7 * 3
    assert outcome.grade == "good"
    assert outcome.status == 0
