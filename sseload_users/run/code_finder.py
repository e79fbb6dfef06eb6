"""Finding codes in a transport's messages; a message with many copies is decoded once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from sseload_users.core.altered_codes import AlteredCodes
from sseload_users.core.codes import CodeShape, ParsedCode
from sseload_users.core.counting import note_overlooked
from sseload_users.core.ledger import Ledger
from sseload_users.core.observed_codes import ObservedCodes
from sseload_users.core.sessions import TrackedCode
from sseload_users.run.operation_counters import OperationCounters
from sseload_users.targets import Target
from sseload_users.transports import Malformed, ParsedMessage

#: Limits of the memo, so that a server that pads its messages does not fill the memory:
#: number of distinct payloads, and bytes of one of them and of all together.
_MAX_REMEMBERED, _MAX_PAYLOAD_BYTES, _MAX_BYTES = 1024, 1 << 20, 1 << 24
#: Different payloads of one code in a row, after which its further ones are not remembered: each
#: connection gets its own, and to keep them would only displace what else the processor's caches
#: have.
_MOST_VARIANTS = 128

_logger = logging.getLogger(__name__)

#: A user class's method that finds the texts of the codes in a message.
FindCodes: TypeAlias = Callable[[bytes], list[str]]


class CodeFinder:
    """Finds codes in messages, and remembers them by the messages' bytes.

    Args:
        target: knows where a message has its codes.
        shape: the shape of this run's codes.
        parse: the transport's parser of messages.
        ledger: has the codes of this run.
        operations: counts messages without a code of this run.
        on_size: called with the size of a message, in bytes per code.
        own: a user class's method that finds the codes instead of the profile.
        observed: the messages that others send; None in a run that sends its own codes.

    Attributes:
        known: codes by the payloads that have exactly one. A reader looks here first, and
            calls `codes_in` for all other payloads.
    """

    def __init__(
        self,
        target: Target,
        shape: CodeShape,
        parse: Callable[[bytes], ParsedMessage | None],
        *,
        ledger: Ledger,
        operations: OperationCounters,
        on_size: Callable[[int], None],
        own: FindCodes | None = None,
        observed: ObservedCodes | None = None,
    ) -> None:
        self.known: dict[bytes, TrackedCode] = {}
        # Codes by the payloads that have several, in their order.
        self._known_several: dict[bytes, tuple[TrackedCode, ...]] = {}
        # Codes by their texts, of messages that have no other.
        self._by_text: dict[str, TrackedCode] = {}
        self._remembered_bytes = 0
        # The code of the latest payload, and how many different ones it had in a row.
        self._latest: TrackedCode | None = None
        self._variants = 0
        self._target = target
        self._parse = parse
        self._shape = shape
        self._ledger = ledger
        self._operations = operations
        self._on_size = on_size
        self._altered = AlteredCodes(shape)
        self._own = own
        self._observed = observed
        # Types of exceptions that are logged already.
        self._logged: set[type[Exception]] = set()

    def codes_in(self, payload: bytes) -> tuple[TrackedCode, ...]:
        """Return this run's codes in a message, in their order; count it if it has none."""
        codes = self._known_several.get(payload)
        if codes is not None:
            return codes
        malformed: list[str] = []
        if self._observed is None:
            codes, altered = self._codes_of(self.texts(payload, malformed.append), payload)
        else:
            sightings, altered = self._sightings(payload, malformed.append), False
            codes = tuple(self._observed.code(*each) for each in sightings)
        for cause in malformed:
            self._operations.count_malformed(cause)
        if codes and not altered:
            self._on_size(len(payload) // len(codes))
            self._remember(payload, codes)
        elif not codes and not malformed:
            self._operations.counters.foreign += 1
        return codes

    def find(self, payload: bytes) -> list[tuple[str, TrackedCode]]:
        """Return this run's codes in a message, with their texts; counts nothing."""
        if self._observed is not None:
            sightings = self._sightings(payload, lambda _: None)
            return [(id_, self._observed.code(id_, sent_ns)) for id_, sent_ns in sightings]
        parsed = ((text, self._shape.parse(text)) for text in self.texts(payload))
        return [
            (text, self._ledger.code(each.sequence, each.sent_ns)) for text, each in parsed if each
        ]

    def texts(
        self, payload: bytes, on_malformed: Callable[[str], object] = lambda _: None
    ) -> list[str]:
        """Return the texts of the codes in a message, whatever run they belong to.

        Args:
            payload: the message.
            on_malformed: called with a countable cause for what cannot be decoded.
        """
        if self._own is not None:
            return self._own_texts(self._own, payload, on_malformed)
        try:
            message = self._parse(payload)
        except Malformed as error:
            on_malformed(error.cause)
            return []
        return [] if message is None else self._target.reader.codes_in(message, on_malformed)

    def _sightings(
        self, payload: bytes, on_malformed: Callable[[str], object]
    ) -> list[tuple[str, int | None]]:
        """Return the ids of the observed messages in a payload, with their times, if any."""
        try:
            message = self._parse(payload)
        except Malformed as error:
            on_malformed(error.cause)
            return []
        return [] if message is None else self._target.reader.sightings_in(message, on_malformed)

    def _own_texts(
        self, own: FindCodes, payload: bytes, on_malformed: Callable[[str], object]
    ) -> list[str]:
        try:
            return [str(each) for each in own(payload)]
        except Exception as error:
            if type(error) not in self._logged:
                self._logged.add(type(error))
                _logger.exception("find_codes raised an exception (logged once for its type)")
            on_malformed(f"find_codes raised {type(error).__name__}")
            return []

    def _codes_of(self, texts: list[str], payload: bytes) -> tuple[tuple[TrackedCode, ...], bool]:
        """Return this run's codes among the texts in a message, and whether one was changed.

        Where each connection gets a payload of its own, the code's text is still the same.
        """
        if len(texts) == 1:
            known = self._by_text.get(texts[0])
            if known is not None and self._shape.count_in(payload) <= 1:
                return (known,), False
        readings = self._read(texts)
        self._note_overlooked(payload, readings)
        altered = self._note_altered(texts)
        codes = tuple(self._ledger.code(each.sequence, each.sent_ns) for each in readings)
        if len(texts) == len(codes) == 1 and not altered:
            if len(self._by_text) >= _MAX_REMEMBERED:
                self._by_text.clear()
            self._by_text[texts[0]] = codes[0]
        return codes, altered

    def _read(self, texts: list[str]) -> list[ParsedCode]:
        return [reading for text in texts if (reading := self._shape.parse(text)) is not None]

    def _note_overlooked(self, payload: bytes, readings: list[ParsedCode]) -> None:
        """Note this run's codes in a message where the profile does not look for them."""
        if self._shape.count_in(payload) > len(readings):
            for each in self._shape.find_all(payload):
                if each not in readings:
                    code = self._ledger.code(each.sequence, each.sent_ns)
                    note_overlooked(self._ledger.tally, code)

    def _note_altered(self, texts: list[str]) -> bool:
        """Note each code that was changed on the way; return whether there was one."""
        found = [how for text in texts if (how := self._altered.how(text))]
        for how in found:
            self._ledger.evidence.came_altered(how)
        return bool(found)

    def _remember(self, payload: bytes, codes: tuple[TrackedCode, ...]) -> None:
        if len(payload) > _MAX_PAYLOAD_BYTES:
            return
        self._variants = self._variants + 1 if codes[0] is self._latest else 0
        self._latest = codes[0]
        if self._variants >= _MOST_VARIANTS:
            return
        remembered = len(self.known) + len(self._known_several)
        self._remembered_bytes += len(payload)
        if remembered >= _MAX_REMEMBERED or self._remembered_bytes > _MAX_BYTES:
            self.known.clear()
            self._known_several.clear()
            self._remembered_bytes = len(payload)
        if len(codes) == 1:
            self.known[payload] = codes[0]
        else:
            self._known_several[payload] = codes
