"""A server's side of compression, for tests."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import brotli

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


class ContentEncoder:
    """Compresses an event stream as a server does.

    Args:
        coding: "gzip", "x-gzip", "deflate", "bare deflate" or "br".
    """

    def __init__(self, coding: str) -> None:
        self._brotli = brotli.Compressor() if coding == "br" else None
        wbits = {"deflate": 15, "bare deflate": -15}.get(coding, 31)
        self._zlib = zlib.compressobj(wbits=wbits)

    def encode(self, data: bytes, *, flush: bool = True) -> bytes:
        """Return compressed bytes: all that stand for the data if they are flushed."""
        if self._brotli is not None:
            encoded: bytes = self._brotli.process(data)
            return encoded + (self._brotli.flush() if flush else b"")
        encoded = self._zlib.compress(data)
        return encoded + (self._zlib.flush(zlib.Z_SYNC_FLUSH) if flush else b"")

    def finish(self) -> bytes:
        """Return the end of the compressed stream."""
        if self._brotli is not None:
            end: bytes = self._brotli.finish()
            return end
        return self._zlib.flush()
