"""Options that a run keeps from the command line, as the web form does not show them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from typing import Any

from locust.env import Environment

from sseload_users.core import option_texts


class GivenOptions:
    """The values for a profile's names, and the nodes, as they were given.

    Args:
        environment: Locust's; its options go to all workers.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        parsed: Any = environment.parsed_options
        self._nodes = str(parsed.nodes or "")
        self._values: dict[str, str] = {}

    def restore(self) -> None:
        """Restore the options for a further run, and remember values that are new.

        Raises:
            ConfigError: a value is invalid.
        """
        parsed: Any = self._environment.parsed_options
        self._values = self._completed_values(parsed)
        self._complete(parsed, self._values)

    def completed(self, parsed: Namespace) -> Namespace:
        """Return options of a run that has not begun, completed by those that were given.

        Raises:
            ConfigError: a value is invalid.
        """
        copied = Namespace(**vars(parsed))
        self._complete(copied, self._completed_values(copied))
        return copied

    def _completed_values(self, parsed: Any) -> dict[str, str]:
        # The form's data lacks the values of the command line, which it does not show.
        return self._values | dict(option_texts.parse_values(parsed.value or ()))

    def _complete(self, parsed: Any, values: dict[str, str]) -> None:
        parsed.value = option_texts.join_values(values)
        parsed.nodes = self._nodes

    def replace_nodes(self, nodes: Iterable[str]) -> None:
        """Use other nodes in the run that begins, on all workers."""
        parsed: Any = self._environment.parsed_options
        parsed.nodes = ",".join(nodes)
