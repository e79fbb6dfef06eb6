"""An independent witness: the packets of the server, with the kernel's timestamps.

A packet socket gets each packet when the kernel hands it to the loopback interface, with a
timestamp. That is before the kernel stamps it for the receiving socket, and independent of
the measured program.

Arguments: the server's port, and the file to write on SIGTERM: for each packet with data the
client's port, the number of bytes, and the time (wall clock, ns), as array('Q').
Needs root privileges.
"""

from __future__ import annotations

import array
import ctypes
import os
import signal
import socket
import struct
import sys
from pathlib import Path

# Linux constants that the socket module lacks (asm-generic/socket.h, linux/if_ether.h,
# linux/if_packet.h).
_SO_ATTACH_FILTER, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 26, 33, 35
# Outgoing packets are shown only to sockets for all protocols.
ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
#: Room for the packets of several broadcasts: this process has the lowest priority.
BUFFER_BYTES = 1 << 29
#: The length of a packet that includes all headers.
SNAP_BYTES = 120

# Instructions (linux/bpf_common.h): code, jump if true, jump if false, operand.
_LOAD_TYPE = (0x20, 0, 0, 0xFFFFF000 + 4)  # SKF_AD_OFF + SKF_AD_PKTTYPE
_LOAD_PROTOCOL = (0x30, 0, 0, 9)
_LOAD_HEADER_LENGTH = (0xB1, 0, 0, 0)
_LOAD_SOURCE_PORT = (0x48, 0, 0, 0)
_LOAD_DESTINATION_PORT = (0x48, 0, 0, 2)
_PACKET_OUTGOING, _TCP = 4, 6


def main(port: int, path: Path) -> None:
    """Collect packets until SIGTERM, then write them."""
    os.nice(19)
    seen = array.array("Q")
    kind = socket.SOCK_DGRAM  # packets from their IP header on
    with socket.socket(socket.AF_PACKET, kind, socket.htons(ETH_P_ALL)) as packets:
        accept_only(packets, port)
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
                if size := (packet[2] << 8 | packet[3]) - headers:
                    seconds, nanoseconds = timespec.unpack(ancillary[0][2])
                    seen.append(packet[at + 2] << 8 | packet[at + 3])
                    seen.append(size)
                    seen.append(seconds * 1_000_000_000 + nanoseconds)
        finally:
            with path.open("wb") as file:
                seen.tofile(file)
            statistics = packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
            print(f"dropped {struct.unpack('@II', statistics)[1]}", flush=True)


def accept_only(packets: socket.socket, port: int, *, both_ways: bool = False) -> None:
    """Accept only packets that leave from a TCP port; those to it as well if both ways count."""
    to_it = [(0x15, 2, 0, port), _LOAD_DESTINATION_PORT] if both_ways else []
    program = [
        _LOAD_TYPE,
        (0x15, 0, 6 + len(to_it), _PACKET_OUTGOING),
        _LOAD_PROTOCOL,
        (0x15, 0, 4 + len(to_it), _TCP),
        _LOAD_HEADER_LENGTH,
        _LOAD_SOURCE_PORT,
        *to_it,
        (0x15, 0, 1, port),
        (0x06, 0, 0, 0xFFFFFFFF),
        (0x06, 0, 0, 0),
    ]
    code = b"".join(struct.pack("@HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    sock_fprog = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, sock_fprog)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
