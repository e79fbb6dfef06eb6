"""The tally of a whole run, on the leader."""

from __future__ import annotations

from sseload_users.core.code_archive import CodeArchive
from sseload_users.core.code_tally import CodeTally
from sseload_users.core.second import Second
from sseload_users.core.second_archive import SecondArchive
from sseload_users.core.tally import Tally

_S = 1_000_000_000


class RunTally(Tally):
    """The tally of a run, or of a step of it, whose old codes and seconds can be archived."""

    __slots__ = ()

    codes: CodeArchive
    seconds: SecondArchive

    def __init__(self) -> None:
        super().__init__()
        self.codes = CodeArchive()
        self.seconds = SecondArchive()

    def code(self, sequence: int) -> CodeTally:
        """Return a code's account, to be changed; create it if there is none."""
        found = self.codes.revive(sequence)
        if found is None:
            found = self.codes[sequence] = CodeTally()
        return found

    def second(self, at_ns: int) -> Second:
        """Return the second that contains a time (wall clock, ns), to be changed; create it."""
        key = at_ns // _S
        found = self.seconds.revive(key)
        if found is None:
            found = self.seconds[key] = Second()
        return found
