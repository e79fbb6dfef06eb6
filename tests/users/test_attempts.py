"""Connect attempts, and what counts as one that is being made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from sseload_users.run.user_gauges import UserGauges
from sseload_users.users.client import SimulatedClient


def test_an_attempt_that_has_succeeded_is_no_longer_being_made() -> None:
    """Otherwise an account that is closed then has more successes than attempts."""
    users, seen = UserGauges(), []

    class Client(SimulatedClient):
        def __init__(self) -> None:
            self._worker_run: Any = SimpleNamespace(
                finished=False,
                connect_turns=nullcontext(),
                users=users,
                stacks=SimpleNamespace(call=self._call),
            )

        def _call(self, function: Callable[[], Any]) -> Any:
            returned = function()
            # The caller goes on in a later turn of the loop.
            seen.append(users.connecting.value)
            return returned

        def _try_to_connect(self) -> None:
            seen.append(users.connecting.value)

    assert Client()._connect(1)
    assert seen == [1, 0]
