"""Event streams over HTTP/2, from Node's http2 and from Hypercorn."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sseload_users.demo import record
from sseload_users.transports import Closed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from tests.support.listener import Listener
from tests.support.ports import free_port
from tests.support.runs import QUICK, Outcome, run, target
from tests.support.socket_servers import CERTIFICATES, serving

SCRIPT = Path(__file__).with_name("http2_node.js")
ENDED = Closed("server", "end of stream")

NGINX_PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


@contextlib.contextmanager
def node(*, tls: bool) -> Iterator[str]:
    """Serve by Node's http2; yield the URL."""
    certificate = [str(CERTIFICATES / "server.pem")] if tls else []
    with subprocess.Popen(
        ["node", str(SCRIPT), *certificate], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http{'s' if tls else ''}://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@contextlib.contextmanager
def broadcasting_node(reset_every: int = 0) -> Iterator[str]:
    """Serve broadcasts by Node's http2 with TLS; yield the URL."""
    script = SCRIPT.with_name("http2_broadcast_node.js")
    command = ["node", str(script), str(CERTIFICATES / "server.pem"), str(reset_every)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"https://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def record_of(url: str) -> dict[str, Any]:
    """Return what the broadcasting server has recorded."""
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
    with urllib.request.urlopen(f"{url}/record", context=context, timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def listener(url: str, **more: Any) -> Listener:
    return Listener("sse", Endpoint(url, **{"http": "2", **more}))


@needs_node
@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "prior knowledge"])
def test_node_streams_events_over_http2(tls: bool) -> None:
    with node(tls=tls) as url:
        found = listener(f"{url}/moved?count=3", last_event_id="7")
        assert found.run() == ENDED
        # More than the windows hold.
        many = listener(f"{url}/events?count=300&size=10000")
        assert many.run() == ENDED
        posted = listener(f"{url}/events", method="POST", body=b"x" * 200_000)
        assert posted.run() == ENDED
    assert found.payloads == [
        b"data: GET 0 7", *(b"id: %d\ndata: %d xxxxxxxxxx" % (each, each) for each in range(3))
    ]  # fmt: skip
    assert found.transport.last_event_id == "2"
    assert [len(each) > 10_000 for each in many.payloads[1:]] == [True] * 300
    assert posted.payloads == [b"data: POST 200000 "]
    assert not found.malformed + many.malformed + posted.malformed


@needs_node
def test_http2_is_negotiated_with_tls_unless_the_profile_has_another_version() -> None:
    with node(tls=True) as url:
        assert listener(f"{url}/events", http="auto").run() == ENDED
        failed = listener(f"{url}/events", http="1.1").fails()
    assert failed.operation in ("tls", "handshake")
    with node(tls=False) as url:
        failed = listener(f"{url}/events", http="auto").fails()
    assert failed.cause == "the server speaks only HTTP/2"


@needs_node
def test_refusals_and_resets_over_http2_have_a_cause() -> None:
    with node(tls=False) as url:
        failed = listener(f"{url}/none?status=503").fails()
        assert (failed.cause, failed.server_text, failed.final) == (
            "HTTP 503", "no such stream", True,
        )  # fmt: skip
        assert listener(f"{url}/none?status=204").fails().cause == "HTTP 204"
        closed = listener(f"{url}/events?reset=1").run()
    assert closed == Closed("server", "stream reset: INTERNAL_ERROR")


def test_a_server_without_http2_is_told_from_others() -> None:
    with serving(lambda connection: connection.recv(100), certificate="server.pem") as port:
        failed = listener(f"https://127.0.0.1:{port}/").fails()
    assert failed.cause == "the server does not speak HTTP/2"

    def refuse(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n" * 20)
        connection.recv(10_000)

    with serving(refuse) as port:
        failed = listener(f"http://127.0.0.1:{port}/").fails()
    assert failed.cause == "protocol error: bad HTTP/2 frame"


APP = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
    head = {"type": "http.response.start", "status": 200,
            "headers": [(b"content-type", b"text/event-stream")]}
    await send(head)
    for i in range(20):
        body = f"data: {scope['http_version']} {i}\\n\\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b""})
"""


def test_hypercorn_streams_events_over_http2_with_timestamps(tmp_path: Path) -> None:
    (tmp_path / "streams.py").write_text(APP)
    port, pem = free_port(), str(CERTIFICATES / "server.pem")
    command = (
        *(sys.executable, "-m", "hypercorn", "--certfile", pem, "--keyfile", pem),
        *("--bind", f"127.0.0.1:{port}", "streams:app"),
    )
    network = Network(connect_timeout=5, ca_file=str(CERTIFICATES / "ca.pem"))
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert any("Running on" in line for line in process.stdout)
            found = Listener("sse", f"https://127.0.0.1:{port}/", network)
            assert found.run() == ENDED
        finally:
            process.kill()
    assert found.payloads == [b"data: 2 %d" % each for each in range(20)]
    stamps = [stamp for _, stamp in found.messages]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) > 5


NGINX = """
daemon off; pid nginx.pid; error_log error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log access.log; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;
  uwsgi_temp_path u; scgi_temp_path s;
  server {{
    listen 127.0.0.1:{port} ssl http2; ssl_certificate {pem}; ssl_certificate_key {pem};
    location / {{
      proxy_pass {target}; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection "";
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx_before(target: str, folder: Path) -> Iterator[str]:
    """Serve a target over HTTP/2 by nginx; yield the URL."""
    port = free_port()
    pem = CERTIFICATES / "server.pem"
    (folder / "nginx.conf").write_text(NGINX.format(port=port, pem=pem, target=target))
    command = [str(NGINX_PROGRAM), "-p", f"{folder}/", "-e", "error.log", "-c", "nginx.conf"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        try:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            yield f"https://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.mark.e2e
@pytest.mark.skipif(NGINX_PROGRAM is None, reason="needs nginx")
def test_a_run_over_http2_gets_every_code(tmp_path: Path) -> None:
    with (
        target(tmp_path / "target") as (server, path),
        nginx_before(server.url, tmp_path) as url,
    ):
        outcome = run(tmp_path / "run", "30", "10", "1", "--target", "sse", *QUICK,
                      "--ca-file", str(CERTIFICATES / "ca.pem"), "--host", url)  # fmt: skip
    assert outcome.report["deliveries"]["delivered"] == outcome.report["deliveries"]["owed"] == 300
    assert len(record.read(path).codes) == 10
    log = (tmp_path / "access.log").read_text()
    assert log.count('/stream?username=loadtest HTTP/2.0" 200') == 30


SHARING = """\
transport = "sse"
[connect]
path = "/live"
multiplex = 10
[confirm]
fields = { "type" = "connected" }
[code]
field = "code"
[ingest]
method = "POST"
path = "/publish"
body = { "code" = "{code}" }
"""


def run_sharing(folder: Path, url: str, *arguments: str) -> Outcome:
    path = folder / "sharing.toml"
    path.write_text(SHARING, "utf-8")
    ca = str(CERTIFICATES / "ca.pem")
    return run(
        folder / "run", *arguments, *QUICK, "--target", str(path), "--ca-file", ca, "--host", url
    )


@needs_node
@pytest.mark.e2e
def test_streams_share_connections_as_the_profile_says(tmp_path: Path) -> None:
    with broadcasting_node() as url:
        outcome = run_sharing(tmp_path, url, "30", "10", "1")
        record = record_of(url)
    deliveries = outcome.report["deliveries"]
    assert Counter(each["session"] for each in record["streams"]) == {0: 10, 1: 10, 2: 10}
    assert [len(each["sent"]) for each in record["streams"]] == [10] * 30
    assert (deliveries["owed"], deliveries["delivered"]) == (300, 300)
    assert outcome.report["connections"]["over_http2"] == 30
    assert outcome.report["generator"]["timestamps"] == "kernel"
    assert outcome.grade == "good"


@needs_node
@pytest.mark.e2e
@pytest.mark.dear
def test_streams_that_are_reset_come_back_on_the_same_connections(tmp_path: Path) -> None:
    with broadcasting_node(reset_every=3) as url:
        outcome = run_sharing(tmp_path, url, "20", "9", "3", "--reconnect")
        record = record_of(url)
    deliveries, connections = outcome.report["deliveries"], outcome.report["connections"]
    assert {each["session"] for each in record["streams"]} == {0, 1}
    assert sum(each["reset"] for each in record["streams"]) == connections["dropped"] == 3
    assert outcome.causes == {("session", "stream reset: INTERNAL_ERROR"): 3}
    assert deliveries["delivered"] == sum(len(each["sent"]) for each in record["streams"])
    assert (deliveries["missing"], deliveries["interrupted"]) == (0, 3)


@needs_node
@pytest.mark.e2e
def test_check_tells_the_version_that_was_negotiated(tmp_path: Path) -> None:
    (tmp_path / "sharing.toml").write_text(SHARING, "utf-8")
    with broadcasting_node() as url:
        outcome = run(
            tmp_path, "check", "--target", str(tmp_path / "sharing.toml"), "--settle", "0.1",
            "--ca-file", str(CERTIFICATES / "ca.pem"), "--host", url, report=False,
        )  # fmt: skip
        record = record_of(url)
    assert outcome.status == 0, outcome.stdout
    assert f"5 connections subscribed at {url}/live, with HTTP/2, and" in outcome.stdout
    assert {each["session"] for each in record["streams"]} == {0}
