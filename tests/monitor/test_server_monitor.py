"""The server's figures over HTTP, and runs with a monitored server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sseload_users.core.errors import ConfigError
from sseload_users.core.metric_selectors import parse_selectors
from sseload_users.core.vitals import Series
from sseload_users.monitor.http_sources import HealthSource, MetricsSource
from sseload_users.monitor.source import SourceUnavailable
from sseload_users.options import Options
from sseload_users.run.server_sources import fetcher
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.network import Network
from tests.support.runs import LOCUST, QUICK, run, target


@contextmanager
def serving(answers: list[tuple[int, bytes]]) -> Iterator[str]:
    """An HTTP server that gives these answers in turn, and the last one for ever."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[0] if len(answers) == 1 else answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/metrics"
        finally:
            server.shutdown()
            thread.join()


def test_unreadable_metrics_are_reported_with_the_reason() -> None:
    answers = [
        (200, b"a 1\nb 2\n"), (503, b""), (200, b"<html>"), (200, b"\xff"), (200, b"b 3"),
    ]  # fmt: skip
    with serving(answers) as url:
        source = MetricsSource(
            fetcher(HttpRequest("GET", url, (), b""), Network()), parse_selectors("b,a")
        )
        assert [(each.name, value) for each, value in source.read()] == [("b", 2), ("a", 1)]
        for said in ("HTTP 503", "line 1 is not a sample: <html>", "they are not UTF-8"):
            with pytest.raises(SourceUnavailable, match=said):
                list(source.read())
        # What is there is taken, whatever else is missing.
        found = source.read()
        assert next(found) == (Series("metrics", "b"), 3)
        with pytest.raises(SourceUnavailable, match="have no a"):
            next(found)
    with pytest.raises(SourceUnavailable, match="connection refused"):
        list(source.read())


def test_health_checks_are_counted_by_their_result() -> None:
    answers = [(200, b"well"), (503, b""), (200, b"ill"), (200, b"well")]
    with serving(answers) as url:
        source = HealthSource(
            fetcher(HttpRequest("GET", url, (), b""), Network()),
            lambda response: response.status == 200 and response.body == b"well",
        )
        for said in ("", "HTTP 503", "HTTP 200", ""):
            found = source.read()
            assert next(iter(found))[0].name == "health"
            if said:
                with pytest.raises(SourceUnavailable, match=said):
                    next(iter(found))
            else:
                assert not list(found)
    with pytest.raises(SourceUnavailable, match="connection refused"):
        list(source.read())
    assert source.checks.made == 5
    assert source.checks.failures == {"HTTP 503": 1, "HTTP 200": 1, "connection refused": 1}


@pytest.mark.e2e
def test_a_run_reports_the_servers_vitals(tmp_path: Path) -> None:
    with target(tmp_path) as (server, _), serving([(200, b'jobs 7\njobs{x="y"} 1\n')]) as url:
        outcome = run(
            tmp_path / "run", "40", "4", "3", *QUICK, "--host", server.url,
            "--watch-process", f":{server.url.rpartition(':')[2]}", "--watch-health",
            "--watch-metrics", url, "--watch-series", "jobs,gone",
        )  # fmt: skip
    report = outcome.report
    found = {each["name"]: each for each in report["vitals"]}
    assert list(found) == ["cpu", "rss", "threads", "open files", "health", "jobs"]
    for each in report["vitals"]:
        assert len(each["values"]) == len(report["timeline"])
        known = [value for value in each["values"] if value is not None]
        # Once a second, but for the beginning and the end.
        assert len(known) >= len(report["timeline"]) - 3
    files = found["open files"]["values"]
    most = max(point["open"] for point in report["timeline"])
    assert most == 40
    assert max(filter(None, files)) - min(filter(None, files)) >= 30
    assert set(found["jobs"]["values"]) <= {8, None}
    assert report["run"]["notes"] == ["The metrics have no gone."]
    assert report["health"]["checks"] >= 3
    assert report["health"]["failed"] == 0
    assert "Server" in outcome.stdout
    assert outcome.status == 0


@pytest.mark.e2e
def test_the_embedded_target_is_monitored_by_default(tmp_path: Path) -> None:
    outcome = run(tmp_path, "5", "2", "2", *QUICK)
    assert {each["name"] for each in outcome.report["vitals"]} >= {"rss", "threads"}
    assert outcome.report["timeline"][-1]["rss_mib"] > 10


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--watch-process", ":1"), "--watch-process :1: no process on this machine listens"),
        (("--watch-health", "--target", "nchan"), "the profile nchan has no health check"),
        (("--watch-series", "a"), "--watch-metrics and --watch-series go together"),
    ],
)
def test_invalid_monitoring_options_are_refused_before_the_run(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    outcome = run(
        tmp_path, "-u", "3", "--headless", "--host", "http://127.0.0.1:9", *words, command=LOCUST
    )
    assert outcome.status == 2
    (complaint,) = outcome.error_messages
    assert said in complaint


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"watch_metrics": "http://a/metrics"}, "go together"),
        ({"watch_series": "a"}, "go together"),
        ({"watch_metrics": "a/metrics", "watch_series": "a"}, "Invalid --watch-metrics"),
    ],
)
def test_incomplete_metrics_options_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Options.read(given)


@pytest.mark.parametrize(
    "url",
    ["http://u:secret@a/", "http://u:secret", "http://:1/", "ftp://a/secret", "http://a/\nsecret"],
)
def test_an_invalid_metrics_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="Invalid --watch-metrics") as caught:
        Options.read({"watch_metrics": url, "watch_series": "a"})
    assert "secret" not in str(caught.value)


def test_a_token_in_the_metrics_url_is_not_shown() -> None:
    options = Options.read({"watch_metrics": "http://a/?key=secret", "watch_series": "a,b"})
    assert "secret" not in f"{options}{options.public()}"
    assert options.public()["watch_series"] == ["a", "b"]
