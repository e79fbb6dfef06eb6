"""The dashboard and the alerts in deploy/observability, held to a real Prometheus."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.ports import free_port
from tests.support.runs import BIN, QUICK, ROOT, Outcome, running
from tests.support.workflow import read_yaml

FOLDER = ROOT / "deploy" / "observability"
DASHBOARD: dict[str, Any] = json.loads(
    (FOLDER / "grafana" / "dashboards" / "sseload.json").read_text("utf-8")
)
PANELS = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
PATIENCE = 60.0

pytestmark = [
    pytest.mark.dear,
    pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed"),
]


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that has recorded a run.

    Attributes:
        url: of its API.
        began: when the run began, as Unix time.
        ended: when it had ended.
        outcome: of the run.
        firing: the alerts that it saw firing in the course of the run.
    """

    url: str
    began: float
    ended: float
    outcome: Outcome
    firing: set[str]

    def range(self, query: str) -> list[dict[str, Any]]:
        """Return the series of a query over the time of the run."""
        asked = {"query": query, "start": self.began, "end": self.ended, "step": 1}
        return ask(self.url, "query_range", **asked)["result"]  # type: ignore[no-any-return]

    def last(self, query: str) -> float:
        """Return the last value of the only series of a query."""
        (series,) = self.range(query)
        return float(series["values"][-1][1])


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """Run Prometheus with the shipped files; only its target and its intervals are others."""
    text = (FOLDER / "prometheus.yml").read_text("utf-8")
    text = text.replace("host.docker.internal:9646", target).replace("interval: 5s", "interval: 1s")
    assert target in text
    folder.mkdir()
    (folder / "prometheus.yml").write_text(text, encoding="utf-8")
    shutil.copy(FOLDER / "alerts.yml", folder)
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + PATIENCE
        while not is_ready(url):
            assert child.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        child.terminate()
        child.wait(30)


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=5).ok
    except requests.ConnectionError:
        return False


def ask(url: str, path: str, **asked: object) -> Any:
    answer = requests.get(f"{url}/api/v1/{path}", params=asked, timeout=30).json()  # type: ignore[arg-type]
    assert answer["status"] == "success", answer
    return answer["data"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Record a run that has everything that the dashboard shows."""
    folder = tmp_path_factory.mktemp("observability")
    port, firing, began = str(free_port()), set(), time.time()
    with (
        prometheus(folder / "prometheus", f"127.0.0.1:{port}") as url,
        running(
            folder / "run", "24", "60", "12", *QUICK, "--processes", "2", "--channels", "4",
            "--target", "rooms", "--embedded=--nodes 2 --backplane none --refuse 0.3",
            "--watch-health", "--metrics-port", port, "--metrics-wait", "20",
        ) as going,
    ):  # fmt: skip
        while going.child.poll() is None:
            alerts = ask(url, "alerts")["alerts"]
            firing |= {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}
            time.sleep(0.3)
        outcome = going.finish()
        yield Prometheus(url, began, time.time(), outcome, firing)


def test_promtool_accepts_the_rules_and_their_tests() -> None:
    for words in (
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ):
        done = subprocess.run(
            ["promtool", *words],
            cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_fires_once() -> None:
    (group,) = read_yaml(FOLDER / "alerts.yml")["groups"]
    tests = read_yaml(FOLDER / "alerts_test.yml")["tests"]
    firing = {
        each["alertname"]
        for test in tests
        for each in test["alert_rule_test"]
        if each.get("exp_alerts")
    }
    assert firing == {each["alert"] for each in group["rules"]}


def test_the_compose_file_fits_its_schema_and_mounts_what_there_is() -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    file = FOLDER / "compose.yaml"
    done = subprocess.run(
        [*command, str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    services = read_yaml(file)["services"]
    for service in services.values():
        for volume in service["volumes"]:
            assert (FOLDER / volume.split(":")[0]).exists(), volume
    provided = FOLDER / "grafana" / "provisioning"
    (dashboards,) = read_yaml(provided / "dashboards" / "sseload.yaml")["providers"]
    mounted = {each.split(":")[1] for each in services["grafana"]["volumes"]}
    assert dashboards["options"]["path"] in mounted
    (source,) = read_yaml(provided / "datasources" / "prometheus.yaml")["datasources"]
    intervals = read_yaml(FOLDER / "prometheus.yml")["global"]
    assert source["jsonData"]["timeInterval"] == intervals["scrape_interval"]


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    assert len({each["id"] for each in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: dict[tuple[int, int], str] = {}
    for each in DASHBOARD["panels"]:
        at = each["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), each["title"]) == each["title"]


@pytest.mark.e2e
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_query_of_a_panel_has_data(recorded: Prometheus, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        series = recorded.range(placed(target["expr"]))
        values = [float(value) for each in series for _, value in each["values"]]
        assert any(not math.isnan(each) for each in values), target["expr"]
        labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        # A label without a value is not there.
        assert all(labels <= {*each["metric"], "region", "unit"} for each in series), target


@pytest.mark.e2e
def test_variables_and_annotations_of_the_dashboard_have_data(recorded: Prometheus) -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
            assert found is not None
            matching = {"match[]": placed(found[1]), "start": recorded.began}
            assert ask(recorded.url, f"label/{found[2]}/values", **matching)
    for annotation in DASHBOARD["annotations"]["list"]:
        recorded.range(placed(annotation["expr"]))


@pytest.mark.e2e
def test_the_end_of_the_run_is_recorded(recorded: Prometheus) -> None:
    report = recorded.outcome.report
    for outcome in ("delivered", "late", "interrupted", "missing"):
        found = recorded.last(f'sum(sseload_deliveries{{outcome="{outcome}"}})')
        assert found == report["deliveries"][outcome]
        by_worker = recorded.last(f'sum(sseload_worker_deliveries{{outcome="{outcome}"}})')
        assert by_worker == report["deliveries"][outcome]
    assert recorded.last("sseload_run_complete") == report["run"]["complete"] == 1
    grades = ("good", "warning", "issues")
    for reason in report["verdict"]["reasons"]:
        found = recorded.last(f'sseload_rule_grade{{rule="{reason["rule"]}"}}')
        assert found == grades.index(reason["grade"])
    assert recorded.firing >= {"SseloadIssues"}


def placed(query: str) -> str:
    """Return a query with values for Grafana's variables."""
    for name, value in {
        "$job": ".+", "$instance": ".+", "$__rate_interval": "4s", "$__interval": "1s",
    }.items():  # fmt: skip
        query = query.replace(name, value)
    assert "$" not in query
    return query
