"""Answers to codes whose heads came before: read as if they were parsed."""

from __future__ import annotations

from itertools import product

import pytest
from geventhttpclient.response import HTTPParseError

from sseload_users.transports.http_request import HttpResponse
from sseload_users.users.ingest_client import _Answer
from sseload_users.users.known_answers import KnownAnswers

_STATUSES = (b"200 OK", b"204 No Content", b"304 Not Modified", b"500 Oops")
_HEADERS = (
    b"",
    b"Content-Length: 0\r\n",
    b"Content-Length: 4\r\n",
    b"Content-Length: 4\r\nSet-Cookie: a=b\r\n",
    b"Content-Length: 4\r\nConnection: close\r\n",
    b"Content-Length: 4\r\nContent-Encoding: gzip\r\n",
    b"Transfer-Encoding: chunked\r\n",
)
_BODIES = (b"", b"okay", b"nope", b"\r\n\r\n", b"longer", b"2\r\nok\r\n0\r\n\r\n")
_BEFORE = (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")


def parsed(method: str, data: bytes) -> tuple[HttpResponse, bool] | None:
    """Return the answer and whether its connection is kept; None if that is not all of it."""
    answer = _Answer(method)
    try:
        answer.take(data)
    except HTTPParseError:
        return None
    return (answer.as_value(), not answer.should_close()) if answer.is_whole else None


@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("before", _BEFORE)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_known_heads_change_no_answer(method: str, before: bytes, end: bytes) -> None:
    found = 0
    for status, headers in product(_STATUSES, _HEADERS):
        head = before + (b"HTTP/1.1 %b\r\n%b\r\n" % (status, headers)).replace(b"\r\n", end)
        for first, then in product(_BODIES, _BODIES):
            known = KnownAnswers()
            read = parsed(method, head + first)
            if read is not None and read[1]:
                known.add(method, head + first, read[0])
            answer = known.find(method, head + then)
            if answer is not None:
                found += 1
                assert (answer, True) == parsed(method, head + then)
    assert bool(found) == (not before and end == b"\r\n")


def test_the_head_alone_decides() -> None:
    known = KnownAnswers()
    head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 4\r\n\r\n"
    answer = HttpResponse(202, b"okay", (("content-length", "4"),))
    known.add("POST", head + b"okay", answer)
    assert known.find("POST", head + b"nope") == HttpResponse(202, b"nope", answer.headers)
    assert known.find("PUT", head + b"okay") is None
    assert known.find("POST", head + b"oka") is None
    assert known.find("POST", head.replace(b"202", b"503") + b"okay") is None
    assert known.find("POST", b"") is None
