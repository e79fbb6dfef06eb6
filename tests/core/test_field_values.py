"""The values of dataclasses as tuples: those of dataclasses.astuple, for flat ones."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import pytest

from sseload_users.core.counters import Counters
from sseload_users.core.field_values import field_values


@dataclass(slots=True)
class One:
    only: str


@dataclass(frozen=True)
class Nothing:
    pass


@pytest.mark.parametrize("instance", [One("x"), Nothing(), Counters(attempted=1, flushes=7)])
def test_values_are_those_of_the_fields(instance: One | Nothing | Counters) -> None:
    assert field_values(instance) == astuple(instance)
