"""What was entered in a form for a run: completed, and checked field by field."""

from __future__ import annotations

import math
import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeGuard

from locust.util.timespan import parse_timespan

from sseload_users import targets
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten
from sseload_users.core.option_spec import flag, parse_number, spec_of, to_number
from sseload_users.options import Options
from sseload_users.run.next_run import NextRun
from sseload_users.targets.hosts import normalize_host

#: sseload's options as they are declared, by name.
DECLARED = {each.name: each for each in fields(Options)}

#: Options that Locust takes from a form in its own way.
LOCUSTS_OWN = {"user_count", "spawn_rate", "run_time", "host", "user_classes", "profile"}

#: What Locust's short options are called in the form.
_SHORT = {"-u": "connections", "-r": "spawn_rate", "-t": "run_time"}
_FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
#: The largest number of connections that the form takes.
_MOST = 10_000_000


def completed(texts: Mapping[str, str], parsed: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of options that Locust knows; an empty number field means the default.

    Args:
        texts: what was entered, by the option's name; other names are left out.
        parsed: Locust's options as they are.
    """
    return {
        name: _completed(text, parsed[name], name) for name, text in texts.items() if name in parsed
    }


def _completed(text: str, current: object, name: str) -> str:
    declared = DECLARED.get(name)
    default = None if declared is None else declared.default
    if text.strip() or not _is_number(current):
        return text
    if declared is not None:
        return "" if default is None else str(default)
    return str(current)


def forget_cleared(texts: Mapping[str, str], parsed: Namespace) -> None:
    """Forget the numbers of the latest run that were cleared and have no default.

    Locust would convert the empty text to a number, and fail.
    """
    for name, text in texts.items():
        if not text and _is_number(getattr(parsed, name, None)):
            setattr(parsed, name, None)


def draft(texts: Mapping[str, str], parsed: Namespace, **others: object) -> Namespace:
    """Return options as Locust is going to have them, as far as their types matter.

    Args:
        texts: what was entered, completed.
        parsed: Locust's options as they are, which stay so.
        **others: further values.
    """
    known = vars(parsed)
    entered = {
        name: text == "true" if isinstance(known[name], bool) else text
        for name, text in texts.items()
    }
    return Namespace(**{**known, **entered, **others})


def mistakes(
    texts: Mapping[str, str], parsed: Namespace, next_run: NextRun, *, host: str, users: int
) -> dict[str, str]:
    """Return a sentence for each field that cannot be used; under "" what concerns no field.

    Args:
        texts: what was entered, completed.
        parsed: Locust's options as they are.
        next_run: checks what fields come to together.
        host: the server's URL; empty for that which the user classes set.
        users: the number of Locust users.
    """
    known = vars(parsed)
    found = {name: _sentence(_check, name, text, known[name]) for name, text in texts.items()}
    found["host"] = _sentence(normalize_host, host) if host else ""
    found = {name: sentence for name, sentence in found.items() if sentence}
    if found:
        return found
    try:
        next_run.check(draft(texts, parsed, num_users=users), host or None)
    except ConfigError as error:
        found[_field(str(error), {"connections": "", **texts})] = str(error)
    return found


def check_locusts_own(texts: Mapping[str, str]) -> dict[str, str]:
    """Return a sentence for each invalid value of Locust's own options, by field.

    Args:
        texts: those of "connections", "spawn_rate" and "run_time" that were entered.
    """
    checks = {"connections": _connections, "spawn_rate": _rate, "run_time": _run_time}
    found = {name: _sentence(checks[name], text) for name, text in texts.items() if name in checks}
    return {name: sentence for name, sentence in found.items() if sentence}


def _sentence(check: Callable[..., object], *given: object) -> str:
    """Return what a check has to say; empty if all is well."""
    try:
        check(*given)
    except ConfigError as error:
        return str(error)
    return ""


def _check(name: str, text: str, current: object) -> None:
    declared = DECLARED.get(name)
    if declared is not None:
        value = parse_number(declared, text) if text else declared.default
        spec_of(declared).check(name, value)
    elif _is_number(current):
        to_number(flag(name), text, type(current))
    if name == "target":
        targets.load(text)


def _connections(text: str) -> None:
    if not 1 <= to_number("number of connections", text, int) <= _MOST:
        raise ConfigError(f"Invalid number of connections {text}: it must be 1 to {_MOST:,}.")


def _rate(text: str) -> None:
    rate = to_number("--spawn-rate", text, float)
    if not math.isfinite(rate) or rate <= 0:
        raise ConfigError(f"Invalid --spawn-rate {rate:g}: it must be more than 0.")


def _run_time(text: str) -> None:
    if not text:
        return
    try:
        valid = parse_timespan(text) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(
            f"Invalid --run-time {clean(shorten(text))!r}: use seconds, or a time such as 90s, 3m "
            "or 1h20m."
        )


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _field(sentence: str, texts: Mapping[str, str]) -> str:
    """Return the field that a sentence is about; empty for none.

    Sentences name the option, or begin with the file that it names.
    """
    for word in _FLAG.findall(sentence):
        name: str = _SHORT.get(word, word.lstrip("-").replace("-", "_"))
        if name in texts:
            return name
    return next(
        (name for name, text in texts.items() if text and sentence.startswith(f"{text}: ")), ""
    )
