"""How the server fares: what is read of it, when, and what is said about it."""

from __future__ import annotations

import math
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from sseload_users.core import vitals
from sseload_users.core.errors import ConfigError
from sseload_users.core.vitals import Series, ServerVitals
from sseload_users.monitor import exposition
from sseload_users.monitor.exposition import Wanted
from sseload_users.monitor.processes import find
from sseload_users.monitor.server_monitor import MetricsSource, ProcessSource, Unseen
from sseload_users.options import Options
from sseload_users.report import prometheus
from sseload_users.transports.network import Network
from tests.support.harness import LOCUST, QUICK, run, target
from tests.support.reports import sample

S = 10**9
RSS = Series("process", "rss", "MiB")

# An exposition


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True),
            st.dictionaries(
                st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True),
                st.text(
                    st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=8
                ),
                max_size=3,
            ),
            st.floats(),
        ),
        max_size=6,
    )
)
def test_what_prometheus_reads_is_read_alike(
    samples: list[tuple[str, dict[str, str], float]],
) -> None:
    lines = ["# HELP x of no interest", "# TYPE x gauge", ""]
    for name, labels, value in samples:
        text = str(Wanted(name, tuple(labels.items())))
        lines.append(
            f"{text} {value if not math.isinf(value) else ('+Inf' if value > 0 else '-Inf')}"
        )
    found = exposition.read("\n".join(lines) + "\n")
    assert [(each.name, each.labels) for each in found] == [each[:2] for each in samples]
    for each, (_, _, value) in zip(found, samples, strict=True):
        assert each.value == value or (math.isnan(value) and math.isnan(each.value))


def test_our_own_metrics_are_read_as_the_client_library_reads_them() -> None:
    text = prometheus.text(sample(20, 5, refused=2, missing=3))
    theirs = [
        (each.name, each.labels, float(each.value))
        for family in text_string_to_metric_families(text)
        for each in family.samples
    ]
    ours = [(each.name, dict(each.labels), each.value) for each in exposition.read(text)]
    assert [str(each) for each in ours] == [str(each) for each in theirs]


@pytest.mark.parametrize(
    "text", ["<html>", "a", "a b", "a{x=1} 2", 'a{x="1} 2', "a 1 2 3", "1a 2", "a 1 # x\n{} 3"]
)
def test_what_is_no_exposition_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is no sample"):
        exposition.read("fine 1\n" + text)


def test_times_and_exemplars_are_left_out() -> None:
    found = exposition.read('a_total{x="y",} 1e3 1700000000.5 # {id="z"} 1\n b\t2\n')
    assert [(each.name, each.value) for each in found] == [("a_total", 1000), ("b", 2)]


def test_a_series_is_the_sum_of_all_that_have_its_labels() -> None:
    samples = exposition.read(
        'n{code="200",m="a,b"} 2\nn{code="500",m="c"} 3\nn{code="500"} 4\nm 9'
    )
    wanted = exposition.wanted('n, n{code="500"} ,n{m="a,b",code="200"},n{code="404"},o')
    assert [each.of(samples) for each in wanted] == [9, 7, 2, None, None]
    assert [str(each) for each in wanted][1:3] == ['n{code="500"}', 'n{m="a,b",code="200"}']


@pytest.mark.parametrize("text", ["1x", "a b", "a{x}", 'a{x="}', "a,,b", "a;b", "a{}b"])
def test_series_that_are_none_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--watch-series: .* is no series; .*\.$"):
        exposition.wanted(text)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"watch_metrics": "http://a/metrics"}, "go together"),
        ({"watch_series": "a"}, "go together"),
        ({"watch_metrics": "a/metrics", "watch_series": "a"}, "is no URL"),
    ],
)
def test_half_of_what_metrics_need_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Options.read(given)


@pytest.mark.parametrize(
    "url",
    ["http://u:secret@a/", "http://u:secret", "http://:1/", "ftp://a/secret", "http://a/\nsecret"],
)
def test_a_metrics_address_that_cannot_be_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="is no URL") as caught:
        Options.read({"watch_metrics": url, "watch_series": "a"})
    assert "secret" not in str(caught.value)


def test_the_metrics_address_may_hold_a_token_and_is_not_shown() -> None:
    options = Options.read({"watch_metrics": "http://a/?key=secret", "watch_series": "a,b"})
    assert "secret" not in f"{options}{options.public()}"
    assert options.public()["watch_series"] == ["a", "b"]


