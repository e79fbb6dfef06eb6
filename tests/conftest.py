"""Settings for all tests."""

from __future__ import annotations

import os
from unittest import mock

import pytest
from hypothesis import settings

# On its first import, Locust lets gevent patch the process. Here threads must stay real threads,
# so this import suppresses the patching. Runs are separate processes, which are patched as usual.
with mock.patch.dict(os.environ, LOCUST_SKIP_MONKEY_PATCH="1"):
    import locust  # noqa: F401

# Tests start hundreds of processes, and without bytecode each would compile the whole program.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The time of an example depends more on the machine than on the code. Each session draws other
# examples, so that tests which do not ask for more see many over time.
settings.register_profile("sseload", deadline=None, max_examples=40)
settings.load_profile("sseload")

#: Whether to run the tests that `make test` leaves to continuous integration.
_ALL = "CI" in os.environ or "ALL" in os.environ


def pytest_report_header() -> str | None:
    return None if _ALL else "without tests that take long: make test ALL=1 runs them, as does CI"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the dearest tests, so that `make test` takes less than five minutes."""
    if _ALL:
        return
    dear = [item for item in items if item.get_closest_marker("dear")]
    config.hook.pytest_deselected(items=dear)
    items[:] = [item for item in items if not item.get_closest_marker("dear")]
