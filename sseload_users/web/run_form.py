"""The form for a run: its fields, in groups, with units, bounds and defaults."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, replace
from functools import cache
from typing import Any, Literal

from sseload_users.core.option_spec import flag, number_type, spec_of
from sseload_users.run import kept_configs
from sseload_users.targets.profile import built_in_text, describe, names
from sseload_users.web.entries import DECLARED

#: Connections, and users that Locust starts a second, unless the user says otherwise.
CONNECTIONS = 50
SPAWN_RATE = 100
#: The value that stands for a profile of one's own in the list of profiles.
OWN_PROFILE = "file"

Kind = Literal["text", "whole", "number", "switch", "choice", "secret"]


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a list.

    Attributes:
        value: its value.
        words: how it is shown.
        enabled: whether it can be chosen.
    """

    value: str
    words: str
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class FormField:
    """A field.

    Attributes:
        name: the option's name.
        label: what it is called, with its unit.
        hint: what it means, its bounds and its default.
        kind: how it is entered.
        value: what is in it; "true" for a switch that is on.
        default: what is in it unless the user says otherwise.
        flag: the same on the command line.
        choices: the entries of a list.
        error: what is wrong with the value.
        set_by: who sets the value, so that it cannot be entered.
    """

    name: str
    label: str
    hint: str
    kind: Kind
    value: str
    default: str = ""
    flag: str = ""
    choices: Sequence[Choice] = ()
    error: str = ""
    set_by: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether the value is not the default, which an empty text stands for."""
        empty = not self.value and self.kind != "switch"
        return not empty and self.value != self.default


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that fold together."""

    title: str
    fields: Sequence[FormField]

    @property
    def changed(self) -> str:
        """What is not as by default, in words."""
        changed = [each for each in self.fields if each.is_changed]
        return ", ".join(
            each.label.partition(",")[0].lower()
            + ("" if each.kind in ("switch", "secret") else f" {each.value}")
            for each in changed
        )

    @property
    def is_open(self) -> bool:
        """Whether something in it is wrong."""
        return any(each.error for each in self.fields)


@dataclass(frozen=True, slots=True)
class RunForm:
    """The form.

    Attributes:
        first: the fields that nearly every run sets, by name.
        groups: the other ones.
    """

    first: Mapping[str, FormField]
    groups: Sequence[Group]

    @property
    def own_profile(self) -> str:
        """The path of a profile of one's own; empty if a built-in one is chosen."""
        target = self.first["target"]
        return "" if target.value in {each.value for each in target.choices} else target.value

    @property
    def wrong(self) -> list[FormField]:
        """The fields that have a mistake, in their order."""
        groups = (each.fields for each in self.groups)
        every = [*self.first.values(), *(each for group in groups for each in group)]
        return [each for each in every if each.error]


def form(
    texts: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    shapes: Sequence[Choice],
    set_by: Mapping[str, tuple[str, str]],
    others: Mapping[str, Mapping[str, Any]],
) -> RunForm:
    """Return the form.

    Args:
        texts: what is in each field, by name.
        errors: what is wrong with it.
        shapes: the shipped sets of options, see `shapes`.
        set_by: fields that cannot be entered: their value and who sets it.
        others: options of the locustfile or of other plugins, as Locust describes them.
    """

    def completed(field: FormField) -> FormField:
        value, who = set_by.get(field.name, (texts.get(field.name, field.default), ""))
        return replace(field, value=value, set_by=who, error=errors.get(field.name, ""))

    first = {each.name: completed(each) for each in _first(shapes)}
    groups: dict[str, list[FormField]] = {}
    for name, declared in DECLARED.items():
        spec = spec_of(declared)
        if spec.in_form and name not in first:
            groups.setdefault(spec.group, []).append(completed(_field(declared)))
    made = [Group(_title(option_group), fields) for option_group, fields in groups.items()]
    made.append(Group("Ramp up and time limit", [completed(each) for each in _locusts_own()]))
    if others:
        own = [completed(_other(name, each)) for name, each in others.items()]
        made.append(Group("The locustfile", own))
    return RunForm(first, made)


def _title(option_group: str) -> str:
    title = option_group.removeprefix("sseload: ").capitalize()
    # The first fields of this group stand above it.
    return "Users, channels and messages" if title == "What to test" else title


