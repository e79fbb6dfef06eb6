"""The examples of docs/locustfile.md, run as they stand."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.login_server import LoginServer
from tests.support.runs import LOCUST, QUICK, ROOT, Run, run, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

PAGE = (ROOT / "docs" / "locustfile.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"### ([^\n]+)\n\n(?:[^\n#]+\n\n)?```python\n(.*?)```", PAGE, re.DOTALL))
REDIS = EXAMPLES.pop("Publish through Redis")


def run_locustfile(
    tmp_path: Path, text: str, *args: str, quiet: bool = True
) -> tuple[int, str, Path]:
    (tmp_path / "locustfile.py").write_text(text, "utf-8")
    with target(tmp_path) as (server, _):
        outcome = Run(
            tmp_path / "run", "-f", str(tmp_path / "locustfile.py"), "--headless", "-u", "7",
            "-r", "50", *QUICK, *args, "--host", server.url, command=LOCUST,
        ).finish(quiet=quiet)  # fmt: skip
    return outcome.status, outcome.stdout + outcome.stderr, outcome.folder


def test_the_page_has_five_further_examples() -> None:
    assert len(EXAMPLES) == 5


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
        assert len(slowest) == 6
        assert all(0 < each < 1000 for each in slowest)


def test_the_example_in_the_readme_runs(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (text,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    small = text.replace("codes = 100", "codes = 3").replace("duration = 300", "duration = 1")
    assert small != text
    status, output, _ = run_locustfile(tmp_path, small)
    assert status == 0, output
    assert len(re.findall(r"^LT-\S+ [\d.]+$", output, re.MULTILINE)) == 3 * 6


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


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[redis.Redis]:
    """Start a Redis server of its own; return a client."""
    path = folder / "redis.sock"
    with subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
    ) as child:
        try:
            client = redis.Redis(unix_socket_path=str(path))
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
            yield client
        finally:
            child.terminate()


class Relay(LoginServer):
    """A server that broadcasts what comes over a channel of Redis, and counts it."""

    def __init__(self) -> None:
        super().__init__(lambda request: self.accept("all") if request.path == "/ws" else None)
        self.relayed: list[str] = []

    @contextlib.contextmanager
    def relaying(self, client: redis.Redis) -> Iterator[None]:
        connect: Any = client.pubsub
        subscription = connect(ignore_subscribe_messages=True)
        subscription.subscribe(codes=self._relay)
        thread = subscription.run_in_thread(sleep_time=0.05, daemon=True)
        try:
            yield
        finally:
            thread.stop()
            thread.join()

    def _relay(self, message: dict[str, bytes]) -> None:
        self.relayed.append(json.loads(message["data"])["code"])
        self.broadcast(message["data"])


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
@pytest.mark.parametrize("processes", [1, 2])
def test_codes_go_in_through_redis(tmp_path: Path, processes: int) -> None:
    (tmp_path / "locustfile.py").write_text(REDIS, "utf-8")
    more = ("--processes", "2") if processes == 2 else ()
    relay = Relay()
    with redis_server(tmp_path) as client, relay.relaying(client), relay.serving() as url:
        outcome = run(
            tmp_path / "run", "-f", str(tmp_path / "locustfile.py"), "--headless", "-u", "7",
            "-r", "50", *QUICK, "--codes", "8", "--duration", "1", *more, "--host", url,
            command=LOCUST, env={"REDIS_URL": f"unix://{tmp_path}/redis.sock"},
        )  # fmt: skip
    codes, deliveries = outcome.report["codes"], outcome.report["deliveries"]
    assert (codes["accepted"], len(relay.relayed)) == (8, 8)
    assert (deliveries["owed"], deliveries["delivered"]) == (8 * 6, 8 * 6)
    assert outcome.report["run"]["ingest"] == "Python: Sender.publish"
    assert outcome.grade == "good"


HOOKS = """
import time

from sseload_users import CodeBroadcaster, CodeListener

made = []


class Subscriber(CodeListener):
    target = "websocket"

    def before_connect(self):
        made.append(self)
        if len(made) % 2:
            raise KeyError("no token")


class Sender(CodeBroadcaster):
    target = "websocket"

    def publish(self, code):
        number = int(code.split("-")[2])
        if number == 2:
            raise RuntimeError("the broker is away")
        if number == 3:
            time.sleep(5)
"""


def test_what_hooks_raise_is_counted_where_it_belongs(tmp_path: Path) -> None:
    status, output, folder = run_locustfile(
        tmp_path, HOOKS, "--codes", "4", "--duration", "1", "--ingest-timeout", "0.5", quiet=False
    )
    report = json.loads((folder / "report.json").read_text("utf-8"))
    codes = report["codes"]
    assert [codes[each] for each in ("accepted", "unsent", "unanswered")] == [2, 1, 1]
    causes = {
        (each["operation"], each["cause"]): each["count"] for each in report["errors"]["causes"]
    }
    assert causes["ingest", "RuntimeError: the broker is away"] == 1
    assert causes["ingest", "no answer in time"] == 1
    assert causes["before", "before_connect raised KeyError"] == 3
    # Nobody broadcasts: what was accepted, or may have been, is missing.
    assert report["deliveries"]["missing"] == (2 + 1) * 3
    assert output.count("Traceback") == 2
    assert status == 1
