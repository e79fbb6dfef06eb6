"""Functions for a transport that classify messages: they confirm, refuse, or require a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from sseload_users.targets.messages import ReceivedMessage, matches, messages_in, refusal_cause
from sseload_users.targets.profile import Profile
from sseload_users.targets.requests import capture
from sseload_users.targets.template import Json
from sseload_users.transports import Malformed, ParsedMessage


class MessageReader:
    """Builds the functions by which the connections of a profile classify messages.

    Args:
        profile: says what the messages mean.
    """

    def __init__(self, profile: Profile) -> None:
        self._transport = profile.transport
        self._spec = profile.spec
        self._newest: tuple[bytes, tuple[ReceivedMessage, ...]] = (b"", ())

    def confirms(
        self, values: Mapping[str, str], on_captured: Callable[[Mapping[str, str]], None]
    ) -> Callable[[bytes], bool] | None:
        """Return a function that says whether a message confirms; None if no message needs to.

        Args:
            values: the connection's values by name.
            on_captured: called with the values captured from the message that confirms.

        Raises:
            UnknownNameError: a name has no value.
        """
        if self._spec.confirm is None:
            return None
        confirm = self._spec.confirm.filled(values)

        def confirms(payload: bytes) -> bool:
            what = next((each for each in self.said(payload) if matches(confirm, each)), None)
            if what is not None and confirm.capture:
                on_captured(capture(confirm.capture, what.text, what.value))
            return what is not None

        return confirms

    def refuses(
        self, values: Mapping[str, str], hide: Callable[[str], str]
    ) -> Callable[[bytes], str | None] | None:
        """Return a function that returns a refusal's cause, or None; None if no message refuses.

        Args:
            values: the connection's values by name.
            hide: removes secrets from the server's text.

        Raises:
            UnknownNameError: a name has no value.
        """
        if not self._spec.refuse:
            return None
        messages = [each.filled(values) for each in self._spec.refuse]

        def refuses(payload: bytes) -> str | None:
            for what in self.said(payload):
                for refuse in messages:
                    if matches(refuse, what):
                        return refusal_cause(refuse, what, hide)
            return None

        return refuses

    def replies(
        self, values: Mapping[str, str], frame: Callable[[Json, Mapping[str, str]], str]
    ) -> Callable[[bytes], str | None] | None:
        """Return a function that returns the reply to a message, or None; None if there are none.

        The replies are built now, so that nothing can fail later.

        Args:
            values: the connection's values by name.
            frame: builds the message that the profile sends.

        Raises:
            UnknownNameError: a name has no value.
        """
        if not self._spec.reply:
            return None
        answers = [(each.filled(values), frame(each.send, values)) for each in self._spec.reply]

        def reply(payload: bytes) -> str | None:
            for what in self.said(payload):
                for message, answer in answers:
                    if matches(message, what):
                        return answer
            return None

        return reply

    @cached_property
    def _event(self) -> Callable[[bytes], ParsedMessage | None]:
        from sseload_users.transports.registry import transport_for

        return transport_for(self._transport).parse

    def said(self, payload: bytes) -> tuple[ReceivedMessage, ...]:
        """Return the messages in a payload; those of the latest payload are cached."""
        if self._newest[0] != payload:
            try:
                event = self._event(payload)
            except Malformed:
                event = None
            found = () if event is None else tuple(messages_in(event, lines=self._spec.lines))
            self._newest = (payload, found)
        return self._newest[1]
