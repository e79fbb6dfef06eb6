"""An independent witness of connects: all packets of each connection that open it or have data.

Like capture.py, but both ways: for each packet the client's port, who sent it (0: the client, 1:
the server), the number of bytes (0: SYN or SYN-ACK), and the time (wall clock, ns), as array('Q').
Arguments: the server's port, and the file to write on SIGTERM. Needs root privileges.
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

_SYN_FLAG = 0x02


def main(port: int, path: Path) -> None:
    """Collect packets until SIGTERM, then write them."""
    os.nice(-5)
    seen = array.array("Q")
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
                size = (packet[2] << 8 | packet[3]) - headers
                if not size and not packet[at + 13] & _SYN_FLAG:
                    continue
                source, target = struct.unpack_from("!HH", packet, at)
                by_server = source == port
                seconds, nanoseconds = timespec.unpack(ancillary[0][2])
                seen.append(target if by_server else source)
                seen.append(by_server)
                seen.append(size)
                seen.append(seconds * 1_000_000_000 + nanoseconds)
        finally:
            with path.open("wb") as file:
                seen.tofile(file)
            statistics = packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
            print(f"dropped {struct.unpack('@II', statistics)[1]}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
