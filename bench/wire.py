"""Connect times on the wire, from what capture_connects.py has seen."""

from __future__ import annotations

import array
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.children import BenchError, Child, child, python
from bench.generators import CLIENTS


@dataclass(slots=True)
class _Connection:
    """The packets of one connection; a packet has a size in bytes and a time (wall clock, ns).

    Attributes:
        syn_ns: when its SYN left.
        accepted_ns: when its SYN-ACK left; 0 if none did.
        client: the client's packets with data.
        server: the server's packets with data.
    """

    syn_ns: int
    accepted_ns: int = 0
    client: list[tuple[int, int]] = field(default_factory=list)
    server: list[tuple[int, int]] = field(default_factory=list)


@contextlib.contextmanager
def witness(port: int, folder: Path) -> Iterator[Child]:
    """Capture the packets of all connections to a port until the witness is stopped."""
    command = python(str(CLIENTS / "capture_connects.py"), str(port), "packets")
    with child(command, None, folder) as capture:
        capture.wait_until(lambda: "ready" in capture.output(), 10, "the witness")
        yield capture


def connect_times_ms(capture: Child, expected: int, *, tls: bool) -> list[float]:
    """Return the sorted connect times of the subscribers, each the time that it had to wait.

    That is from SYN to SYN-ACK and from the request to the response; with TLS also from the
    client's hello to the server's last handshake message (TLS 1.3, RFC 8446 §2: one round trip).

    Args:
        capture: a witness that was stopped.
        expected: how many there are.
        tls: whether they are encrypted.

    Raises:
        BenchError: packets are missing, or connections differ from what is expected.
    """
    if "dropped 0" not in capture.output():
        raise BenchError("the witness is incomplete")
    # With TLS, a hello comes before the packet with Finished and the request; the server's hello
    # with the rest of its handshake, and two tickets for later connections, before the response.
    request, response = (1, 3) if tls else (0, 0)
    complete = [
        each
        for each in _connections((capture.folder / "packets").read_bytes())
        if each.accepted_ns and len(each.client) > request and len(each.server) > response
    ]
    # Those that send codes have another request.
    sizes = Counter(each.client[request][0] for each in complete)
    usual = sizes.most_common(1)[0][0] if sizes else 0
    times = []
    for each in complete:
        if each.client[request][0] != usual:
            continue
        waited_ns = each.accepted_ns - each.syn_ns
        waited_ns += each.server[response][1] - each.client[request][1]
        if tls:
            waited_ns += each.server[0][1] - each.client[0][1]
        times.append(waited_ns / 1e6)
    if len(times) != expected:
        raise BenchError(f"the witness saw {len(times)} connects of {expected}")
    return sorted(times)


def _connections(packets: bytes) -> list[_Connection]:
    rows = array.array("Q", packets)
    found: list[_Connection] = []
    by_port: dict[int, _Connection] = {}
    for port, by_server, size, at_ns in zip(*(rows[part::4] for part in range(4)), strict=True):
        if not size and not by_server:
            # A later connection may have the same port.
            found.append(_Connection(at_ns))
            by_port[port] = found[-1]
        elif (connection := by_port.get(port)) is None:
            continue
        elif not size:
            connection.accepted_ns = at_ns
        else:
            (connection.server if by_server else connection.client).append((size, at_ns))
    return found