# The time axis


@settings(max_examples=200)
@given(
    started_ns=st.integers(0, 3 * S - 1),
    step=st.integers(1, 4),
    points=st.integers(1, 8),
    notes=st.lists(st.tuples(st.integers(0, 40 * S), st.floats(-1e6, 1e6)), max_size=20),
)
def test_every_figure_is_in_the_interval_that_it_was_taken_in(
    started_ns: int, step: int, points: int, notes: list[tuple[int, float]]
) -> None:
    found = ServerVitals(started_ns)
    found.note(RSS, started_ns, 0.0)
    for at_ns, value in notes:
        found.note(RSS, started_ns + at_ns, value)
    first = started_ns // S
    ends = [first + step * (index + 1) for index in range(points)]
    timeline = [{"t": round(end - started_ns / S, 3)} for end in ends]
    (column,) = found.columns(started_ns, timeline)
    assert (column["source"], column["name"], column["unit"]) == ("process", "rss", "MiB")
    expected: list[float | None] = []
    for end in ends:
        inside = [
            value
            for at_ns, value in [(0, 0.0), *notes]
            if end - step <= (started_ns + at_ns) // S < end
        ]
        expected.append(round(max(inside), 3) if inside else None)
    assert column["values"] == expected


def watched(opens: list[int], rss: list[float | None], **others: list[float | None]) -> Any:
    """A report with so many connections, and such figures, second by second."""
    report = sample(max(opens), 1)
    report["timeline"] = [{"t": t + 1.0, "open": many} for t, many in enumerate(opens)]
    report["vitals"] = [
        {"source": "process", "name": name.replace("_", " "), "unit": unit, "values": values}
        for name, unit, values in (
            ("rss", "MiB", rss), *((name, "", values) for name, values in others.items())
        )
    ]  # fmt: skip
    return report


def test_memory_is_told_for_each_connection() -> None:
    report = watched([0, 50, 100, 100, 0], [60.0, 155.0, 250.0, 300.0, 280.0])
    # What came after all were there may have been anything.
    assert vitals.memory_per_connection(report) == (60.0, 1.9)
    assert list(vitals.sentences(report)) == [
        "rss 60 to 300 MiB",
        "rss grew 1.9 MiB per connection; 2 GiB holds about 1,000",
    ]


@pytest.mark.parametrize(
    ("opens", "rss"),
    [
        ([0, 19], [10.0, 900.0]),
        ([0, 500], [10.0, 13.9]),
        ([0, 500], [90.0, 10.0]),
        ([0, 500], [None, None]),
        ([0, 500], [None, 300.0]),
        ([500, 0], [300.0, 10.0]),
        ([], []),
    ],
)
def test_memory_that_did_not_grow_with_connections_is_not_divided_by_them(
    opens: list[int], rss: list[float | None]
) -> None:
    assert vitals.memory_per_connection(watched(opens or [0], rss)) is None


def test_other_figures_are_told_by_their_range() -> None:
    report = watched(
        [0, 5], [20.0, 20.0], cpu=[None, 85.25], threads=[1.0, 1.0], open_files=[5.0, 12.0],
        a_total=[None, None],
    )  # fmt: skip
    assert list(vitals.sentences(report)) == [
        "rss 20 MiB", "cpu up to 85.2", "1 thread", "open files 5 to 12",
    ]  # fmt: skip


# Processes


