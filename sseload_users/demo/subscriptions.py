"""Who is subscribed to what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sseload_users.demo.broadcast import Subscription

#: The channel of codes and subscriptions that name none.
EVERYBODY = ""


def channels_in(text: str) -> tuple[str, ...]:
    """Return the channels in a comma-separated list; that of everybody if there are none."""
    return tuple(dict.fromkeys(filter(None, text.split(",")))) or (EVERYBODY,)


def index_in(text: str) -> int | None:
    """Return the index of a code, as a client gives it; None if it is not one."""
    return int(text) if text.isascii() and text.isdigit() else None


class Subscriptions:
    """The open subscriptions, by channel."""

    def __init__(self) -> None:
        self._all: dict[Subscription, None] = {}
        self._in: dict[str, dict[Subscription, None]] = {}

    def __contains__(self, subscription: object) -> bool:
        """Whether a subscription is open."""
        return subscription in self._all

    def __iter__(self) -> Iterator[Subscription]:
        """Iterate over all, in the order in which they began."""
        return iter(list(self._all))

    def add(self, subscription: Subscription) -> None:
        """Add a subscription."""
        self._all[subscription] = None
        for channel in subscription.channels:
            self._in.setdefault(channel, {})[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        """Remove a subscription, unless that was done."""
        self._all.pop(subscription, None)
        for channel in subscription.channels:
            self._in.get(channel, {}).pop(subscription, None)

    def leave(self, subscription: Subscription, channel: str) -> None:
        """End a subscription to one of its channels; the others go on."""
        self._in.get(channel, {}).pop(subscription, None)
        subscription.channels = tuple(each for each in subscription.channels if each != channel)

    def members(self, channel: str) -> Mapping[Subscription, None]:
        """Return the subscriptions to a channel."""
        return self._in.get(channel, {})

    def outsiders(self, channel: str) -> list[Subscription]:
        """Return one subscription of each connection that is not subscribed to a channel."""
        inside = {each.subscriber for each in self.members(channel)}
        found = {each.subscriber: each for each in self._all if each.subscriber not in inside}
        return list(found.values())

    def other_than(self, channel: str) -> str | None:
        """Return the channel after a channel, in the order in which they got members.

        None if no other channel has members.
        """
        channels = [each for each, members in self._in.items() if members or each == channel]
        if channel not in channels:
            return channels[0] if channels else None
        index = channels.index(channel) + 1
        following = channels[index % len(channels)]
        return None if following == channel else following
