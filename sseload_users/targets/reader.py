"""What a connection's messages mean to its transport: they confirm, refuse, or want an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from sseload_users.targets.messages import Said, cause_of, means
from sseload_users.targets.messages import said as messages_in
from sseload_users.targets.profile import Profile
from sseload_users.targets.requests import capture
from sseload_users.targets.template import Json
from sseload_users.transports import Malformed, ParsedMessage


class MessageReader:
    """Reads messages as a profile says, for all of its connections.

    Args:
        profile: the target's.
    """

    def __init__(self, profile: Profile) -> None:
        self._transport = profile.transport
        self._spec = profile.spec
        self._newest: tuple[bytes, tuple[Said, ...]] = (b"", ())

    def confirms(
        self, values: Mapping[str, str], on_captured: Callable[[Mapping[str, str]], None]
    ) -> Callable[[bytes], bool] | None:
        """What says of a message whether it confirms the subscription.

        Args:
            values: those of the connection.
            on_captured: is given what such a message gives.

        Raises:
            UnknownNameError: a name has no value.
        """
        if self._spec.confirm is None:
            return None
        confirm = self._spec.confirm.filled(values)

        def confirms(payload: bytes) -> bool:
            what = next((each for each in self.said(payload) if means(confirm, each)), None)
            if what is not None and confirm.capture:
                on_captured(capture(confirm.capture, what.text, what.value))
            return what is not None

        return confirms

    def refuses(
        self, values: Mapping[str, str], hide: Callable[[str], str]
    ) -> Callable[[bytes], str | None] | None:
        """What says of a message with which cause it refuses the subscription, if it does.

        Args:
            values: those of the connection.
            hide: takes secrets out of the server's words.

        Raises:
            UnknownNameError: a name has no value.
        """
        if not self._spec.refuse:
            return None
        messages = [each.filled(values) for each in self._spec.refuse]

        def refuses(payload: bytes) -> str | None:
            for what in self.said(payload):
                for refuse in messages:
                    if means(refuse, what):
                        return cause_of(refuse, what, hide)
            return None

        return refuses

    def replies(
        self, values: Mapping[str, str], frame: Callable[[Json, Mapping[str, str]], str]
    ) -> Callable[[bytes], str | None] | None:
        """What says with what to answer a message; it is made now, and cannot fail later.

        Args:
            values: those of the connection.
            frame: makes a message of what the profile sends.

        Raises:
            UnknownNameError: a name has no value.
        """
        if not self._spec.reply:
            return None
        answers = [(each.filled(values), frame(each.send, values)) for each in self._spec.reply]

        def reply(payload: bytes) -> str | None:
            for what in self.said(payload):
                for message, answer in answers:
                    if means(message, what):
                        return answer
            return None

        return reply

    @cached_property
    def _event(self) -> Callable[[bytes], ParsedMessage | None]:
        from sseload_users.transports.registry import transport_for

        return transport_for(self._transport).parse

    def said(self, payload: bytes) -> tuple[Said, ...]:
        """The messages in a payload; the newest one's are remembered for the next question."""
        if self._newest[0] != payload:
            try:
                event = self._event(payload)
            except Malformed:
                event = None
            found = () if event is None else tuple(messages_in(event, lines=self._spec.lines))
            self._newest = (payload, found)
        return self._newest[1]
