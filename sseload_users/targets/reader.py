"""Interpret received messages: confirmations, refusals, required replies and codes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence, Set
from functools import cached_property
from typing import TypeAlias

from sseload_users.targets.conversation import Conversation
from sseload_users.targets.filling import Filler
from sseload_users.targets.messages import (
    ReceivedMessage,
    find_codes,
    find_sightings,
    matches,
    messages_in,
    refusal_cause,
    server_text_of,
)
from sseload_users.targets.position import Step, steps
from sseload_users.targets.profile import Profile
from sseload_users.targets.schema import CodeSpec, MessageSpec
from sseload_users.targets.session_spec import ReplySpec
from sseload_users.targets.spec import captured_after
from sseload_users.targets.subscription import Subscription
from sseload_users.targets.template import UnknownNameError, names_in
from sseload_users.targets.texts import texts
from sseload_users.transports import Closed, Malformed, ParsedMessage
from sseload_users.transports.endpoint import Confirm, Reply, Send

#: Limits of the payloads whose replies are remembered: their number, and bytes of one of them.
_MAX_REMEMBERED, _MAX_REMEMBERED_BYTES = 256, 4096

#: Messages in a payload, each with the index of the description that it matches.
_Found: TypeAlias = tuple[tuple[int, ReceivedMessage], ...]
#: What was found, by payload.
_Known: TypeAlias = dict[bytes, _Found]


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
        # What payloads give of the position from which a connection resumes.
        self._positions: dict[bytes, tuple[Step, ...]] = {}
        # What is to be answered in payloads, and what ends sessions, where that is the same for
        # all connections.
        self._known_replies: _Known = {}
        self._known_ends: _Known = {}

    def subscribes(self, values: Mapping[str, str], talk: Conversation) -> Confirm | None:
        """Return what takes messages until a connection is subscribed; None if nothing needs to.

        Args:
            values: the connection's values by name.
            talk: carries out the steps.

        Raises:
            UnknownNameError: a name has no value.
        """
        spec = self._spec
        if not spec.confirms and not spec.after:
            return None
        confirms = [each.filled(values) for each in spec.confirms]
        subscription = Subscription(spec.after, confirms, talk)

        def take(payload: bytes, arrived_ns: int, send: Send) -> int | None:
            complete_ns = None
            for what in self.messages(payload):
                complete_ns = complete_ns or subscription.take(what, arrived_ns, send)
            return complete_ns

        return take

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
        messages = [each.filled(values) for each in (*self._spec.refuse, *self._spec.end)]
        if not messages:
            return None

        def refuses(payload: bytes) -> str | None:
            for what in self.messages(payload):
                for refuse in messages:
                    if matches(refuse, what):
                        return refusal_cause(refuse, what, hide)
            return None

        return refuses

    def ends(
        self, values: Mapping[str, str], hide: Callable[[str], str]
    ) -> Callable[[bytes], Closed | None] | None:
        """Return a function that returns how a payload ends the session; None if none ends it.

        Args:
            values: the connection's values by name.
            hide: removes secrets from the server's text.

        Raises:
            UnknownNameError: a name has no value.
        """
        if not self._spec.end:
            return None
        specs = [each.filled(values) for each in self._spec.end]
        ends = self._finder(self._spec.end, specs, self._known_ends)

        def end(payload: bytes) -> Closed | None:
            for index, what in ends(payload):
                spec, words = specs[index], server_text_of(specs[index], what, hide)
                return Closed(
                    "server",
                    refusal_cause(spec, what, hide),
                    reason=words,
                    planned=spec.planned,
                    final=not spec.reconnect,
                )
            return None

        return end

    def replies(self, values: Mapping[str, str], talk: Conversation) -> Reply | None:
        """Return a function that answers a payload; None if no message requires a reply.

        Replies that need nothing from the server are built now, so that nothing can fail later.

        Args:
            values: the connection's values by name.
            talk: carries out the other ones.

        Raises:
            UnknownNameError: a name has no value.
        """
        specs = self._spec.reply
        if not specs:
            return None
        messages = [each.filled(values) for each in specs]
        given = captured_after(self._spec.after)
        frames = [
            None if _depends(each, given) else self._filler.message(each.frame, values)
            for each in specs
        ]
        wanted = self._finder(specs, messages, self._known_replies)

        def reply(payload: bytes, send: Send) -> None:
            for index, what in wanted(payload):
                frame = frames[index]
                if frame is None:
                    talk.reply(specs[index], what, send)
                else:
                    send(frame)

        return reply

    def steps_in(self, payload: bytes) -> tuple[Step, ...]:
        """Return how a payload changes the values of ``[resume]``; of a broadcast only once."""
        resume = self._spec.resume
        if resume is None:
            return ()
        found = self._positions.get(payload)
        if found is None:
            found = tuple(steps(resume, self.messages(payload)))
            if len(self._positions) >= _MAX_REMEMBERED:
                self._positions.clear()
            if len(payload) <= _MAX_REMEMBERED_BYTES:
                self._positions[payload] = found
        return found

    def _finder(
        self, specs: Sequence[MessageSpec], filled: Sequence[MessageSpec], shared: _Known
    ) -> Callable[[bytes], _Found]:
        """Return a function that finds the messages in a payload that match descriptions.

        It returns them with the index of the first description that matches each.

        Args:
            specs: the descriptions, as in the profile.
            filled: the same, with the connection's values.
            shared: remembers what was found, if that is the same for all connections.
        """
        # Conditions without names are returned as they are.
        same_for_all = all(map(operator.is_, filled, specs))

        def find(payload: bytes) -> _Found:
            found = shared.get(payload) if same_for_all else None
            if found is None:
                found = tuple(
                    (index, what)
                    for what in self.messages(payload)
                    if (index := _first_match(filled, what)) is not None
                )
                if len(payload) <= _MAX_REMEMBERED_BYTES and same_for_all:
                    if len(shared) >= _MAX_REMEMBERED:
                        shared.clear()
                    shared[payload] = found
            return found

        return find

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
        if isinstance(event.data, bytes) and (code.regex is None or code.fields):
            if code.field is not None or code.fields:
                on_malformed("not UTF-8")
            return []
        texts: list[str] = []
        for what in messages_in(event, self._spec):
            try:
                texts += find_codes(code, what)
            except Malformed as error:
                on_malformed(error.cause)
        return texts

    def sightings_in(
        self, event: ParsedMessage, on_malformed: Callable[[str], object] = lambda _: None
    ) -> list[tuple[str, int | None]]:
        """Return the ids of the observed messages in a payload, with their times (ns), if any.

        Args:
            event: what the transport received.
            on_malformed: called with a countable cause for each message that is invalid.
        """
        if isinstance(event.data, bytes):
            on_malformed("not UTF-8")
            return []
        found: list[tuple[str, int | None]] = []
        for what in messages_in(event, self._spec):
            try:
                found += find_sightings(self._code, what)
            except Malformed as error:
                on_malformed(error.cause)
        return found

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


def _first_match(messages: Sequence[MessageSpec], what: ReceivedMessage) -> int | None:
    """Return the index of the first description that a message matches."""
    return next((index for index, each in enumerate(messages) if matches(each, what)), None)


def _depends(reply: ReplySpec, given: Set[str]) -> bool:
    """Whether a reply needs a request, or what the server gave after connecting."""
    if reply.request is not None or reply.capture:
        return True
    return any(name in given for each in texts(reply) for name in names_in(each.value))
