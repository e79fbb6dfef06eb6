"""Connect attempts, and what counts as one that is being made."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from sseload_users.run.user_gauges import UserGauges
from sseload_users.users.connector import Connector


def test_an_attempt_that_has_succeeded_is_no_longer_being_made() -> None:
    """Otherwise an account that is closed then has more successes than attempts."""
    users, seen = UserGauges(), []

    class Client(Connector):
        def __init__(self) -> None:
            self._worker_run: Any = SimpleNamespace(
                finished=False, connect_turns=SimpleNamespace(call=self._call), users=users
            )

        def _call(self, function: Callable[[int], Any], due_s: float, *, limited: bool) -> Any:
            assert (due_s, limited) == (0.0, True)
            returned = function(5)
            # The user goes on in a later turn of the loop.
            seen.append(users.connecting.value)
            return returned

        def _try_to_connect(self) -> None:
            assert self._queue_us == 5
            seen.append(users.connecting.value)

    assert Client().connect(1)
    assert seen == [1, 0]
