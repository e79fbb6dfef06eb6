"""What a connect took, in its parts."""

from __future__ import annotations


class ConnectTimes:
    """The parts of one connect, in nanoseconds, by the kernel's stamps.

    Each part lasts from the arrival that ended the part before to the arrival that ended it, less
    the time that this process took from an arrival to what it wrote next.

    Attributes:
        tcp_ns: from the first SYN to the connection, through a proxy included.
        tls_ns: the TLS handshake; 0 without TLS.
        handshake_ns: from the request to the response that accepts; for long polling, and for
            a stream on a connection that was there before, everything up to that response.
        subscription_ns: from there to the message that confirms the subscription; 0 if none does.
        resolve_ns: looking up the host's name. It is not part of the connect time.
        own_ns: all other time that passed meanwhile: delays of this process.
    """

    __slots__ = ("handshake_ns", "own_ns", "resolve_ns", "subscription_ns", "tcp_ns", "tls_ns")

    def __init__(self) -> None:
        self.tcp_ns = 0
        self.tls_ns = 0
        self.handshake_ns = 0
        self.subscription_ns = 0
        self.resolve_ns = 0
        self.own_ns = 0

    @property
    def connect_ns(self) -> int:
        """The connect time: what network and server took."""
        return self.tcp_ns + self.tls_ns + self.handshake_ns + self.subscription_ns
