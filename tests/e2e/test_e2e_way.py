"""The way to the server in real runs: several addresses, given addresses, HTTP proxies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sseload_users.demo import record
from tests.support.distributed import distributed
from tests.support.relays import Passed, proxy, relays
from tests.support.runs import QUICK, run, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

ADDRESSES = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]


def listeners(passed: Passed) -> int:
    """Return how many listeners came this way."""
    return passed.count("GET /ws")


@pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127/8 is local")
@pytest.mark.parametrize("workers", [0, 2])
def test_all_addresses_of_a_name_are_used(tmp_path: Path, workers: int) -> None:
    with target(tmp_path) as (server, path), relays(ADDRESSES, server.url) as (port, passed):
        options = ["--resolve", f"app.test:{port}:{','.join(ADDRESSES)}"]
        options += ["--host", f"http://app.test:{port}", "--codes", "3", "--duration", "1"]
        if workers:
            host = options.pop(options.index("--host") + 1)
            options.remove("--host")
            with distributed(
                tmp_path / "run", *options, host=host, connections=18, workers=workers
            ) as started:
                outcome = started.finish()
        else:
            outcome = run(tmp_path / "run", "18", *QUICK, "--target", "websocket", *options)
    assert outcome.status == 0, outcome.stderr
    report = outcome.report
    came = {address: listeners(each) for address, each in passed.items()}
    shown = {each["address"]: each["connections"] for each in report["addresses"]}
    assert shown == came
    assert sum(came.values()) == 18
    # Each process spreads its own connections evenly.
    assert max(came.values()) - min(came.values()) <= max(workers, 1) - 1
    assert report["deliveries"]["delivered"] == record.read(path).sent == 54
    (note,) = [each for each in report["run"]["notes"] if "in turn" in each]
    assert note.startswith(f"app.test:{port} has 3 addresses, which connections used in turn:")
    assert note.replace("\n", " ") in " ".join(outcome.stdout.split())
    assert "127.0.0.3" in (outcome.folder / "report.html").read_text("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="only there all of 127/8 is local")
def test_an_address_that_refuses_is_reported(tmp_path: Path) -> None:
    with target(tmp_path) as (server, _), relays(ADDRESSES[:2], server.url) as (port, passed):
        outcome = run(
            tmp_path / "run", "10", *QUICK, "--target", "websocket", "--codes", "2",
            *("--resolve", f"app.test:{port}:{','.join(ADDRESSES)}", "--duration", "1"),
            *("--host", f"http://app.test:{port}"),
        )  # fmt: skip
    assert outcome.status == 0, outcome.stderr
    report = outcome.report
    assert {each["address"]: each["connections"] for each in report["addresses"]} == {
        **{address: listeners(each) for address, each in passed.items()},
        ADDRESSES[2]: 0,
    }
    assert any(note.startswith(f"{ADDRESSES[2]}, an address of") for note in report["run"]["notes"])


@pytest.mark.parametrize("profile", ["websocket", "sse", "code-server"])
@pytest.mark.parametrize("explicit", [True, False], ids=["option", "environment"])
def test_a_proxy_is_used_for_everything(tmp_path: Path, profile: str, explicit: bool) -> None:
    with (
        target(tmp_path) as (server, path),
        proxy({"app.test:80": server.url}, password="me:secret") as (name, passed),
    ):
        url = f"http://me:secret@{name}"
        outcome = run(
            tmp_path / "run", "5", *QUICK, "--target", profile, "--codes", "2",
            *("--duration", "1", "--host", "http://app.test", "--watch-health"),
            *(("--proxy", url) if explicit else ()),
            env={} if explicit else {"http_proxy": url},
        )  # fmt: skip
        truth = record.read(path)
    assert outcome.status == 0, outcome.stderr
    report = outcome.report
    assert report["deliveries"]["delivered"] == truth.sent == 10
    assert report["generator"]["timestamps"] == "kernel"
    # "app.test" cannot be resolved here: whatever arrived came through the proxy.
    assert passed.count("POST") > 0
    assert report["addresses"] == [
        {"name": "app.test:80", "address": name, "proxy": True, "connections": 5, "failed": 0}
    ]
    (note,) = [each for each in report["run"]["notes"] if "proxy" in each]
    assert note.startswith(f"Connections to app.test:80 went through the proxy {name}:")
    written = "".join(
        each.read_text("utf-8") for each in outcome.folder.iterdir() if each.is_file()
    )
    assert "secret" not in written + outcome.stdout + outcome.stderr


def test_a_proxy_that_refuses_is_not_the_server(tmp_path: Path) -> None:
    with proxy({}, password="me:secret") as (name, _):
        outcome = run(
            tmp_path, "3", *QUICK, "--target", "websocket", "--proxy", f"http://{name}",
            *("--host", "http://app.test"),
        )  # fmt: skip
    assert outcome.status == 2
    (line,) = outcome.error_messages
    assert line == (
        f"sseload: http://app.test cannot be reached: proxy {name}: HTTP 407; check --proxy, or "
        "HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment."
    )
