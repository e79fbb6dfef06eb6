"""The series that --watch-series selects, and how their figures are found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, shorten

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*'
_LABELS = rf"\{{(?P<labels>(?:\s*{re.sub(r'[?]P<[a-z]+>', '?:', _LABEL)},?)*\s*)\}}"
_SELECTOR = re.compile(rf"(?P<name>{_NAME})\s*(?:{_LABELS})?")
_PAIR = re.compile(_LABEL)
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One sample of a metrics page."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class MetricSelector:
    """A metric's name, and labels that its samples must have.

    Attributes:
        name: name of the metric.
        labels: pairs of label name and value; samples may have further labels.
    """

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return the selector as it is written."""
        pairs = ",".join(f'{label}="{_escape(value)}"' for label, value in self.labels)
        return f"{self.name}{{{pairs}}}" if pairs else self.name

    def sum(self, samples: Sequence[MetricSample]) -> float | None:
        """Return the sum of the selected samples; None if there are none."""
        found = [
            each.value
            for each in samples
            if each.name == self.name
            and all(each.labels.get(label) == value for label, value in self.labels)
        ]
        return sum(found) if found else None


def parse_selectors(text: str) -> tuple[MetricSelector, ...]:
    """Return the selectors of a comma-separated list.

    Raises:
        ConfigError: an entry is not a selector; one sentence.
    """
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _SELECTOR.match(text, at)
        end = _skip_spaces(text, match.end() if match else at)
        if match is None or (end < len(text) and text[end] != ","):
            raise ConfigError(
                f"Invalid --watch-series {clean(shorten(text[at:]))!r}: use comma-separated "
                'metric names, for example process_open_fds, requests_total{code="500"}.'
            )
        labels = tuple(
            (pair["label"], _unescape(pair["value"]))
            for pair in _PAIR.finditer(match["labels"] or "")
        )
        found.append(MetricSelector(match["name"], labels))
        at = _skip_spaces(text, end + 1)
    return tuple(found)


def _skip_spaces(text: str, at: int) -> int:
    return at + len(text[at:]) - len(text[at:].lstrip())


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: {"n": "\n"}.get(match[1], match[1]), text)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
