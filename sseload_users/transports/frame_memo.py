"""The WebSocket frame that was decoded last, for the connections that receive it, too."""

from __future__ import annotations


class FrameMemo:
    """The data frame that one read consisted of, and its payload: the latest of all decoders.

    Most reads are copies of the same broadcast. A decoder that shares it with others compares the
    read instead of decoding it.

    Attributes:
        frame: the frame; empty before the first.
        payload: its payload, which is valid.
    """

    __slots__ = ("frame", "payload")

    def __init__(self) -> None:
        self.frame = self.payload = b""
