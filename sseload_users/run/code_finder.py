"""What finds codes in a transport's messages, and remembers what it found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sseload_users.core.sessions import TrackedCode
from sseload_users.targets import Target
from sseload_users.transports import Malformed, ParsedMessage

if TYPE_CHECKING:
    from sseload_users.run.worker_run import WorkerRun

#: Distinct payloads that are remembered, decoded, and the bytes of one that may be: a server
#: that pads its messages does not fill the memory.
_REMEMBERED, _LONGEST_REMEMBERED = 1024, 16384


class CodeFinder:
    """Finds codes in messages; what it found is remembered, as a broadcast has many copies.

    Attributes:
        known: codes by the payloads that carry just one. Whoever reads messages looks here
            first, and asks `look` about what is not there.
    """

    def __init__(
        self, station: WorkerRun, target: Target, event: Callable[[bytes], ParsedMessage | None]
    ) -> None:
        self.known: dict[bytes, TrackedCode] = {}
        self._station = station
        self._target = target
        self._event = event
        self._read = station.shape(target).parse

    def look(self, payload: bytes) -> list[TrackedCode]:
        """The codes that a message carries; it is counted if it carries none of this run's."""
        try:
            texts = self.texts(payload)
        except Malformed as error:
            self._station.malformed(error.cause)
            return []
        readings = [reading for text in texts if (reading := self._read(text)) is not None]
        if not readings:
            self._station.counters.foreign += 1
            return []
        codes = [self._station.ledger.code(each.sequence, each.sent_ns) for each in readings]
        if len(codes) == 1:
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            if len(payload) <= _LONGEST_REMEMBERED:
                self.known[payload] = codes[0]
            self._station.note_size(len(payload))
        return codes

    def find(self, payload: bytes) -> list[tuple[str, TrackedCode]]:
        """Return this run's codes in a message, with their texts; counts nothing."""
        try:
            texts = self.texts(payload)
        except Malformed:
            return []
        ledger = self._station.ledger
        parsed = ((text, self._read(text)) for text in texts)
        return [(text, ledger.code(each.sequence, each.sent_ns)) for text, each in parsed if each]

    def texts(self, payload: bytes) -> list[str]:
        """The texts of the codes that a message carries, of whatever run.

        Raises:
            Malformed: it cannot be decoded.
        """
        event = self._event(payload)
        return [] if event is None else self._target.reader.codes_in(event)
