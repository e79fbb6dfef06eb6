"""Content codings (RFC 9110 §8.4.1): what is offered, and decoding piece by piece; no sockets."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

#: Most bytes that are decoded at once; Brotli exceeds that by up to one of its buffers.
_PIECE_BYTES = 65536

# zlib's formats: gzip (RFC 1952), zlib (RFC 1950), and bare deflate (RFC 1951).
_GZIP, _ZLIB, _BARE = 31, 15, -15


class BadContent(Exception):  # noqa: N818 - the server's failure
    """Content that is not in the coding that the server has named."""


class ContentDecoder(Protocol):
    """Decodes the content of one response.

    Attributes:
        excess: whether bytes have come after the coding's own end. Browsers ignore them; they
            do not look for another gzip member there.
    """

    excess: bool

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes decode to, in pieces of bounded size; none is empty.

        Raises:
            BadContent: they are not in this coding.
        """


def accepted_codings(url: str, *, compression: bool) -> str:
    """Return the Accept-Encoding of a request.

    Browsers offer Brotli over TLS only: some proxies spoil what they do not know.

    Args:
        url: of the request.
        compression: whether to offer any.
    """
    if not compression:
        return "identity"
    return "gzip, deflate, br" if urlsplit(url).scheme in ("https", "wss") else "gzip, deflate"


def with_accepted_codings(
    headers: Iterable[tuple[str, str]], url: str, *, compression: bool
) -> dict[str, str]:
    """Return a request's headers, with an Accept-Encoding if they have none."""
    given = dict(headers)
    if "accept-encoding" not in map(str.lower, given):
        given["Accept-Encoding"] = accepted_codings(url, compression=compression)
    return given


def is_identity(coding: str) -> bool:
    """Whether a Content-Encoding changes nothing.

    "none" is not registered; servers send it so that proxies do not compress their streams.
    """
    return coding in ("", "identity", "none")


def decoder_for(coding: str) -> ContentDecoder | None:
    """Return a decoder for a Content-Encoding; None for one that changes nothing.

    Raises:
        LookupError: the coding is not known.
    """
    name = coding.strip().lower()
    return None if is_identity(name) else _DECODERS[name]()


class _ZlibDecoder:
    """Decodes gzip; deflate, which is zlib by its specification and bare in some servers.

    Args:
        wbits: zlib's format; None to tell it by the first two bytes.
    """

    def __init__(self, wbits: int | None) -> None:
        self.excess = False
        self._first = b""
        self._inflater: Any = None if wbits is None else zlib.decompressobj(wbits)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """See `ContentDecoder`."""
        if self._inflater is None:
            self._first = data = self._first + data
            if len(data) < 2:
                return
            self._first = b""
            # A zlib header (RFC 1950 §2.2).
            is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._inflater = zlib.decompressobj(_ZLIB if is_zlib else _BARE)
        inflater, full = self._inflater, True
        self.excess = self.excess or inflater.eof
        while full and not inflater.eof:
            try:
                piece = inflater.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise BadContent(str(error)) from error
            data = inflater.unconsumed_tail
            full = len(piece) == _PIECE_BYTES
            self.excess = bool(inflater.unused_data)
            if piece:
                yield piece


class _BrotliDecoder:
    """Decodes Brotli (RFC 7932)."""

    def __init__(self) -> None:
        import brotli

        self.excess = False
        self._decompressor: Any = brotli.Decompressor()
        self._error: type[Exception] = brotli.error

    def decode(self, data: bytes) -> Iterator[bytes]:
        """See `ContentDecoder`."""
        if self._decompressor.is_finished():
            # The library refuses what follows the end in the same piece.
            raise BadContent("data after the end")
        while True:
            try:
                piece = self._decompressor.process(data, output_buffer_limit=_PIECE_BYTES)
            except self._error as error:
                raise BadContent(str(error)) from error
            if piece:
                yield piece
            full = len(piece) >= _PIECE_BYTES
            if not full and self._decompressor.can_accept_more_data():
                return
            data = b""


_DECODERS: dict[str, Callable[[], ContentDecoder]] = {
    "gzip": lambda: _ZlibDecoder(_GZIP),
    "x-gzip": lambda: _ZlibDecoder(_GZIP),  # RFC 9110 §8.4.1.3
    "deflate": lambda: _ZlibDecoder(None),
    "br": _BrotliDecoder,
}


def decoded_content(data: bytes, coding: str, limit: int) -> bytes:
    """Return the beginning of a response's content.

    Args:
        data: the content as it came, or its beginning.
        coding: its Content-Encoding.
        limit: most bytes of the decoded content.

    Raises:
        BadContent: it is not in that coding, or the coding is not known.
    """
    try:
        decoder = decoder_for(coding)
    except LookupError as error:
        raise BadContent(f"{coding} is not known") from error
    if decoder is None:
        return data[:limit]
    decoded = bytearray()
    for piece in decoder.decode(data):
        decoded += piece
        if len(decoded) >= limit:
            break
    return bytes(decoded[:limit])
