"""Interpret received messages: confirmations, refusals, required replies and codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from sseload_users.targets.filling import Filler
from sseload_users.targets.messages import (
    ReceivedMessage,
    find_code,
    matches,
    messages_in,
    refusal_cause,
)
from sseload_users.targets.profile import Profile
from sseload_users.targets.requests import capture
from sseload_users.targets.schema import CodeSpec
from sseload_users.targets.template import UnknownNameError
from sseload_users.transports import Malformed, ParsedMessage


class MessageReader:
    """Interpret messages according to a profile, for all connections of a target.

    Args:
        profile: the profile.
        filler: fills the profile's texts.
    """

    def __init__(self, profile: Profile, filler: Filler) -> None:
        self._transport = profile.transport
        self._spec = profile.spec
        self._filler = filler
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
            what = next((each for each in self.messages(payload) if matches(confirm, each)), None)
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
            for what in self.messages(payload):
                for refuse in messages:
                    if matches(refuse, what):
                        return refusal_cause(refuse, what, hide)
            return None

        return refuses

    def replies(self, values: Mapping[str, str]) -> Callable[[bytes], str | None] | None:
        """Return a function that returns the reply to a message, or None; None if there are none.

        The replies are built now, so that nothing can fail later.

        Args:
            values: the connection's values by name.

        Raises:
            UnknownNameError: a name has no value.
        """
        if not self._spec.reply:
            return None
        replies = [
            (each.filled(values), self._filler.message(each.send, values))
            for each in self._spec.reply
        ]

        def reply(payload: bytes) -> str | None:
            for what in self.messages(payload):
                for message, text in replies:
                    if matches(message, what):
                        return text
            return None

        return reply

    def codes_in(self, event: ParsedMessage) -> list[str]:
        """Return the texts of the codes in a message; more than one only with ``lines``.

        Raises:
            Malformed: the message should be JSON but is not.
        """
        code = self._code
        if isinstance(event.data, bytes) and (code.field is not None or code.fields):
            raise Malformed("not UTF-8")
        found = (find_code(code, each) for each in messages_in(event, lines=self._spec.lines))
        return [text for text in found if text is not None]

    @cached_property
    def _code(self) -> CodeSpec:
        try:
            return self._spec.code.filled(self._filler.constants)
        except UnknownNameError as error:
            raise self._filler.missing(error.name, "code.fields") from None

    @cached_property
    def _event(self) -> Callable[[bytes], ParsedMessage | None]:
        from sseload_users.transports.registry import transport_for

        return transport_for(self._transport).parse

    def messages(self, payload: bytes) -> tuple[ReceivedMessage, ...]:
        """Return the messages in a payload; those of the latest payload are cached."""
        if self._newest[0] != payload:
            try:
                event = self._event(payload)
            except Malformed:
                event = None
            found = () if event is None else tuple(messages_in(event, lines=self._spec.lines))
            self._newest = (payload, found)
        return self._newest[1]
