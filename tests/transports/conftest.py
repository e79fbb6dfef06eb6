"""Fixtures of the transports' tests."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from sseload_users.transports import network, reader
from sseload_users.transports.network import Network
from sseload_users.transports.receiving import receive_in_python
from tests.support.compiled import compiled


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    with gevent.Timeout(30):
        yield


@pytest.fixture(params=["epoll, compiled", "epoll", "loop"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network, with each of the two readers, and each way to read."""
    if request.param == "loop":
        monkeypatch.setattr(network, "make_reader", lambda lag, stamped: reader.LoopReader(lag))
    else:
        way = receive_in_python if request.param == "epoll" else compiled()
        monkeypatch.setattr(reader, "receive_best", lambda: way)
    return Network()