def defaults(others: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what is in each field unless the user says otherwise.

    Args:
        others: see `form`.
    """
    return {each.name: each.default for each in _all(others)}


def switches(others: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the names of the fields that are on or off.

    Args:
        others: see `form`.
    """
    return {each.name for each in _all(others) if each.kind == "switch"}


def _all(others: Mapping[str, Mapping[str, Any]]) -> Iterable[FormField]:
    made = form({}, {}, shapes=(), set_by={}, others=others)
    return [*made.first.values(), *(field for group in made.groups for field in group.fields)]


def shown(value: object) -> str:
    """Return an option's value as its field shows it."""
    if value is None or value is False:
        return ""
    if value is True:
        return "true"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def shapes(parsed: Mapping[str, Any]) -> list[Choice]:
    """Return the list of shipped sets of options.

    Args:
        parsed: Locust's options. What the form does not show must be as a set says.
    """
    found = [Choice("", "none: the options as they are below")]
    for name, description in kept_configs.descriptions().items():
        beyond = {
            key: value
            for key, value in kept_configs.options_of(name).items()
            if key in DECLARED and not _is_in_form(key)
        }
        fits = all(shown(parsed.get(key)) == value for key, value in beyond.items())
        words = f"{name}: {description}"
        if not fits:
            words += f" (start with: sseload ui --config {name})"
        found.append(Choice(name, words, enabled=fits))
    return found


def shape_texts(name: str, fixed_users: int) -> dict[str, str]:
    """Return what a shipped set of options puts into fields, by their names.

    Args:
        name: of the set; empty for none.
        fixed_users: the number of Locust users that are not connections.

    Raises:
        ConfigError: there is none of this name.
    """
    if not name:
        return {}
    found = kept_configs.options_of(name)
    texts = {key: text for key, text in found.items() if key == "spawn_rate" or _is_in_form(key)}
    if "users" in found:
        texts["connections"] = str(max(1, int(found["users"]) - fixed_users))
    return texts


def _is_in_form(name: str) -> bool:
    return name in DECLARED and spec_of(DECLARED[name]).in_form


def _first(shapes: Sequence[Choice]) -> Iterable[FormField]:
    codes, duration = (_field(DECLARED[name]) for name in ("codes", "duration"))
    target = _field(DECLARED["target"])
    return (
        FormField(
            "shape", "Shape", "a shipped set of options: it fills in the form, and you can change "
            "what it says before you start", "choice", "", flag="sseload shape", choices=shapes,
        ),
        FormField("host", "Server", "its URL", "text", "", flag="--host"),
        replace(
            target,
            kind="choice",
            choices=_profiles(),
            hint="what the server speaks",
        ),
        FormField(
            "connections", "Connections", "clients that connect; Locust's number of users also "
            f"counts the broadcaster; 1 or more, {CONNECTIONS} if empty",
            "whole", "", str(CONNECTIONS), "-u",
        ),
        codes,
        duration,
    )  # fmt: skip


@cache
def _profiles() -> Sequence[Choice]:
    built_in = [Choice(name, f"{name}: {describe(built_in_text(name))}") for name in names()]
    return [*built_in, Choice(OWN_PROFILE, "a profile of your own, in a file")]


def _locusts_own() -> Iterable[FormField]:
    return (
        FormField(
            "spawn_rate", "Ramp up, users per second",
            "connections that Locust starts each second; --connect-concurrency bounds how many "
            f"connect at the same time; more than 0, {SPAWN_RATE} if empty",
            "number", "", str(SPAWN_RATE), "-r",
        ),
        FormField(
            "run_time", "Run time", "seconds, or a time such as 3m or 1h20m, after which the run "
            "ends in any case; no limit if empty", "text", "", flag="-t",
        ),
    )  # fmt: skip


def _field(declared: Field[Any]) -> FormField:
    """Return the field of an option, empty."""
    spec, default = spec_of(declared), declared.default
    number = number_type(declared)
    kind: Kind = "text"
    if isinstance(default, bool):
        kind = "switch"
    elif spec.choices:
        kind = "choice"
    elif number is not None:
        kind = "whole" if number is int else "number"
    elif spec.secret:
        kind = "secret"
    label = declared.name.replace("_", " ").capitalize()
    if kind == "number" and (unit := (spec.unit or "SECONDS").lower()) != "share":
        label += f", {unit}"
    # A default of None is described in the option's help.
    as_text = "" if default in (None, ()) else shown(default)
    bounds = _bounds(spec.lowest, spec.highest)
    if as_text and number is not None:
        bounds += f", {as_text} if empty" if bounds else f"{as_text} if empty"
    return FormField(
        declared.name,
        label,
        "; ".join(filter(None, (spec.help, bounds))),
        kind,
        "",
        as_text,
        flag(declared.name),
        [Choice(each, each or "no") for each in spec.choices],
    )


def _bounds(lowest: float | None, highest: float) -> str:
    if lowest is None:
        return ""
    return f"{lowest:g} or more" if highest == math.inf else f"{lowest:g} to {highest:g}"


def _other(name: str, described: Mapping[str, Any]) -> FormField:
    """Return the field of an option that Locust describes."""
    default, choices = described["default_value"], described["choices"]
    kind: Kind = "text"
    if isinstance(default, bool):
        kind = "switch"
    elif choices:
        kind = "choice"
    elif described["is_secret"]:
        kind = "secret"
    return FormField(
        name,
        name.replace("_", " ").capitalize(),
        str(described["help_text"] or ""),
        kind,
        "",
        "" if described["is_secret"] else shown(default),
        flag(name),
        [Choice(str(each), str(each)) for each in choices or ()],
    )
