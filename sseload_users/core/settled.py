"""What is left of codes whose account is closed: enough to put right what comes late.

Of each there remain its times and, as one bit each, the sessions that miss it. As a
message may still be at hand that names one of them, the latest keep their object, too.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from sseload_users.core.sessions import Bits, Code, Session

#: So many settled codes that nobody misses keep their object; a further copy of an older
#: one, which is rare, makes it again.
_RECENT = 256
#: Stand for the send time of a code that is owed to nobody, and of one that is not settled.
_UNOWED, _UNSETTLED = 0, -1
#: Stands for no time in a code's text.
_NO_TIME = -1


class Settled:
    """The settled codes of one worker.

    Attributes:
        count: how many there are.
        newest_ns: when the last of those that are owed was sent (wall clock, ns).
        newest_missed_ns: when the last of those was sent that anybody missed.
    """

    __slots__ = ("_missed", "_recent", "_sent", "_texts", "count", "newest_missed_ns", "newest_ns")

    def __init__(self) -> None:
        self.count = 0
        self.newest_ns = 0
        self.newest_missed_ns = 0
        # By sequence number: send times, and the times in the codes' texts.
        self._sent = array("q")
        self._texts = array("q")
        self._recent: dict[int, Code] = {}
        self._missed: dict[int, Code] = {}

    def add(self, code: Code) -> None:
        """Keep what is needed of a code that has just been settled."""
        sequence = code.sequence
        sent_ns = code.sent_ns if code.owed and code.sent_ns is not None else _UNOWED
        if len(self._sent) <= sequence:
            more = sequence + 1 - len(self._sent)
            self._sent.extend([_UNSETTLED] * more)
            self._texts.extend([_NO_TIME] * more)
        self._sent[sequence] = sent_ns
        self._texts[sequence] = _NO_TIME if code.text_ns is None else code.text_ns
        self.count += 1
        self.newest_ns = max(self.newest_ns, sent_ns)
        if code.missing is None:
            self._keep_a_while(code)
        else:
            self._keep(code)

    def find(self, sequence: int) -> Code | None:
        """A settled code; None if it is not settled, or there is none."""
        found = self._recent.get(sequence) or self._missed.get(sequence)
        if found is None and sequence < len(self._sent) and self._sent[sequence] != _UNSETTLED:
            sent_ns = self._sent[sequence]
            text_ns = self._texts[sequence]
            found = Code(sequence, sent_ns or None)
            found.text_ns = None if text_ns == _NO_TIME else text_ns
            found.copies = None
            found.announced = True
            found.owed = sent_ns != _UNOWED
        return found

    def sent_since(self, at_ns: int) -> Iterator[Code]:
        """The codes that are owed and were sent at a time (wall clock, ns) or later."""
        if at_ns <= self.newest_ns:
            for sequence, sent_ns in enumerate(self._sent):
                if sent_ns >= at_ns and sent_ns != _UNOWED and (code := self.find(sequence)):
                    yield code

    def missed_since(self, at_ns: int) -> Iterator[Code]:
        """Those of them that somebody misses."""
        if at_ns <= self.newest_missed_ns:
            for code in list(self._missed.values()):
                if code.sent_ns is not None and code.sent_ns >= at_ns:
                    yield code

    def misses(self, code: Code, session: Session) -> None:
        """A session that has just begun misses a settled code."""
        if code.missing is None:
            code.missing = Bits(session.number, session.number)
            self._recent.pop(code.sequence, None)
            self._keep(code)
        code.missing.add(session)

    def no_longer_misses(self, code: Code, session: Session) -> bool:
        """Note that a session does not miss a code any more; whether it did."""
        if code.missing is None or not code.missing.remove(session):
            return False
        if not code.missing:
            code.missing = None
            del self._missed[code.sequence]
            self._keep_a_while(code)
        return True

    def _keep(self, code: Code) -> None:
        self._missed[code.sequence] = code
        self.newest_missed_ns = max(self.newest_missed_ns, code.sent_ns or 0)

    def _keep_a_while(self, code: Code) -> None:
        self._recent[code.sequence] = code
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
