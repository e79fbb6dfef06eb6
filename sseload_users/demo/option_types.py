"""Converters and validators for command-line values, for argparse's ``type``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def share(text: str) -> float:
    """Parse a number between 0 and 1."""
    value = _number(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value


def share_and_seconds(default: float | None) -> Callable[[str], tuple[float, float]]:
    """Return a parser of SHARE:SECONDS, or of SHARE alone if the seconds have a default."""

    def convert(text: str) -> tuple[float, float]:
        first, second = _pair(text, default, "SHARE:SECONDS")
        return share(first), second

    return convert


def count_and_seconds(default: float) -> Callable[[str], tuple[int, float]]:
    """Return a parser of N or N:SECONDS."""

    def convert(text: str) -> tuple[int, float]:
        first, second = _pair(text, default, "N:SECONDS")
        return count(first), second

    return convert


def seconds(text: str) -> float:
    """Parse a time above 0 s."""
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def seconds_or_zero(text: str) -> float:
    """Parse a time of 0 s or more."""
    return 0.0 if _number(text) == 0 else seconds(text)


def port(text: str) -> int:
    """Parse a TCP port; 0 means any free one."""
    return _integer(text, 0, 65535, "a port between 0 and 65535")


def count(text: str) -> int:
    """Parse an integer of 0 or more."""
    return _integer(text, 0, 1 << 31, "an integer of 0 or more")


def positive(text: str) -> int:
    """Parse an integer of 1 or more."""
    return _integer(text, 1, 1 << 31, "an integer of 1 or more")


def status(text: str) -> int:
    """Parse an HTTP error status."""
    return _integer(text, 400, 599, "an HTTP error status between 400 and 599")


def close_code(text: str) -> int:
    """Parse a WebSocket close code that a server may send."""
    # 1005, 1006 and 1015 must not be sent (RFC 6455 §7.4.1).
    value = _integer(text, 1000, 4999, "a WebSocket close code between 1000 and 4999")
    if value in {1004, 1005, 1006, 1015} or 1015 < value < 3000:
        raise argparse.ArgumentTypeError(f"{text!r} is a close code that a server must not send")
    return value


def names(text: str) -> tuple[str, ...]:
    """Parse comma-separated names, none of them empty."""
    found = tuple(name.strip() for name in text.split(","))
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty entry: use comma-separated names")
    return found


def _pair(text: str, default: float | None, form: str) -> tuple[str, float]:
    first, colon, second = text.partition(":")
    if colon:
        return first, seconds(second)
    if default is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no seconds: use {form}")
    return first, default


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def _integer(text: str, low: int, high: int, what: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value
