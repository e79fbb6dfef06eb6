"""How many users Locust keeps, changed in the course of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from locust.env import Environment

#: Users that Locust begins each second, unless it was told.
_SPAWN_RATE = 500
#: Those that are to go, go at once.
_AT_ONCE = 100_000


def resize(environment: Environment, connections: int) -> None:
    """Have Locust keep so many listeners, and the broadcaster.

    Args:
        environment: Locust's.
        connections: how many are to be there; beyond them, the last ones are taken away.
    """
    runner = environment.runner
    assert runner is not None  # noqa: S101
    fixed = sum(each.fixed_count for each in environment.user_classes)
    rate = getattr(environment.parsed_options, "spawn_rate", None) or _SPAWN_RATE
    with _quiet_about_the_rate():
        runner.start(connections + fixed, rate if connections else _AT_ONCE)


@contextmanager
def _quiet_about_the_rate() -> Iterator[None]:
    """Keep Locust from warning of a spawn rate that nobody asked for; of nothing else."""
    logger = logging.getLogger("locust.runners")
    logger.addFilter(_is_not_about_the_rate)
    try:
        yield
    finally:
        logger.removeFilter(_is_not_about_the_rate)


def _is_not_about_the_rate(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Your selected spawn rate is very high")
