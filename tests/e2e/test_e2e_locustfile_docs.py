"""The examples of docs/locustfile.md, run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.runs import LOCUST, QUICK, ROOT, run, target

pytestmark = pytest.mark.e2e

PAGE = (ROOT / "docs" / "locustfile.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"### ([^\n]+)\n\n```python\n(.*?)```", PAGE, re.DOTALL))


def run_locustfile(tmp_path: Path, text: str, *args: str) -> tuple[int, str, Path]:
    (tmp_path / "locustfile.py").write_text(text, "utf-8")
    with target(tmp_path) as (server, _):
        outcome = run(
            tmp_path / "run", "-f", str(tmp_path / "locustfile.py"), "--headless", "-u", "6",
            "-r", "50", *QUICK, *args, "--host", server.url, command=LOCUST,
        )  # fmt: skip
    return outcome.status, outcome.stdout + outcome.stderr, outcome.folder


def test_the_page_has_three_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_runs_as_it_stands(tmp_path: Path, title: str) -> None:
    args = () if "codes = " in EXAMPLES[title] else ("--codes", "3", "--duration", "1")
    status, output, _ = run_locustfile(tmp_path, EXAMPLES[title], *args)
    assert status == 0, output
    assert "GOOD" in output
    if "on_closed" in EXAMPLES[title]:
        slowest = [
            float(each) for each in re.findall(r"\(left\), slowest code after (\S+)", output)
        ]
        assert len(slowest) == 5
        assert all(0 < each < 1000 for each in slowest)


@pytest.mark.parametrize(
    ("base", "line", "instead"),
    [
        ("CodeListener", "wait_time = constant(1)", "codes are sent on a schedule"),
        ("CodeBroadcaster", "insecure = True", "use --insecure"),
        ("CodeBroadcaster", "network_timeout = 3.0", "set ingest_timeout"),
        ("CodeListener", "@task\n    def other(self): pass", "tasks of its own"),
    ],
)
def test_what_has_no_effect_is_refused(tmp_path: Path, base: str, line: str, instead: str) -> None:
    other = "CodeBroadcaster" if base == "CodeListener" else "CodeListener"
    text = (
        f"from locust import constant, task\nfrom sseload_users import {base}, {other}\n\n"
        f"class Mine({base}):\n    {line}\n"
    )
    status, output, folder = run_locustfile(tmp_path, text)
    assert status == 2
    (sentence,) = (each for each in output.splitlines() if each.startswith("sseload: Mine"))
    assert instead in sentence
    assert not folder.exists() or not list(folder.iterdir())
