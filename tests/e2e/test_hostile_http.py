"""HTTP clients of a run against hostile servers: both end in time and in bounded memory."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.hostile_servers import GZIP_BOMB, OK, TIME_LIMIT_S, http_server
from tests.support.runs import ROOT, clean_environment
from tests.support.socket_servers import serving

#: Seconds until a request times out, and the memory that the client process may use.
TIMEOUT_S, MAX_MIB = 0.5, 100

#: Makes requests as a run does: patched by gevent, with another greenlet in the process.
CLIENT = f"""
import gevent.monkey
gevent.monkey.patch_all()
import json, sys, time
import gevent, psutil
from geventhttpclient.response import HTTPParseError
from sseload_users.users.ingest_client import IngestClient
from sseload_users.transports.patience import PatientTimeout
from sseload_users.transports.fetch import fetch
from sseload_users.transports.http_request import HttpRequest
from sseload_users.transports.network import Network

network = Network()
gaps = []

def take_turns():
    while True:
        began = time.monotonic()
        gevent.sleep(0.01)
        gaps.append(time.monotonic() - began)

def by_fetch(url):
    try:
        answer = fetch(HttpRequest("GET", url, (), b""), network, {TIMEOUT_S})
        return [answer.status, len(answer.body)]
    except OSError as error:
        return str(error)

def by_ingest_client(url):
    client = IngestClient(network, {TIMEOUT_S})
    request = HttpRequest("POST", url, (), b"code")
    try:
        with PatientTimeout({TIMEOUT_S}, TimeoutError("timed out")):
            answer = client.request(lambda _: request, lambda _: None).answer
            return [answer.status, len(answer.body)]
    except (OSError, HTTPParseError) as error:
        return type(error).__name__

gevent.spawn(take_turns)
gevent.sleep(0.02)
for line in sys.stdin:
    how, url = line.split()
    gevent.sleep(0.02)
    gaps.clear()
    began = time.monotonic()
    result = by_fetch(url) if how == "fetch" else by_ingest_client(url)
    gevent.sleep(0.02)
    memory = psutil.Process().memory_info().rss >> 20
    print(json.dumps([result, time.monotonic() - began, max(gaps), memory]), flush=True)
"""


@pytest.fixture(scope="module")
def child() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=clean_environment(),
    ) as process:
        assert process.stdin is not None
        yield process
        process.stdin.close()
        process.wait(10)


def ask(child: subprocess.Popen[str], how: str, port: int) -> Any:
    """Make a request in the child; check its time, its memory and its other greenlet."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{how} http://127.0.0.1:{port}/\n")
    child.stdin.flush()
    result, seconds, gap, memory = json.loads(child.stdout.readline())
    assert seconds < TIME_LIMIT_S
    assert gap < 10, "other greenlets were blocked"
    assert memory < MAX_MIB
    return result


