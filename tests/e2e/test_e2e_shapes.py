"""Short runs of each load shape in config/, and of the form that they fill."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from locust.argument_parser import parse_options, ui_extra_args_dict

from sseload_users import plugin  # noqa: F401 - registers the options
from sseload_users.demo import record
from sseload_users.options import Options
from tests.support.runs import (
    LOCUST,
    PATIENCE,
    QUICK,
    ROOT,
    Outcome,
    run_against_target,
    target,
)
from tests.support.web_ui import form_fields, web_ui

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

CONFIGS = sorted(path.stem for path in (ROOT / "config").glob("*.conf"))
CONNECTIONS = 30

#: Options that make each shape short, and options of the target.
SHORT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "basic": (("--codes", "4", "--duration", "2"), ()),
    "stress": (("--codes", "10", "--duration", "2"), ()),
    "soak": (("--codes", "40", "--duration", "4"), ()),
    "churn": (("--codes", "60", "--duration", "4", "--session-length", "1"), ()),
    "storm": (("--codes", "20", "--duration", "4", "--storm-after", "1"), ()),
    "storm with jitter": (
        ("--codes", "20", "--duration", "4", "--storm-after", "1", "--storm-jitter", "1.5"), (),
    ),
    "storm on a slow server": (
        ("--codes", "12", "--duration", "4", "--storm-after", "1", "--connect-timeout", "0.4"),
        ("--refuse", "0.3", "--refuse-how", "hang"),
    ),
    "rooms": (("--codes", "40", "--duration", "2"), ()),
    "flap": (
        ("--codes", "40", "--duration", "4", "--flap", "0.3", "--storm-jitter", "0.5"), (),
    ),
    "burst": (("--codes", "50"), ()),
    "slow-consumers": (("--codes", "30", "--duration", "3", "--slow-rate", "300"), ()),
    "idle": (("--duration", "5"), ("--ping-interval", "0.4", "--ping-timeout", "1")),
}  # fmt: skip

Shapes = dict[str, Future[tuple[Outcome, record.Record]]]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shapes]:
    """Start all shapes, several at a time."""
    folder = tmp_path_factory.mktemp("shapes")

    def one(name: str) -> tuple[Outcome, record.Record]:
        arguments, faults = SHORT[name]
        return run_against_target(
            folder / name.replace(" ", "-"), "--config", f"config/{name.split()[0]}.conf",
            "-u", str(CONNECTIONS + 1), "-r", "100", *QUICK, *arguments,
            faults=faults, command=LOCUST,
        )  # fmt: skip

    with ThreadPoolExecutor(5) as pool:
        yield {name: pool.submit(one, name) for name in SHORT}


def check_flawless(outcome: Outcome) -> None:
    """Check that everything owed was delivered, and nothing failed."""
    assert outcome.reasons == {}
    report = outcome.report
    assert report["run"]["complete"] is True
    assert report["deliveries"]["owed"] == report["deliveries"]["delivered"] > 0
    assert report["connections"]["dropped"] == report["connections"]["failed"] == 0
    assert outcome.status == 0


@pytest.mark.parametrize("name", ["basic", "stress", "soak", "burst", "idle"])
def test_shapes_without_faults_deliver_everything(shapes: Shapes, name: str) -> None:
    outcome, truth = shapes[name].result()
    check_flawless(outcome)
    report = outcome.report
    assert report["connections"]["succeeded"] == truth.opened == CONNECTIONS
    assert report["connections"]["replaced"] == 0
    assert report["storm"] is None
    assert report["deliveries"]["delivered"] == CONNECTIONS * report["codes"]["accepted"]
    # The timeline has the generator's memory.
    rss = [point["rss_mib"] for point in report["timeline"]]
    assert all(20 < each < 500 for each in rss)
    assert max(rss) < 1.2 * min(rss)


def test_rooms_get_their_own_codes(shapes: Shapes) -> None:
    outcome, truth = shapes["rooms"].result()
    check_flawless(outcome)
    assert len({code.channel for code in truth.codes.values()}) == 20
    # A connection that is about to move is not owed what still comes.
    deliveries = outcome.report["deliveries"]
    assert deliveries["delivered"] + deliveries["released"] == truth.sent == truth.subscribers


def test_flapping_connections_get_what_they_missed(shapes: Shapes) -> None:
    outcome, truth = shapes["flap"].result()
    assert outcome.report["flap"]["ended"] > 8
    assert outcome.report["deliveries"]["missing"] == truth.withheld == 0


def test_a_burst_is_sent_back_to_back(shapes: Shapes) -> None:
    outcome, truth = shapes["burst"].result()
    assert len(truth.ingests) == 50
    sent = [row["sent_at"] for row in outcome.report["per_code"]]
    assert _seconds(max(sent)) - _seconds(min(sent)) < 1.5
    assert "back to back" in outcome.stderr


def test_slow_consumers_do_not_affect_others(shapes: Shapes) -> None:
    outcome, _ = shapes["slow-consumers"].result()
    received = sorted(int(row["delivered"]) for row in outcome.table("connections"))
    # A tenth of them read 300 bytes a second, and a code has about as many.
    assert received[3:] == [30] * (CONNECTIONS - 3)
    assert max(received[:3]) < 30
    (note,) = outcome.report["run"]["notes"]
    assert note.startswith("3 connections read slowly, at 300 bytes a second")


def test_heartbeats_keep_idle_connections(shapes: Shapes) -> None:
    outcome, truth = shapes["idle"].result()
    first, last = (row["sent_at"] for row in outcome.report["per_code"])
    # Without its pong, a connection is closed after 1.4 s.
    assert _seconds(last) - _seconds(first) > 2
    assert all(each.dropped is None for each in truth.connections.values())


def test_churn_replaces_sessions_and_loses_nothing(shapes: Shapes) -> None:
    outcome, truth = shapes["churn"].result()
    check_flawless(outcome)
    connections = outcome.report["connections"]
    # About 30 per second for 5 s.
    assert 60 < connections["replaced"] < 300
    assert connections["reconnected"] == 0
    # A connection that was being opened at the end is counted by the server only.
    assert 0 <= truth.opened - connections["succeeded"] <= CONNECTIONS
    waiting = connections["replaced"] - (connections["succeeded"] - CONNECTIONS)
    assert 0 <= waiting <= CONNECTIONS
    assert connections["peak_open"] <= CONNECTIONS
    assert f"{connections['replaced']} replaced" in outcome.stdout
    # Sessions do not end together, as they do in a storm.
    ends = sorted(each.closed_ns for each in truth.connections.values() if each.closed_ns)
    assert max(later - earlier for earlier, later in zip(ends, ends[10:], strict=False)) > 1e7
    rows = outcome.table("connections")
    assert sum(int(row["sessions"]) for row in rows) == connections["succeeded"]


def test_a_storm_reports_how_soon_connections_are_back(shapes: Shapes) -> None:
    outcome, truth = shapes["storm"].result()
    check_flawless(outcome)
    storm = outcome.report["storm"]
    assert storm["ended"] == storm["back"] == CONNECTIONS
    assert 0 < storm["back_50_s"] <= storm["back_95_s"] <= storm["back_100_s"] < 3
    assert storm["own_ms"]["count"] == CONNECTIONS
    assert storm["own_ms"]["max"] <= storm["back_100_s"] * 1000 * 1.01
    assert truth.opened == 2 * CONNECTIONS
    (began,) = storm["started_at"]
    (broadcast,) = (each for each in outcome.report["phases"] if each["name"] == "broadcast")
    assert 0.9 < _seconds(began) - _seconds(broadcast["started_at"]) < 3
    # The server saw all connections close at once and return at once.
    first = sorted(truth.connections)[:CONNECTIONS]
    ends = [truth.connections[number].closed_ns or 0 for number in first]
    comes = [each.opened_ns for number, each in truth.connections.items() if number not in first]
    assert max(ends) - min(ends) < 1e9
    assert max(filter(None, comes)) - min(ends) < storm["back_100_s"] * 1e9 + 0.5e9
    said = " ".join(outcome.stdout.split())
    assert f"Storm {CONNECTIONS} connections ended at once; reconnected: 50 % after" in said
    assert "All sessions end at once" in outcome.stderr


def test_jitter_spreads_a_storm(shapes: Shapes) -> None:
    at_once, spread = (
        shapes[name].result()[0].report["storm"] for name in ("storm", "storm with jitter")
    )
    assert spread["back"] == CONNECTIONS
    # Of 30 connections within 1.5 s, half are expected after 0.75 s.
    assert 0.3 < spread["back_50_s"] < 2
    assert spread["back_100_s"] > 0.8
    assert spread["back_50_s"] > at_once["back_50_s"]


def test_a_storm_that_the_server_does_not_handle(shapes: Shapes) -> None:
    outcome, _ = shapes["storm on a slow server"].result()
    report = outcome.report
    storm, connections = report["storm"], report["connections"]
    # Connections that never opened are not part of the storm.
    assert storm["ended"] == connections["succeeded"] - storm["back"] < CONNECTIONS
    assert connections["failed"] > CONNECTIONS - storm["ended"]
    # Refused connections retry with increasing delays.
    assert storm["back_50_s"] < 1
    assert storm["back_100_s"] is None or storm["back_100_s"] > 0.4
    assert outcome.status == 1


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_fill_the_web_form(name: str) -> None:
    path = str(ROOT / "config" / f"{name}.conf")
    parsed = parse_options(["--config", path])
    options = Options.read(parsed)
    assert parsed.headless is True
    form = ui_extra_args_dict(["--config", path])
    kept = {
        line.partition("=")[0].strip(): line.partition("=")[2].partition("#")[0].strip()
        for line in Path(path).read_text("utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    }
    own = {key.replace("-", "_"): value for key, value in kept.items()}
    of_locust = {"headless", "only_summary", "users", "spawn_rate"}
    assert own.keys() >= of_locust
    # The embedded target is started once, before the form is shown.
    own.pop("embedded", None)
    for key, value in own.items():
        if key in of_locust:
            continue
        # The form shows the value, and sends back an equal one.
        assert str(form[key]["default_value"]) in (value, f"{value}.0", value.capitalize())
    again = Options.read({key: each["default_value"] for key, each in form.items()})
    assert {key: getattr(again, key) for key in own if key not in of_locust} == {
        key: getattr(options, key) for key in own if key not in of_locust
    }


def test_a_shape_runs_from_the_web_form(tmp_path: Path) -> None:
    arguments = ("--config", "config/storm.conf", "--headful")
    with (
        target(tmp_path) as (server, _),
        web_ui(tmp_path, *arguments, "--host", server.url) as (run, url),
    ):
        page = requests.get(url, timeout=PATIENCE).text
        fields: dict[str, Any] = {
            name: field["default_value"]
            for name, field in form_fields(page).items()
            if field["default_value"] not in (None, False)
        }
        assert fields["storm_after"] == 20
        fields |= {"storm_after": 0.5, "codes": 10, "duration": 3}
        answer = requests.post(
            f"{url}/swarm", {"user_count": 11, "spawn_rate": 50, **fields}, timeout=PATIENCE
        )
        assert answer.json()["success"] is True
        run.wait_until(lambda: "Verdict" in run.stdout, "the end of the run")
        report = json.loads((run.folder / "report.json").read_text("utf-8"))
    assert report["storm"]["ended"] == report["storm"]["back"] == 10
    assert report["run"]["complete"] is True


def _seconds(time_text: str) -> float:
    whole, _, fraction = time_text.rstrip("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction}")
