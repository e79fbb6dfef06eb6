"""How messages change the position from which a connection resumes: values, and counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from sseload_users.targets.messages import ReceivedMessage, matches
from sseload_users.targets.requests import find_values
from sseload_users.targets.resume_spec import ResumeSpec

#: A name, and its new value; or None to count one more message, or the number of the next one.
Step: TypeAlias = tuple[str, str | int | None]


def steps(resume: ResumeSpec, messages: Iterable[ReceivedMessage]) -> Iterator[Step]:
    """Yield how messages change the position, in their order."""
    for what in messages:
        yield from find_values(resume.capture, what.text, what.value).items()
        for name, count in resume.count.items():
            if count.next is not None and matches(count.next, what):
                number = count.next.number.find(what.value)
                if isinstance(number, int) and not isinstance(number, bool):
                    yield name, number
            if matches(count, what):
                yield name, None


class Position:
    """The position of one connection.

    Args:
        resume: says what belongs to it.
    """

    def __init__(self, resume: ResumeSpec) -> None:
        self._values = resume.initial
        # The number of the next message that is counted, by name.
        self._next = dict.fromkeys(resume.count, 1)

    @property
    def values(self) -> Mapping[str, str]:
        """The values by name, as they are now; without those that no message has given."""
        return self._values

    def change(self, changes: Iterable[Step]) -> None:
        """Follow messages; see `steps`."""
        for name, value in changes:
            if isinstance(value, str):
                self._values[name] = value
            elif value is not None:
                self._next[name] = value
            else:
                number = self._next[name]
                self._next[name] = number + 1
                # What is sent again has numbers that are known.
                self._values[name] = str(max(number, int(self._values[name])))
