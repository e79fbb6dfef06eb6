"""The messages that a worker observes: codes that get their numbers after they arrive; pure."""

from __future__ import annotations

from sseload_users.core.ledger import Ledger
from sseload_users.core.sessions import TrackedCode
from sseload_users.core.sightings import Numbered, Sighting
from sseload_users.core.spans import NEVER

#: Number of ids that are remembered; the oldest are forgotten. The leader remembers more of
#: them, and tells their numbers again.
_MAX_IDS = 50_000
#: Minimum time for which a message without a number is kept, in ns: then it is not part of the
#: observation.
_KEEP_NS = 10_000_000_000


class ObservedCodes:
    """The messages that a worker's connections have received, by what identifies them.

    A message is tracked from its first copy on. It is owed once the leader has numbered it.

    Args:
        ledger: the account.
        in_row: the ids are numbers in a row, by which order is judged.
    """

    def __init__(self, ledger: Ledger, *, in_row: bool) -> None:
        self._ledger = ledger
        self._in_row = in_row
        self._codes: dict[str, TrackedCode] = {}
        # Those without a number, and the times in them; and those that are to be reported.
        self._unnumbered: dict[str, TrackedCode] = {}
        self._new: dict[str, int | None] = {}

    def code(self, id_: str, sent_ns: int | None = None) -> TrackedCode:
        """Return the code of a message, for `Session.receive`.

        Args:
            id_: what identifies it.
            sent_ns: the time in it (the server's wall clock, ns); None if it has none.
        """
        found = self._codes.get(id_)
        if found is None:
            found = TrackedCode(int(id_) if self._in_row else 0)
            self._remember(id_, found)
            self._unnumbered[id_] = found
            self._new[id_] = sent_ns
        return found

    def take_new(self, now_ns: int) -> list[Sighting]:
        """Return the first sightings since the last call, on this worker's clock.

        Messages that have waited long for a number are forgotten.

        Args:
            now_ns: the time (wall clock, ns).
        """
        taken = []
        for id_, sent_ns in list(self._new.items()):
            # A message that came before its session was subscribed has no copy yet.
            if copies := self._unnumbered[id_].copies:
                taken.append(Sighting(id_, min(copies.values()), sent_ns))
                del self._new[id_]
        horizon_ns = now_ns - max(_KEEP_NS, 2 * self._ledger.rules.timeout_ns)
        for id_, code in list(self._unnumbered.items()):
            if id_ in self._new or next(iter((code.copies or {}).values()), 0) > horizon_ns:
                break
            del self._unnumbered[id_]
            self._codes.pop(id_, None)
            if code.copies:
                code.copies.clear()
        return taken

    def number(self, numbered: Numbered) -> None:
        """Enter the number of a message, from which on it is owed.

        Args:
            numbered: the message; its time is on this worker's clock.
        """
        ledger, sequence = self._ledger, numbered.sequence
        waiting = self._unnumbered.pop(numbered.id, None)
        self._new.pop(numbered.id, None)
        known = ledger.codes.find(sequence, None)
        if known is None:
            if waiting is not None:
                waiting.sequence = sequence
                ledger.codes.unannounced[sequence, None] = waiting
            ledger.announce(sequence, numbered.sent_ns)
            ledger.set_status(sequence, "seen", 0 if self._in_row else NEVER)
            known = ledger.code(sequence)
            ledger.audience.admit_newcomers(known)
        elif waiting is not None and waiting is not known:
            self._move_copies(waiting, known)
        self._remember(numbered.id, known)

    @staticmethod
    def _move_copies(forgotten: TrackedCode, known: TrackedCode) -> None:
        """Enter the copies of a message that had been forgotten here."""
        copies, further = forgotten.copies or {}, forgotten.further or {}
        forgotten.sequence, forgotten.announced, forgotten.copies = known.sequence, True, None
        for session, arrived_ns in copies.items():
            again = sum(further.get(session, {}).values())
            for _ in range(1 + again):
                session.receive(known, arrived_ns)

    def _remember(self, id_: str, code: TrackedCode) -> None:
        self._codes[id_] = code
        if len(self._codes) > _MAX_IDS:
            del self._codes[next(iter(self._codes))]
