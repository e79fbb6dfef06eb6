"""The table about channels: which a connection subscribes to, and how it changes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sseload_users.targets.schema import MessageSpec, Table, requires
from sseload_users.targets.session_spec import SendTable
from sseload_users.targets.template import names_in
from sseload_users.targets.texts import texts


class ChannelMessage(SendTable):
    """A message by which a connection joins or leaves a channel."""

    model_config = requires("oneOf", "send", "send_hex", "send_base64")

    @model_validator(mode="after")
    def _says_something(self) -> ChannelMessage:
        if self.frame is None:
            raise ValueError("missing message: give send")
        return self


class AudienceSpec(Table):
    """The channels that a connection subscribes to, and how it joins and leaves them later."""

    model_config = requires("oneOf", "channel", "channels")

    channel: str | None = Field(None, min_length=1)
    """The channel, such as `"{room}"` for a column of the users file. With `--channels`,
    `"{channel}"` is the one that the connection is given."""
    channels: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Several channels: `["{room}", "all"]`."""
    join: ChannelMessage | None = None
    """The message with which a connection that listens joins the channel `{channel}`, for
    `--channel-churn`. Not for server-sent events."""
    joined: MessageSpec | None = None
    """The message that confirms that; from then on the codes of the channel are owed. Without it,
    they are owed a second after `join`."""
    leave: ChannelMessage | None = None
    """The message with which it leaves the channel `{channel}`. Without it, the server ends the
    membership in one channel when the connection joins another. Not for server-sent events."""
    left: MessageSpec | None = None
    """The message that confirms that. The codes of the channel that are sent more than a second
    later, and arrive, are leaks. Without it, that time begins with `leave`."""

    @model_validator(mode="after")
    def _consistent(self) -> AudienceSpec:
        if (self.channel is None) == (not self.channels):
            raise ValueError("give either channel or channels")
        if self.join is None and (self.joined or self.leave):
            raise ValueError("joined and leave require join")
        if self.leave is None and self.left:
            raise ValueError("left requires leave")
        for key in ("join", "leave"):
            table = getattr(self, key)
            if table is not None and not any("channel" in names_in(t.value) for t in texts(table)):
                raise ValueError(f"{key} lacks {{channel}}, the channel to {key}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The texts of all channels' names."""
        return self.channels if self.channel is None else (self.channel,)
