"""Select the tests of protocols, and write the table of what they have shown."""

from __future__ import annotations

import os

import pytest

pytest.register_assert_rewrite("tests.protocols.contract")

from tests.protocols.contract import ProtocolContract  # noqa: E402
from tests.protocols.shown import PAGE, PROPERTY, rows_of, with_rows  # noqa: E402

#: Whether to run all of them; otherwise, only a sample.
_ALL = "CI" in os.environ or "PROTOCOLS" in os.environ
#: Tests of the sample.
_SAMPLE = ("test_check", "test_all")

_shown: list[tuple[str, str, str, str]] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the contract's tests, and leave out those that `make test-protocols` and CI run."""
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        suite = getattr(item, "cls", None)
        if suite is not None and issubclass(suite, ProtocolContract):
            item.add_marker(pytest.mark.e2e)
            if not (suite.sample and item.originalname in _SAMPLE):  # type: ignore[attr-defined]
                item.add_marker(pytest.mark.protocols)
        (kept if _ALL or not item.get_closest_marker("protocols") else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what a test has shown."""
    if report.when == "call" and not report.skipped:
        for name, found in report.user_properties:
            if name == PROPERTY and isinstance(found, list | tuple):
                profile, server, test, value = map(str, found)
                _shown.append((profile, server, test, value if report.passed else "✗"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was shown to the table, if asked to."""
    if "PROTOCOLS_TABLE" in os.environ and not hasattr(session.config, "workerinput"):
        PAGE.write_text(with_rows(PAGE.read_text("utf-8"), rows_of(_shown)), "utf-8")
