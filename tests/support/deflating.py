"""A server's side of permessage-deflate, for tests."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.support.wire import frame

_TAIL = b"\x00\x00\xff\xff"


@dataclass
class MessageDeflater:
    """Compresses messages as a server does (RFC 7692 §7.2.1).

    Attributes:
        fresh: whether each message is compressed by itself.
        window_bits: size of the window; zlib's smallest is 9.
    """

    fresh: bool = False
    window_bits: int = 15
    _compressor: Any = field(default=None, repr=False)

    def deflate(self, message: bytes) -> bytes:
        if self.fresh or self._compressor is None:
            self._compressor = zlib.compressobj(wbits=-self.window_bits)
        data: bytes = self._compressor.compress(message)
        data += self._compressor.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(_TAIL)
        return data.removesuffix(_TAIL)

    def frame(self, message: bytes, opcode: int = 1) -> bytes:
        """Return a message in one frame."""
        return frame(0xC0 | opcode, self.deflate(message))
