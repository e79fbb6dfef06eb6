"""An independent witness of connects: the first packets of each connection, both ways.

Like capture.py, but for each client's port: when its SYN, the SYN-ACK, the first data of the client
and the first data of the server left (wall clock, ns), as array('Q') with the port before them.
Connections whose first data is another request are left out.
Arguments: the server's port, how the request begins, and the file to write on SIGTERM. Needs root
privileges.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import struct
import sys
from pathlib import Path

from bench.clients.capture import (
    BUFFER_BYTES,
    ETH_P_ALL,
    PACKET_STATISTICS,
    SNAP_BYTES,
    SO_RCVBUFFORCE,
    SO_TIMESTAMPNS,
    SOL_PACKET,
    accept_only,
)

_SYN, _SYN_ACK, _REQUEST, _RESPONSE = range(4)


def main(port: int, request: bytes, path: Path) -> None:
    """Collect the first packets of each connection until SIGTERM, then write them."""
    os.nice(-5)
    seen: dict[int, list[int]] = {}
    earlier: list[tuple[int, list[int]]] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as packets:
        accept_only(packets, port, both_ways=True)
        packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        packets.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        packets.bind(("lo", ETH_P_ALL))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        print("ready", flush=True)
        timespec = struct.Struct("@ll")
        try:
            while True:
                packet, ancillary, _, _ = packets.recvmsg(SNAP_BYTES, 64)
                at = (packet[0] & 0x0F) * 4
                headers = at + (packet[at + 12] >> 4) * 4
                has_data = (packet[2] << 8 | packet[3]) > headers
                syn = packet[at + 13] & 0x02
                if not (has_data or syn):
                    continue
                source = packet[at] << 8 | packet[at + 1], packet[at + 2] << 8 | packet[at + 3]
                by_server = source[0] == port
                which = (
                    (_SYN_ACK if syn else _RESPONSE) if by_server else (_SYN if syn else _REQUEST)
                )
                times = seen.setdefault(source[by_server], [0, 0, 0, 0])
                if which == _SYN and all(times):
                    # A later connection from the same port.
                    earlier.append((source[by_server], times))
                    times = seen[source[by_server]] = [0, 0, 0, 0]
                is_first = which == _REQUEST and not times[which]
                if is_first and not packet.startswith(request, headers):
                    del seen[source[by_server]]
                    continue
                if not times[which]:
                    seconds, nanoseconds = timespec.unpack(ancillary[0][2])
                    times[which] = seconds * 1_000_000_000 + nanoseconds
        finally:
            rows = array.array("Q")
            for number, times in [*earlier, *seen.items()]:
                if all(times):
                    rows.extend([number, *times])
            with path.open("wb") as file:
                rows.tofile(file)
            statistics = packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
            print(f"dropped {struct.unpack('@II', statistics)[1]}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2].encode(), Path(sys.argv[3]))
