"""The error for invalid configuration and input."""

from __future__ import annotations


class ConfigError(Exception):
    """Invalid configuration or input.

    The message is one sentence that says what is wrong, where, and what to do.
    """
