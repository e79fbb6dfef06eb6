"""What a listener's `on_code` gets: one arrival of one code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of one of this run's codes, as one connection received it."""

    text: str
    """The code as the server sent it."""

    sequence: int
    """Its sequence number in the run, from 1."""

    sent_ns: int | None
    """When it was sent: wall clock, nanoseconds since the Unix epoch. None as long as this
    worker does not know, which only happens where the code's text contains no time."""

    arrived_ns: int
    """When it arrived: the kernel's receive timestamp where there is one, wall clock,
    nanoseconds since the Unix epoch."""

    session: int
    """Which of this connection's sessions received it, from 1; a reconnect starts a new one."""

    duplicate: bool
    """Whether this session had received the code before."""

    @property
    def latency_ms(self) -> float | None:
        """Delivery latency in milliseconds; None if `sent_ns` is None."""
        return None if self.sent_ns is None else (self.arrived_ns - self.sent_ns) / 1e6
