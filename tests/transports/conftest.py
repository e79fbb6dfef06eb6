"""Fixtures of the transports' tests."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from sseload_users.transports import network, reader
from sseload_users.transports.network import Network


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    with gevent.Timeout(30):
        yield


@pytest.fixture(params=["epoll", "loop"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network, with each of the two readers."""
    if request.param == "loop":
        monkeypatch.setattr(network, "make_reader", lambda lag, stamped: reader.LoopReader(lag))
    return Network()