@contextmanager
def child(code: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs some Python, and says when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


READY = "print('ready', flush=True); input()"
LISTEN = f"""
import socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
open(sys.argv[1], "w").write(str(listener.getsockname()[1]))
{READY}
"""
#: A server with two workers that have taken over its socket, one of them busy.
FORKS = f"""
import os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
open(sys.argv[1], "w").write(str(listener.getsockname()[1]))
parent = os.getpid()
for busy in (True, False):
    if not os.fork():
        import threading, time
        threading.Thread(target=lambda: time.sleep(60), daemon=True).start()
        while os.getppid() == parent:
            sum(range(1000)) if busy else time.sleep(0.01)
        os._exit(0)
{READY}
"""


def test_a_process_is_found_by_its_number_its_port_and_its_name(tmp_path: Path) -> None:
    with child(LISTEN, str(tmp_path / "port")) as process:
        port = (tmp_path / "port").read_text()
        assert find(str(process.pid)).pid == process.pid
        assert find(f":{port}").pid == process.pid
    script = tmp_path / "some-server-of-ours"
    script.write_text(READY)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert find("some-server-of-ours").pid == process.pid
    finally:
        process.kill()
        process.communicate()


def test_a_server_of_many_processes_is_the_one_they_come_from(tmp_path: Path) -> None:
    with child(FORKS, str(tmp_path / "port")) as process:
        port = (tmp_path / "port").read_text()
        source = ProcessSource(f":{port}")
        first = {series.name: value for series, value in source.look()}
        assert "cpu" not in first
        time.sleep(0.5)
        second = {series.name: value for series, value in source.look()}
        assert second["threads"] == 5
        assert second["rss"] >= psutil.Process(process.pid).memory_info().rss / (1 << 20)
        assert second["open files"] >= 3 * 4
        # One is busy. However little of a core it gets here, it is no ten of them.
        assert 5 < second["cpu"] < 1000


def test_a_process_that_ends_is_said_to_have_and_its_successor_is_found(tmp_path: Path) -> None:
    with child(LISTEN, str(tmp_path / "port")) as process:
        port = (tmp_path / "port").read_text()
        by_port, by_number = ProcessSource(f":{port}"), ProcessSource(str(process.pid))
        assert list(by_port.look())
        assert list(by_number.look())
    for source in (by_port, by_number):
        with pytest.raises(Unseen, match="has ended"):
            source.look()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))
        listener.listen()
        assert {series.name for series, _ in by_port.look()} == {"rss", "threads", "open files"}
        assert find(f":{port}").pid == os.getpid()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("4194305", "there is no such process"),
        ("99999999999999999999", "there is no such process"),
        (":x", "that is no port"),
        (":1", "no process on this machine listens on that port"),
        ("no-such-program", "no process on this machine has that name"),
        ("\x1b[31m", "no process on this machine has that name"),
    ],
)
def test_a_process_that_is_not_there_is_refused_in_one_sentence(words: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find(words)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_several_processes_of_one_name_have_to_be_told_apart(tmp_path: Path) -> None:
    script = tmp_path / "twins-of-ours"
    script.write_text(READY)
    twins = [
        subprocess.Popen(
            [sys.executable, str(script)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        for each in twins:
            assert each.stdout is not None
            each.stdout.readline()
        pids = ", ".join(str(each.pid) for each in sorted(twins, key=lambda each: each.pid))
        with pytest.raises(ConfigError, match=re.escape(f"2 processes are meant ({pids})")):
            find("twins-of-ours")
    finally:
        for each in twins:
            each.kill()
            each.communicate()


# Metrics over HTTP, and real runs


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


def test_metrics_that_cannot_be_read_say_why() -> None:
    answers = [
        (200, b"a 1\nb 2\n"), (503, b""), (200, b"<html>"), (200, b"\xff"), (200, b"b 3"),
    ]  # fmt: skip
    with serving(answers) as url:
        source = MetricsSource(url, exposition.wanted("b,a"), Network())
        assert [(each.name, value) for each, value in source.look()] == [("b", 2), ("a", 1)]
        for said in ("HTTP 503", "line 1 is no sample: <html>", "they are not UTF-8"):
            with pytest.raises(Unseen, match=said):
                list(source.look())
        # What is there is taken, whatever else is missing.
        found = source.look()
        assert next(found) == (Series("metrics", "b"), 3)
        with pytest.raises(Unseen, match="have no a"):
            next(found)
    with pytest.raises(Unseen, match="connection refused"):
        list(source.look())


@pytest.mark.e2e
def test_a_run_is_told_beside_its_servers_vitals(tmp_path: Path) -> None:
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
    assert "Server" in outcome.stdout
    assert outcome.status == 0


@pytest.mark.e2e
def test_the_embedded_target_is_watched_by_itself(tmp_path: Path) -> None:
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
def test_what_cannot_be_watched_is_refused_before_the_run(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    outcome = run(
        tmp_path, "-u", "3", "--headless", "--host", "http://127.0.0.1:9", *words, command=LOCUST
    )
    assert outcome.status == 2
    (complaint,) = outcome.complaints
    assert said in complaint
