"""How one option is declared: everything that is known of it, in one place."""

from __future__ import annotations

import math
from dataclasses import Field, dataclass, field
from typing import Any

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSpec:
    """What is known of an option beside its name, type and default.

    Attributes:
        group: heading that the option stands under in `--help` and in the web form.
        help: one clause for `--help`; the default is added.
        number: type of the value where the default is None, and so does not tell it.
        unit: stands for the value in `--help`, such as "SECONDS".
        lowest: smallest valid number; None if there is no bound.
        highest: largest valid number.
        choices: the valid texts; empty for any.
        repeatable: the option may be given more than once.
        in_form: the option is a field of the web form.
        public: the value may appear in reports.
        secret: the web form masks the value.
    """

    group: str
    help: str
    number: type[int] | type[float] | None = None
    unit: str | None = None
    lowest: float | None = None
    highest: float = math.inf
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    in_form: bool = True
    public: bool = True
    secret: bool = False

    def check(self, name: str, value: Any) -> None:
        """Refuse a value out of bounds, or one that is not among the choices.

        Raises:
            ConfigError: the value is invalid.
        """
        if self.choices and value not in self.choices:
            valid = ", ".join(filter(None, self.choices))
            raise ConfigError(f"Invalid {flag(name)} {clean(str(value))!r}: use one of {valid}.")
        if self.lowest is None or value is None:
            return
        if not math.isfinite(value) or not self.lowest <= value <= self.highest:
            bounds = (
                f"{self.lowest:g} or more"
                if self.highest == math.inf
                else f"{self.lowest:g} to {self.highest:g}"
            )
            raise ConfigError(f"Invalid {flag(name)} {value:g}: it must be {bounds}.")


def option(default: Any, group: str, text: str, **known: Any) -> Any:
    """Declare a field of `Options`.

    Args:
        default: value if the option is not given.
        group: see `OptionSpec`; like the rest.
        text: its help.
        **known: the further attributes of `OptionSpec`.
    """
    spec = OptionSpec(group=group, help=text, **known)
    return field(default=default, repr=spec.public and not spec.secret, metadata={"option": spec})


def spec_of(declared: Field[Any]) -> OptionSpec:
    """Return what is known of a field of `Options`."""
    spec: OptionSpec = declared.metadata["option"]
    return spec


def number_type(declared: Field[Any]) -> type[int] | type[float] | None:
    """Return the type of a field whose values are numbers; None for other fields."""
    default = declared.default
    if isinstance(default, int | float) and not isinstance(default, bool):
        return type(default)
    return spec_of(declared).number


def parse_number(declared: Field[Any], value: Any) -> Any:
    """Return a field's value, as a number where the web form sent the text of one.

    Raises:
        ConfigError: the text is not a number.
    """
    kind = number_type(declared)
    if kind is None or not isinstance(value, str):
        return value
    return to_number(flag(declared.name), value, kind)


def to_number(name: str, text: str, kind: type[int] | type[float]) -> int | float:
    """Return the number that a text stands for.

    Args:
        name: what to call it in the error.
        text: the text.
        kind: type of the number.

    Raises:
        ConfigError: the text is not such a number.
    """
    try:
        return kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise ConfigError(f"Invalid {name} {clean(shorten(text))!r}: use {wanted}.") from error


def flag(name: str) -> str:
    """Return the flag of an option, such as "--connect-timeout" for "connect_timeout"."""
    return f"--{name.replace('_', '-')}"
