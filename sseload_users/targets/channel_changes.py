"""What a connection says to join and to leave channels while it listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sseload_users.core.errors import ConfigError
from sseload_users.targets.audience_spec import AudienceSpec, ChannelMessage
from sseload_users.targets.filling import channel_values
from sseload_users.targets.identities import Identity
from sseload_users.targets.messages import matches
from sseload_users.targets.reader import MessageReader
from sseload_users.targets.schema import MessageSpec
from sseload_users.targets.target import Target
from sseload_users.targets.template import UnknownNameError


@dataclass(frozen=True, slots=True)
class ChannelRequest:
    """A message that asks to join or to leave a channel.

    Attributes:
        frame: the message.
        confirm: the message that confirms it; None if nothing does.
    """

    frame: str | bytes
    confirm: MessageSpec | None

    def is_confirmed_in(self, payload: bytes, reader: MessageReader) -> bool:
        """Whether a payload has the message that confirms it."""
        return self.confirm is not None and any(
            matches(self.confirm, what) for what in reader.messages(payload)
        )


class ChannelChanges:
    """Makes the messages by which connections of a target change their channels.

    Args:
        target: the target.

    Attributes:
        can_leave: whether there is a message to leave a channel; otherwise a connection leaves
            one by joining another.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        spec = target.profile.spec.audience
        self._spec = AudienceSpec(channel="{channel}") if spec is None else spec
        self.can_leave = self._spec.leave is not None

    def check(self) -> None:
        """Check that the profile says how to join a channel.

        Raises:
            ConfigError: it does not.
        """
        if self._spec.join is None:
            raise ConfigError(
                f"target {self._target.profile.name} does not say how a connection changes its "
                "channel: give join, and the message that confirms it, in the profile's [audience]."
            )

    def join(self, channel: str, identity: Identity, captured: Mapping[str, str]) -> ChannelRequest:
        """Return what a user says to join a channel.

        Args:
            channel: the channel.
            identity: the user.
            captured: values captured from the server, by name.

        Raises:
            ConfigError: the profile has no such message, or a name has no value.
            ConnectFailed: at "subscribe": the server did not give a value.
        """
        self.check()
        return self._request(
            "join", self._spec.join, self._spec.joined, channel, identity, captured
        )

    def leave(
        self, channel: str, identity: Identity, captured: Mapping[str, str]
    ) -> ChannelRequest:
        """Return what a user says to leave a channel; see `join`."""
        if not self.can_leave:
            raise ConfigError(
                f"target {self._target.profile.name} does not say how a connection leaves a "
                "channel: give leave in the profile's [audience]."
            )
        return self._request(
            "leave", self._spec.leave, self._spec.left, channel, identity, captured
        )

    def _request(
        self,
        key: str,
        message: ChannelMessage | None,
        confirm: MessageSpec | None,
        channel: str,
        identity: Identity,
        captured: Mapping[str, str],
    ) -> ChannelRequest:
        filler = self._target.filler
        values = {**filler.values(identity, captured), **channel_values((channel,))}
        frame = None if message is None else message.frame
        assert frame is not None  # noqa: S101
        try:
            filled = None if confirm is None else confirm.filled(values)
        except UnknownNameError as error:
            raise filler.missing(error.name, f"audience.{key}") from None
        return ChannelRequest(filler.message_at(f"audience.{key}", frame, values), filled)
