"""Runs from Locust's web UI, without a browser: its form, and several runs in one process."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sseload_users.demo import record
from tests.support.metrics import families, values
from tests.support.runs import PATIENCE, Run, target
from tests.support.web_ui import form_fields, web_ui

pytestmark = pytest.mark.e2e


class Session:
    """Locust with its web UI, and the target that it tests."""

    def __init__(self, run: Run, url: str, record_path: Path) -> None:
        self.run = run
        self.url = url
        self._record_path = record_path

    @property
    def truth(self) -> record.Record:
        return record.read(self._record_path)

    def get(self, path: str) -> requests.Response:
        answer = requests.get(self.url + path, timeout=PATIENCE)
        answer.raise_for_status()
        return answer

    def answer(self, users: int, **fields: object) -> Any:
        """Send the form; return the answer."""
        form = {"user_count": users, "spawn_rate": 50, **fields}
        answer = requests.post(f"{self.url}/swarm", data=form, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    def swarm(self, users: int, **fields: object) -> None:
        """Start a run, as the form does."""
        assert self.answer(users, **fields)["success"] is True

    def counted(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return the requests and failures in Locust's table, which it caches for two seconds."""
        rows = self.get("/stats/requests").json()["stats"]
        return {
            (row["method"], row["name"]): (row["num_requests"], row["num_failures"]) for row in rows
        }

    def delivered(self) -> float:
        """Return the deliveries so far, from the metrics."""
        found = families(self.get("/metrics").text)
        return values(found["sseload_deliveries"])["delivered",]

    def state(self) -> str:
        return str(self.get("/stats/requests").json()["state"])

    def wait_for_end(self, runs: int) -> None:
        """Wait until the given number of runs has been reported."""
        self.run.wait_until(lambda: self.run.stdout.count("Verdict") >= runs, "the end of the run")

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run.folder / "report.json").read_text("utf-8"))
        return found


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    arguments = ("--target", "websocket", "--codes", "3", "--duration", "1")
    with (
        target(tmp_path) as (server, path),
        web_ui(tmp_path, *arguments, "--host", server.url) as (run, url),
    ):
        yield Session(run, url, path)


def test_two_runs_and_an_invalid_one_in_one_process(session: Session) -> None:
    # The form has the options, with the values of the command line.
    form = form_fields(session.get("/").text)
    assert form["codes"]["default_value"] == 3
    assert form["target"]["default_value"] == "websocket"
    assert {"duration", "delivery_timeout", "settle", "username", "reconnect"} <= form.keys()
    assert not {"client_key", "header", "delivery_report", "thresholds"} & form.keys()

    # A run starts and ends by itself.
    session.swarm(9)
    session.wait_for_end(1)
    first = session.report()
    assert first["run"]["complete"] is True
    assert first["connections"]["succeeded"] == 8
    assert first["deliveries"]["delivered"] == 8 * 3
    assert first["verdict"]["grade"] == "good"
    right = {
        ("WS", "connect"): (8, 0),
        ("WS", "code"): (24, 0),
        ("POST", "ingest"): (3, 0),
        ("", "Aggregated"): (35, 0),
    }
    session.run.wait_until(lambda: session.counted() == right, "the first run's table")

    # What cannot be is refused in one sentence before anything starts.
    assert session.answer(5, codes="ten") == {
        "success": False,
        "message": "Invalid --codes 'ten': use a whole number.",
        "host": first["run"]["target"],
    }
    refusal = session.answer(5, users_file="no-such-file.csv")
    assert refusal["message"].startswith("no-such-file.csv: cannot read the users file")
    assert len(session.truth.connections) == 8
    assert session.report() == first

    # The values of the form apply to another run, which has a new account.
    fields = {"connections": 5, "codes": 4, "duration": 0.8, "username": "alice", "users_file": ""}
    fields |= {"target": "websocket", "settle": 0.1, "delivery_timeout": 1, "spawn_rate": 50}
    answer = requests.post(f"{session.url}/delivery/new", data=fields, timeout=PATIENCE)
    assert answer.url == f"{session.url}/delivery"
    assert 'data-running="yes"' in answer.text
    session.wait_for_end(2)
    second = session.report()
    assert second["run"]["id"] != first["run"]["id"]
    assert second["connections"]["attempted"] == second["connections"]["succeeded"] == 5
    assert second["codes"]["scheduled"] == 4
    assert second["deliveries"]["owed"] == second["deliveries"]["delivered"] == 5 * 4
    assert second["received_per_connection"] == {"4": 5}
    assert second["run"]["options"]["username"] == "alice"
    right = {
        ("WS", "connect"): (5, 0),
        ("WS", "code"): (20, 0),
        ("POST", "ingest"): (4, 0),
        ("", "Aggregated"): (29, 0),
    }
    session.run.wait_until(lambda: session.counted() == right, "the second run's table")

    # The form keeps them.
    form = form_fields(session.get("/").text)
    assert [form[name]["default_value"] for name in ("codes", "duration", "username")] == [
        4, 0.8, "alice",
    ]  # fmt: skip

    session.run.interrupt()
    outcome = session.run.finish()
    assert outcome.report == second
    assert outcome.error_messages == []
    assert outcome.stdout.count("Verdict") == 2
    assert outcome.status == 0
    truth = session.truth
    assert [each.status for each in truth.ingests] == [200] * 7
    names = [each.username for each in truth.connections.values()]
    assert names == ["loadtest"] * 8 + ["alice"] * 5


def test_the_stop_button_ends_a_run_that_is_reported(session: Session) -> None:
    session.swarm(7, duration="100")
    session.run.wait_until(lambda: session.truth.sent == 6, "the first code")
    session.run.wait_until(lambda: session.delivered() == 6, "its deliveries")
    assert requests.post(f"{session.url}/stop", timeout=PATIENCE).json()["success"] is True
    session.wait_for_end(1)
    report = session.report()
    assert report["run"]["complete"] is False
    assert report["run"]["notes"][0] == "The run was ended in the broadcast phase."
    assert report["deliveries"]["delivered"] == session.truth.sent == 6
    assert session.run.child.poll() is None
    session.run.child.send_signal(signal.SIGTERM)
    outcome = session.run.finish()
    assert outcome.report == report
    assert outcome.stdout.count("Verdict") == 1
