"""Finding codes in a transport's messages; a message with many copies is decoded once."""

from __future__ import annotations

from collections.abc import Callable

from sseload_users.core.codes import CodeShape
from sseload_users.core.ledger import Ledger
from sseload_users.core.sessions import TrackedCode
from sseload_users.run.operation_counters import OperationCounters
from sseload_users.targets import Target
from sseload_users.transports import Malformed, ParsedMessage

#: Limits of the memo, so that a server that pads its messages does not fill the memory:
#: number of distinct payloads, and bytes of one of them.
_MAX_REMEMBERED, _MAX_REMEMBERED_BYTES = 1024, 16384


class CodeFinder:
    """Finds codes in messages, and remembers them by the messages' bytes.

    Args:
        target: knows where a message has its code.
        shape: the shape of this run's codes.
        parse: the transport's parser of messages.
        ledger: has the codes of this run.
        operations: counts messages without a code of this run.
        on_size: called with the size of a message with one code, in bytes.

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
    ) -> None:
        self.known: dict[bytes, TrackedCode] = {}
        self._target = target
        self._parse = parse
        self._read = shape.parse
        self._ledger = ledger
        self._operations = operations
        self._on_size = on_size

    def codes_in(self, payload: bytes) -> list[TrackedCode]:
        """Return this run's codes in a message; count the message if it has none."""
        try:
            texts = self.texts(payload)
        except Malformed as error:
            self._operations.count_malformed(error.cause)
            return []
        readings = [reading for text in texts if (reading := self._read(text)) is not None]
        if not readings:
            self._operations.counters.foreign += 1
            return []
        codes = [self._ledger.code(each.sequence, each.sent_ns) for each in readings]
        if len(codes) == 1:
            if len(self.known) >= _MAX_REMEMBERED:
                self.known.clear()
            if len(payload) <= _MAX_REMEMBERED_BYTES:
                self.known[payload] = codes[0]
            self._on_size(len(payload))
        return codes

    def find(self, payload: bytes) -> list[tuple[str, TrackedCode]]:
        """Return this run's codes in a message, with their texts; counts nothing."""
        try:
            texts = self.texts(payload)
        except Malformed:
            return []
        parsed = ((text, self._read(text)) for text in texts)
        return [
            (text, self._ledger.code(each.sequence, each.sent_ns)) for text, each in parsed if each
        ]

    def texts(self, payload: bytes) -> list[str]:
        """Return the texts of the codes in a message, whatever run they belong to.

        Raises:
            Malformed: the message cannot be decoded.
        """
        message = self._parse(payload)
        return [] if message is None else self._target.reader.codes_in(message)