RESPONSES: dict[str, tuple[Any, Any, Any]] = {
    # What the server sends, the result of fetch, and that of the ingest client.
    "endless headers": (
        http_server(OK, endless=b"X-Header: more\r\n"),
        "bad answer: HTTPException",
        "AnswerTooLarge",
    ),
    "an endless header": (
        http_server(OK, b"X-Header: ", endless=b"more"),
        "bad answer: LineTooLong",
        "AnswerTooLarge",
    ),
    "endless interim responses": (
        http_server(endless=b"HTTP/1.1 100 Continue\r\n\r\n"),
        "answer too large",
        "AnswerTooLarge",
    ),
    "interim responses": (
        http_server(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            OK + b"Content-Length: 2\r\n\r\n{}",
        ),
        [200, 2],
        [200, 2],
    ),
    "a second response at once": (
        http_server(
            b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}" + OK + b"Content-Length: 3\r\n\r\n{ }"
        ),
        [404, 2],
        [404, 2],
    ),
    "an endless body": (
        http_server(OK, b"\r\n", endless=b"more"),
        [200, 1 << 20],
        "AnswerTooLarge",
    ),
    "endless chunks": (
        http_server(OK, b"Transfer-Encoding: chunked\r\n\r\n", endless=b"1\r\nx\r\n"),
        "answer too large",
        "AnswerTooLarge",
    ),
    "an endless trailer": (
        http_server(OK, b"Transfer-Encoding: chunked\r\n\r\n0\r\n", endless=b"a: b\r\n"),
        "answer too large",
        "AnswerTooLarge",
    ),
    "headers byte by byte": (
        http_server(endless=b"H", interval_s=0.05),
        "timed out",
        "HTTPParseError",
    ),
    "headers line by line": (
        http_server(OK, endless=b"a: b\r\n", interval_s=0.05),
        "timed out",
        "TimeoutError",
    ),
    "a body byte by byte": (
        http_server(OK, b"\r\n", endless=b"x", interval_s=0.05),
        "timed out",
        "TimeoutError",
    ),
    "a redirect": (
        http_server(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        ),
        [302, 0],
        "NotConnected",
    ),
    "a redirect in a circle": (
        http_server(b"HTTP/1.1 307 Again\r\nLocation: /\r\nConnection: close\r\n\r\n"),
        [307, 0],
        "RedirectRefused",
    ),
    "a redirect to nowhere": (
        http_server(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
        [302, 0],
        [302, 0],
    ),
    "a redirect to a file": (
        http_server(
            b"HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"
        ),
        [301, 0],
        "RedirectRefused",
    ),
    "a gzip bomb": (
        http_server(
            OK, b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(GZIP_BOMB), GZIP_BOMB
        ),
        [200, 1 << 20],
        [200, 1 << 20],
    ),
    "a compressed answer": (
        http_server(
            OK, b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n", gzip.compress(b"x" * 5000)
        ),
        [200, 5000],
        [200, 5000],
    ),
    "plain text declared as gzip": (
        http_server(OK, b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
        "bad compressed data",
        [200, 2],
    ),
    "an unknown encoding": (
        http_server(OK, b"Content-Encoding: x\r\nContent-Length: 2\r\n\r\n{}"),
        "bad compressed data",
        [200, 2],
    ),
    "a refusal that is not UTF-8": (
        http_server(b"HTTP/1.1 500 \xff\r\nContent-Length: 2\r\n\r\n\xff\xfe"),
        [500, 2],
        [500, 2],
    ),
    "headers that are not ASCII": (
        http_server(OK, b"X: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}"),
        [200, 2],
        [200, 2],
    ),
    "two lengths": (
        http_server(OK, b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        [200, 2],
        "HTTPParseError",
    ),
    "a length of many digits": (
        http_server(OK, b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"),
        [200, 2],
        "HTTPParseError",
    ),
    "a length that is no number": (
        http_server(OK, b"Content-Length: many\r\n\r\n{}"),
        [200, 2],
        "HTTPParseError",
    ),
    "a status of many digits": (
        http_server(b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n"),
        "bad answer: BadStatusLine",
        "HTTPParseError",
    ),
    "another protocol": (
        http_server(b"SSH-2.0-OpenSSH_9.2\r\n"),
        "bad answer: BadStatusLine",
        "HTTPParseError",
    ),
    "an invalid cookie": (
        http_server(
            OK, b"Set-Cookie: =; a=;;; expires=x; Max-Age=y\r\nContent-Length: 2\r\n\r\n{}"
        ),
        [200, 2],
        [200, 2],
    ),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_hostile_response(child: subprocess.Popen[str], name: str) -> None:
    handler, by_fetch, by_ingest_client = RESPONSES[name]
    with serving(handler) as port:
        assert ask(child, "fetch", port) == by_fetch
    with serving(handler) as port:
        assert ask(child, "ingest", port) == by_ingest_client


def test_the_ingest_client_limits_cookies() -> None:
    heads = []

    def handle(connection: socket.socket) -> None:
        while head := connection.recv(1 << 20):
            heads.append(head)
            cookies = b"".join(
                b"Set-Cookie: c%d-%d=%s\r\n" % (len(heads), each, b"x" * 1000) for each in range(10)
            )
            connection.sendall(OK + cookies + b"Content-Length: 0\r\n\r\n")

    script = (
        "import sys\n"
        "from sseload_users.users.ingest_client import IngestClient\n"
        "from sseload_users.transports.http_request import HttpRequest\n"
        "from sseload_users.transports.network import Network\n"
        "client = IngestClient(Network(), 10)\n"
        "request = HttpRequest('POST', sys.argv[1], (), b'code')\n"
        "for _ in range(8): client.request(lambda _: request, lambda _: None)\n"
    )
    with serving(handle) as port:
        subprocess.run(
            [sys.executable, "-c", script, f"http://127.0.0.1:{port}/"],
            check=True,
            timeout=30,
            cwd=ROOT,
            env=clean_environment(),
        )
    assert len(heads) == 8
    assert max(map(len, heads)) < 20 << 10
