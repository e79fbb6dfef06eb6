"""What a worker does for each of the master's spawn messages: one a second while users start.

For each option that a message has, Locust sees whether it is its own, and makes a parser of all
its own options for that. With sseload's options, this takes about a third of a second of CPU time,
in which the worker reads nothing; on a busy machine the master then counts it as lost.
"""

from __future__ import annotations

import functools

from locust import argument_parser


def cheapen() -> None:
    """Let Locust find out only once which options are its own: they stay the same."""
    argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)
