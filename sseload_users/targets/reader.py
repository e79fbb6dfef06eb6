"""Interpret received messages: confirmations, refusals, required replies and codes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from sseload_users.targets.filling import Filler
from sseload_users.targets.messages import (
    ReceivedMessage,
    find_codes,
    matches,
    messages_in,
    refusal_cause,
)
from sseload_users.targets.profile import Profile
from sseload_users.targets.requests import capture
from sseload_users.targets.schema import CodeSpec, MessageSpec
from sseload_users.targets.template import UnknownNameError
from sseload_users.transports import Malformed, ParsedMessage
from sseload_users.transports.endpoint import Reply

#: Limits of the payloads whose replies are remembered: their number, and bytes of one of them.
_MAX_REMEMBERED, _MAX_REMEMBERED_BYTES = 256, 4096


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
        self._newest: tuple[bytes | None, tuple[ReceivedMessage, ...]] = (None, ())
        # What is to be answered in payloads, where that is the same for all connections.
        self._known_replies: dict[bytes, tuple[int, ...]] = {}

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

    def replies(self, values: Mapping[str, str]) -> Reply | None:
        """Return a function that answers a payload; None if no message requires a reply.

        The replies are built now, so that nothing can fail later.

        Args:
            values: the connection's values by name.

        Raises:
            UnknownNameError: a name has no value.
        """
        if not self._spec.reply:
            return None
        messages = [each.filled(values) for each in self._spec.reply]
        texts = [self._filler.message(each.send, values) for each in self._spec.reply]
        # Conditions without names are returned as they are.
        same_for_all = all(map(operator.is_, messages, self._spec.reply))
        known = self._known_replies if same_for_all else {}

        def reply(payload: bytes, send: Callable[[str], object]) -> None:
            wanted = known.get(payload)
            if wanted is None:
                wanted = self._replies_to(payload, messages)
                if len(payload) <= _MAX_REMEMBERED_BYTES and same_for_all:
                    if len(known) >= _MAX_REMEMBERED:
                        known.clear()
                    known[payload] = wanted
            for index in wanted:
                send(texts[index])

        return reply

    def _replies_to(self, payload: bytes, wanting: Sequence[MessageSpec]) -> tuple[int, ...]:
        """Return the indices of the replies to the messages in a payload, in their order."""
        found = (
            next((index for index, each in enumerate(wanting) if matches(each, what)), None)
            for what in self.messages(payload)
        )
        return tuple(index for index in found if index is not None)

    def codes_in(
        self, event: ParsedMessage, on_malformed: Callable[[str], object] = lambda _: None
    ) -> list[str]:
        """Return the texts of the codes in a payload, in their order.

        Args:
            event: what the transport received.
            on_malformed: called with a countable cause for each message that should be JSON
                but is not.
        """
        code = self._code
        if isinstance(event.data, bytes) and (code.field is not None or code.fields):
            on_malformed("not UTF-8")
        texts: list[str] = []
        for what in messages_in(event, self._spec):
            try:
                texts += find_codes(code, what)
            except Malformed as error:
                on_malformed(error.cause)
        return texts

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
            found = () if event is None else tuple(messages_in(event, self._spec))
            self._newest = (payload, found)
        return self._newest[1]
