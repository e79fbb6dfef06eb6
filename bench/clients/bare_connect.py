"""The minimum that a program can do to connect: an epoll loop with one request for all.

Arguments: the server's port, "ws", "wss", "sse" or "sio" (Socket.IO over WebSocket), the number of
connections, how many of them connect at a time, and the file of the certificate authority.
Prints how many seconds that took, and stays until SIGTERM.
"""

from __future__ import annotations

import select
import signal
import socket
import ssl
import sys
import time

_CHANNEL = "bench"
_UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_STREAM = "Accept: text/event-stream\r\n"
_SOCKETIO = "/socket.io/?EIO=4&transport=websocket&username=bench"
# A masked text frame with the packet that joins the default namespace, and what the server sends
# before and after it (the payloads of frames).
_JOIN, _OPEN, _JOINED = b"\x81\x82\0\0\0\x0040", b"0{", b"40{"


def main(port: int, kind: str, connections: int, at_a_time: int, authority: str) -> None:
    """Open the connections, and stay until SIGTERM."""
    headers = _STREAM if kind == "sse" else _UPGRADE
    path = _SOCKETIO if kind == "sio" else f"/sub?id={_CHANNEL}"
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n".encode()
    received: dict[int, bytes] = {}
    context = ssl.create_default_context(cafile=authority) if kind == "wss" else None
    epoll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    connecting: set[int] = set()
    began, done = time.monotonic(), 0
    while done < connections:
        while len(connecting) < at_a_time and len(sockets) < connections:
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            sockets[sock.fileno()] = sock
            connecting.add(sock.fileno())
            epoll.register(sock.fileno(), select.EPOLLOUT)
        for fd, _ in epoll.poll():
            sock = sockets[fd]
            try:
                if context is not None and not isinstance(sock, ssl.SSLSocket):
                    sock = sockets[fd] = context.wrap_socket(
                        sock, server_hostname="127.0.0.1", do_handshake_on_connect=False
                    )
                    epoll.modify(fd, select.EPOLLIN)
                if isinstance(sock, ssl.SSLSocket) and fd in connecting:
                    sock.do_handshake()
                if fd in connecting:
                    sock.send(request)
                    connecting.remove(fd)
                    connecting.add(-fd)
                    epoll.modify(fd, select.EPOLLIN)
                    continue
                answer = sock.recv(4096)
            except ssl.SSLWantReadError:
                continue
            before = received.get(fd, b"")
            answer = before + answer
            if not answer.startswith(b"HTTP/1.1 200" if kind == "sse" else b"HTTP/1.1 101"):
                raise ConnectionError(f"the server answered {answer[:40]!r}")
            if kind == "sio" and _JOINED not in answer:
                if _OPEN in answer and _OPEN not in before:
                    sock.send(_JOIN)
                received[fd] = answer
                continue
            epoll.unregister(fd)
            connecting.remove(-fd)
            done += 1
    print(f"connected within {time.monotonic() - began:.6f} s", flush=True)
    signal.sigwait([signal.SIGTERM])


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
