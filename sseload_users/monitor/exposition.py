"""Prometheus' text exposition format (0.0.4), read; pure.

The grammar is that of its documentation: lines of ``name{label="value",…} value [timestamp]``,
with comments and empty lines between. OpenMetrics, which adds exemplars behind a "#", is read
as well. A line that is none of these is an error: a page that is no exposition says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*'
_LABELS = rf"\{{(?P<labels>(?:\s*{re.sub(r'[?]P<[a-z]+>', '?:', _LABEL)},?)*\s*)\}}"
_SERIES = re.compile(rf"(?P<name>{_NAME})\s*(?:{_LABELS})?")
_SAMPLE = re.compile(rf"{_SERIES.pattern}\s*(?P<number>\S+)(?:\s+[-+0-9.eE]+)?(?:\s+#.*)?")
_PAIR = re.compile(_LABEL)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of an exposition."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """A series that somebody wants: its name, and labels that it must have.

    Attributes:
        name: the metric's.
        labels: names and values; others may be there as well.
    """

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """As it is written."""
        pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in self.labels)
        return f"{self.name}{{{pairs}}}" if pairs else self.name

    def of(self, samples: Sequence[Sample]) -> float | None:
        """The sum of all samples of it; None if there are none."""
        found = [
            each.value
            for each in samples
            if each.name == self.name
            and all(each.labels.get(label) == value for label, value in self.labels)
        ]
        return sum(found) if found else None


def wanted(text: str) -> tuple[Wanted, ...]:
    """The series that a text names, with commas between.

    Raises:
        ConfigError: it names none so; one sentence.
    """
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _SERIES.match(text, at)
        end = match.end() if match else at
        end += len(text[end:]) - len(text[end:].lstrip())
        if match is None or (end < len(text) and text[end] != ","):
            raise ConfigError(
                f"--watch-series: {clean(shorten(text[at:]))!r} is no series; write names with "
                'commas between, such as process_open_fds, requests_total{code="500"}.'
            )
        found.append(Wanted(match["name"], tuple(_labels(match["labels"]).items())))
        at = end + 1
        at += len(text[at:]) - len(text[at:].lstrip())
    return tuple(found)


def read(text: str) -> list[Sample]:
    """The samples of an exposition.

    Raises:
        ValueError: it is none; says which line is not of the format.
    """
    return list(_samples(text))


def _samples(text: str) -> Iterator[Sample]:
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()  # noqa: PLW2901
        if not line or line.startswith("#"):
            continue
        match = _SAMPLE.fullmatch(line)
        try:
            value = float(match["number"]) if match else None
        except ValueError:
            value = None
        if match is None or value is None:
            raise ValueError(f"line {number} is no sample: {clean(shorten(line))}")
        yield Sample(match["name"], _labels(match["labels"]), value)


def _labels(text: str | None) -> dict[str, str]:
    return {match["label"]: _unescaped(match["value"]) for match in _PAIR.finditer(text or "")}


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: {"n": "\n"}.get(match[1], match[1]), text)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
