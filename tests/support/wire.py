"""Bytes on the wire: frames, chunks and handshakes for tests."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import struct

from hypothesis import strategies as st

from tests.support.socket_servers import read_until


def frame(
    first: int,
    payload: bytes,
    *,
    mask: bytes | None = None,
    form: int = 0,
    length: int | None = None,
) -> bytes:
    """Return a WebSocket frame.

    Args:
        first: FIN, reserved bits and opcode.
        payload: unmasked.
        mask: masks the payload, as only clients do.
        form: the shortest form of the length: 0, 126 or 127.
        length: claimed in place of the true one.
    """
    size = len(payload) if length is None else length
    if size > 0xFFFF or form == 127:
        head = bytes([first, 127]) + struct.pack("!Q", size)
    elif size > 125 or form == 126:
        head = bytes([first, 126]) + struct.pack("!H", size)
    else:
        head = bytes([first, size])
    if mask is None:
        return head + payload
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([head[0], head[1] | 0x80]) + head[2:] + mask + body


def unmask(data: bytes) -> tuple[int, bytes]:
    """Return the first byte and the payload of a client's short frame."""
    assert data[1] & 0x80, "a client masks"
    mask, body = data[2:6], data[6:]
    assert len(body) == data[1] & 0x7F
    return data[0], bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))


def accept_websocket(connection: socket.socket) -> bytes:
    """Read a WebSocket handshake's request; return the response that accepts it."""
    return acceptance_of(read_until(connection, b"\r\n\r\n"))


def acceptance_of(request: bytes) -> bytes:
    """Return the response that accepts a WebSocket handshake."""
    key = next(
        line.split(b":", 1)[1].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
    )


def chunk(data: bytes, extension: bytes = b"", form: str = "x") -> bytes:
    """Return a chunk of an HTTP/1.1 body."""
    return f"{len(data):{form}}".encode() + extension + b"\r\n" + data + b"\r\n"


def share(arrived_ns: int, empty_ns: int | None) -> int:
    """Mark a stamp that is not a message's own."""
    assert empty_ns == empty_before(arrived_ns)
    return -arrived_ns


def empty_before(arrived_ns: int) -> int | None:
    """Return the lower bound that tests pass along with an arrival."""
    return arrived_ns - 1 if arrived_ns else None


@st.composite
def cut_stream(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> list[bytes]:
    """Cut an event stream into reads: byte by byte, block by block, or anywhere."""
    stream = draw(data)
    how = draw(st.sampled_from(["bytes", "blocks", "anywhere"]))
    if how == "bytes":
        return [stream[i : i + 1] for i in range(len(stream))]
    if how == "blocks":
        return [read for read in re.findall(rb"(?s)(.*?(?:\n\n|\r\n\r\n|\Z))", stream) if read]
    places = sorted(draw(st.sets(st.integers(1, max(len(stream) - 1, 1)), max_size=8)))
    reads = [stream[at:end] for at, end in zip([0, *places], [*places, None], strict=True)]
    return [read for read in reads if read]


def receive_frame(connection: socket.socket) -> tuple[int, bytes]:
    """Receive a client's short frame; return its first byte and its payload.

    At the end of the stream both are empty.
    """
    head = _receive(connection, 2)
    if len(head) < 2:
        return 0, b""
    return unmask(head + _receive(connection, 4 + (head[1] & 0x7F)))


def _receive(connection: socket.socket, size: int) -> bytes:
    # TLS sockets know no MSG_WAITALL.
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data
