"""Codes that listeners emit over their own connections."""

from __future__ import annotations

from collections.abc import Mapping

from sseload_users.targets.code_message import code_message
from sseload_users.targets.filling import channel_values
from sseload_users.targets.identities import Identity
from sseload_users.targets.ingest import ListenerIngestSpec
from sseload_users.targets.target import Target


class Emitting:
    """What a listener sends to have a code broadcast.

    Args:
        target: the target of the listeners.
        ingest: its profile's table about codes.

    Attributes:
        target: as given.
        way: how codes are handed in, in words and without secrets.
        echo: whether the emitter is owed its own code.
    """

    def __init__(self, target: Target, ingest: ListenerIngestSpec) -> None:
        self.target = target
        self.way = target.public()["ingest"]
        self.echo = ingest.echo
        self._ingest = ingest

    @classmethod
    def of(cls, target: Target) -> Emitting | None:
        """Return what listeners send at a target; None if they do not send codes."""
        ingest = target.profile.spec.ingest
        return cls(target, ingest) if isinstance(ingest, ListenerIngestSpec) else None

    def frame(
        self,
        code: str,
        identity: Identity,
        captured: Mapping[str, str],
        channel: str | None = None,
        payload_bytes: int = 0,
    ) -> str | bytes:
        """Return the message that has a code broadcast.

        Args:
            code: the code's text.
            identity: the user that is connected.
            captured: values captured from the server, by name.
            channel: the code's channel; None in a run without channels.
            payload_bytes: size to which it is padded; 0 for no padding.

        Raises:
            ConfigError: a name has no value.
            ConnectFailed: at "subscribe": the server did not give a value.
        """
        filler = self.target.filler
        own = channel_values(() if channel is None else (channel,))
        values = {**filler.values(identity, captured), **own, "code": code}
        return code_message(filler, self._ingest, values, payload_bytes)
