"""Servers that mean harm to who asks by HTTP: health checks, pages before, upkeep, and codes."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.test_hostile import FAR_TOO_LONG, raw
from tests.support.runs import ROOT, clean_environment
from tests.support.socket_servers import serving

#: Seconds that a request has, and memory that all of them may take.
PATIENCE, MOST_MIB = 0.5, 100

#: Asks as a run does: patched by gevent, and with somebody else in the process.
CLIENT = f"""
import gevent.monkey
gevent.monkey.patch_all()
import json, sys, time
import gevent, psutil
from http.cookiejar import CookieJar
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS
from sseload_users.users.ingest_client import IngestClient
from sseload_users.transports.fetch import fetch
from sseload_users.transports.http_request import HttpRequest

gaps = []

def look():
    while True:
        began = time.monotonic()
        gevent.sleep(0.01)
        gaps.append(time.monotonic() - began)

def by_fetch(url):
    try:
        answer = fetch(HttpRequest("GET", url, (), b""), None, {PATIENCE})
        return [answer.status, len(answer.body)]
    except OSError as error:
        return str(error)

def by_agent(url):
    agent = IngestClient(CookieJar(), concurrency=1, network_timeout={PATIENCE})
    try:
        with gevent.Timeout({PATIENCE}, TimeoutError("timed out")):
            answer = agent.urlopen(url, "POST", payload=b"code")
            return [answer.status_code, len(answer.content)]
    except FAILURE_EXCEPTIONS as error:
        error = getattr(error, "original", None) or error
        return type(error).__name__

gevent.spawn(look)
gevent.sleep(0.02)
for line in sys.stdin:
    how, url = line.split()
    gevent.sleep(0.02)
    gaps.clear()
    began = time.monotonic()
    said = by_fetch(url) if how == "fetch" else by_agent(url)
    gevent.sleep(0.02)
    memory = psutil.Process().memory_info().rss >> 20
    print(json.dumps([said, time.monotonic() - began, max(gaps), memory]), flush=True)
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
    """What came of a request; nobody waited long for it, and memory was not filled."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{how} http://127.0.0.1:{port}/\n")
    child.stdin.flush()
    said, seconds, gap, memory = json.loads(child.stdout.readline())
    assert seconds < FAR_TOO_LONG
    assert gap < 10, "nobody else had a turn"
    assert memory < MOST_MIB
    return said


OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(bytes(200 << 20), 1)[: 1 << 19]
ANSWERS: dict[str, tuple[Any, Any, Any]] = {
    # what the server does, what fetch makes of it, and what the broadcaster's agent does
    "headers without end": (
        raw(OK, then=b"X-Header: more\r\n"),
        "bad answer: HTTPException",
        "AnswerTooLarge",
    ),
    "a header without end": (
        raw(OK, b"X-Header: ", then=b"more"),
        "bad answer: LineTooLong",
        "AnswerTooLarge",
    ),
    "interim answers without end": (
        raw(then=b"HTTP/1.1 100 Continue\r\n\r\n"),
        "answer too large",
        "AnswerTooLarge",
    ),
    "a body without end": (raw(OK, b"\r\n", then=b"more"), [200, 1 << 20], "AnswerTooLarge"),
    "chunks without end": (
        raw(OK, b"Transfer-Encoding: chunked\r\n\r\n", then=b"1\r\nx\r\n"),
        "answer too large",
        "AnswerTooLarge",
    ),
    "a trailer without end": (
        raw(OK, b"Transfer-Encoding: chunked\r\n\r\n0\r\n", then=b"a: b\r\n"),
        "answer too large",
        "AnswerTooLarge",
    ),
    "a drip of headers": (raw(then=b"H", each_s=0.05), "timed out", "HTTPParseError"),
    "a drip of lines": (raw(OK, then=b"a: b\r\n", each_s=0.05), "timed out", "TimeoutError"),
    "a drip of the body": (raw(OK, b"\r\n", then=b"x", each_s=0.05), "timed out", "TimeoutError"),
    "a redirect": (
        raw(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        [302, 0],
        [302, 0],
    ),
    "a redirect to a file": (
        raw(b"HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
        [301, 0],
        [301, 0],
    ),
    "a bomb": (
        raw(OK, b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB),
        [200, len(BOMB)],
        [200, len(BOMB)],
    ),
    "what is not compressed as it says": (
        raw(OK, b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
        [200, 2],
        [200, 2],
    ),
    "an unknown encoding": (
        raw(OK, b"Content-Encoding: x\r\nContent-Length: 2\r\n\r\n{}"),
        [200, 2],
        [200, 2],
    ),
    "a refusal that is not UTF-8": (
        raw(b"HTTP/1.1 500 \xff\r\nContent-Length: 2\r\n\r\n\xff\xfe"),
        [500, 2],
        [500, 2],
    ),
    "headers that are not ASCII": (
        raw(OK, b"X: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}"),
        [200, 2],
        [200, 2],
    ),
    "two lengths": (
        raw(OK, b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        [200, 2],
        "HTTPParseError",
    ),
    "a length of many digits": (
        raw(OK, b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"),
        [200, 2],
        "HTTPParseError",
    ),
    "a length that is none": (
        raw(OK, b"Content-Length: many\r\n\r\n{}"),
        [200, 2],
        "HTTPParseError",
    ),
    "a status of many digits": (
        raw(b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n"),
        "bad answer: BadStatusLine",
        "HTTPParseError",
    ),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "bad answer: BadStatusLine", "HTTPParseError"),
    "a strange cookie": (
        raw(OK, b"Set-Cookie: =; a=;;; expires=x; Max-Age=y\r\nContent-Length: 2\r\n\r\n{}"),
        [200, 2],
        [200, 2],
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_request_is_answered_with(child: subprocess.Popen[str], name: str) -> None:
    handler, by_fetch, by_agent = ANSWERS[name]
    with serving(handler) as port:
        assert ask(child, "fetch", port) == by_fetch
    with serving(handler) as port:
        assert ask(child, "agent", port) == by_agent


def test_an_agent_asks_for_no_compression_and_carries_no_load_of_cookies() -> None:
    """Shown by the requests that a server gets, one after the other."""
    heads = []

    def handle(connection: socket.socket) -> None:
        while head := connection.recv(1 << 20):
            heads.append(head)
            cookies = b"".join(
                b"Set-Cookie: c%d-%d=%s\r\n" % (len(heads), each, b"x" * 1000) for each in range(10)
            )
            connection.sendall(OK + cookies + b"Content-Length: 0\r\n\r\n")

    script = (
        "import sys\nfrom http.cookiejar import CookieJar\n"
        "from sseload_users.users.ingest_client import IngestClient\n"
        "agent = IngestClient(CookieJar(), concurrency=1)\n"
        "for _ in range(8): agent.urlopen(sys.argv[1], 'POST', payload=b'code').content\n"
    )
    with serving(handle) as port:
        subprocess.run(
            [sys.executable, "-c", script, f"http://127.0.0.1:{port}/"],
            check=True,
            timeout=30,
            cwd=ROOT,
            env=clean_environment(),
        )
        time.sleep(0.05)
    assert len(heads) == 8
    assert max(map(len, heads)) < 20 << 10
    assert not any(b"gzip" in head for head in heads)
