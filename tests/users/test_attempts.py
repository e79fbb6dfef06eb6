"""Connect attempts, and what counts as one that is being made."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from sseload_users.core.ledger import Ledger
from sseload_users.run.operation_counters import OperationCounters
from sseload_users.run.user_gauges import UserGauges
from sseload_users.users.connector import Connector


def test_an_attempt_that_has_succeeded_is_no_longer_being_made() -> None:
    """Otherwise an account that is closed then has more successes than attempts."""
    users, seen = UserGauges(), []

    class Client(Connector):
        def __init__(self) -> None:
            self._worker_run: Any = SimpleNamespace(
                finished=False,
                connect_turns=SimpleNamespace(ask=self._ask, wait=self._wait),
                users=users,
            )

        def _ask(self, function: Callable[[int], Any], *, limited: bool) -> Any:
            assert limited
            return function

        def _wait(self, function: Callable[[int], Any]) -> Any:
            returned = function(5)
            # The user goes on in a later turn of the loop.
            seen.append(users.connecting.value)
            return returned

        def _try_to_connect(self) -> None:
            assert self._queue_us == 5
            seen.append(users.connecting.value)

    assert Client().connect(1)
    assert seen == [1, 0]


@pytest.mark.parametrize("opened", [True, False])
def test_a_user_that_is_stopped_before_it_holds_its_session_leaves(opened: bool) -> None:
    """Otherwise the server would be blamed for what the session did not get."""
    ledger = Ledger(1.0, lambda *_: None)
    connection = ledger.add_connection()
    left: list[str] = []

    class Client(Connector):
        def __init__(self) -> None:
            self._worker_run: Any = SimpleNamespace(
                finished=False,
                connect_turns=SimpleNamespace(ask=self._ask, wait=self._wait),
                users=UserGauges(),
                ledger=ledger,
                operations=OperationCounters(ledger, lambda: False),
            )
            self._connection = connection
            self._unheld = None
            transport: Any = SimpleNamespace(leave=lambda: left.append("transport"))
            requests: Any = SimpleNamespace(end=lambda: left.append("requests"))
            self.transport, self.requests = transport, requests

        def _ask(self, function: Callable[[int], Any], *, limited: bool) -> Any:
            del limited
            return function

        def _wait(self, function: Callable[[int], Any]) -> Any:
            function(0)
            raise gevent.GreenletExit

        def _try_to_connect(self) -> None:
            if opened:
                self._unheld = ledger.open_session(connection, 1, 2)

    with pytest.raises(gevent.GreenletExit):
        Client().connect(None)
    assert left == ["transport", "requests"] * opened
    assert ledger.open_sessions == 0
    assert connection.sessions == opened
