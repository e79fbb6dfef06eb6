"""Carry out what messages require: take values from them, make a request, build the reply."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sseload_users.core.errors import ConfigError
from sseload_users.targets.filling import Filler
from sseload_users.targets.identities import Identity
from sseload_users.targets.messages import ReceivedMessage
from sseload_users.targets.paths import json_or_missing
from sseload_users.targets.requests import Headers, capture, refusal
from sseload_users.targets.schema import CaptureSpec
from sseload_users.targets.session_spec import AfterSpec, AskSpec, ExchangeSpec, ReplySpec
from sseload_users.targets.template import Json
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.endpoint import Send
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.server_text import body_text


class Errands(Protocol):
    """Does for a connection what takes time."""

    def fetch(self, request: HttpRequest) -> HttpResponse:
        """Make a request.

        Raises:
            OSError: there is no valid response.
        """

    def in_background(self, errand: Callable[[], None]) -> bool:
        """Call a function in a greenlet of the connection.

        Returns:
            Whether it will be called: not if too many are in progress.
        """

    def on_reply(self, cause: str | None, server_text: str, captured: Collection[str]) -> None:
        """Count a reply that needed a request, or that failed.

        Args:
            cause: why it failed; None if it did not.
            server_text: the server's own words.
            captured: the values that it was given, which the server may repeat.
        """


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one connection says in response to messages.

    Attributes:
        filler: fills the profile's texts.
        identity: the user.
        headers: headers from the command line.
        captured: the values captured from the server, by name; always up to date.
        on_captured: called with further ones.
        errands: makes the requests; None for a profile without any.
    """

    filler: Filler
    identity: Identity
    headers: Headers = field(repr=False)
    captured: Mapping[str, str] = field(repr=False)
    on_captured: Callable[[Mapping[str, str]], None]
    errands: Errands | None

    def values(self) -> dict[str, str]:
        """Return the connection's values by name, as they are now."""
        return self.filler.values(self.identity, self.captured)

    def take_step(self, step: AfterSpec, what: ReceivedMessage, send: Send) -> None:
        """Carry out a step of the subscription; may block for a request.

        Args:
            step: its description.
            what: the message at which it is taken.
            send: sends a message.

        Raises:
            ConnectFailed: at "subscribe": a value is missing or the request failed.
        """
        self._carry_out(step, what, send, self.on_captured)

    def reply(self, reply: ReplySpec, what: ReceivedMessage, send: Send) -> None:
        """Answer a message, in the hub: this neither blocks nor raises.

        Args:
            reply: its description.
            what: the message.
            send: sends a message.
        """
        errands, found = self.errands, dict[str, str]()

        def answer() -> None:
            cause, text = None, ""
            try:
                self._carry_out(reply, what, send, found.update)
            except ConnectFailed as error:
                cause, text = error.cause, error.server_text
            if errands is not None and (cause is not None or reply.request is not None):
                errands.on_reply(cause, text, found.values())

        if reply.request is None or errands is None:
            answer()
        elif not errands.in_background(answer):
            errands.on_reply("too many requests at once", "", ())

    def _carry_out(
        self,
        spec: ExchangeSpec,
        what: ReceivedMessage,
        send: Send,
        on_found: Callable[[Mapping[str, str]], None],
    ) -> None:
        """Do what follows a message.

        Args:
            spec: its description.
            what: the message.
            send: sends a message.
            on_found: called with the values from the message, and with those from the answer.

        Raises:
            ConnectFailed: at "subscribe": a value is missing or the request failed.
        """
        found = _required(spec.capture, what.text, what.value, "message")
        on_found(found)
        try:
            if spec.request is not None:
                answered = self._ask(spec.request, {**self.captured, **found})
                on_found(answered)
                found |= answered
            if spec.frame is not None:
                values = {**self.values(), **found}
                send(self.filler.message_at("send", spec.frame, values))
        except ConfigError as error:
            raise ConnectFailed("subscribe", "no value for a name", str(error)) from error

    def _ask(self, ask: AskSpec, captured: Mapping[str, str]) -> dict[str, str]:
        request = self.filler.request(ask, self.identity, captured, "request", self.headers)
        assert self.errands is not None  # noqa: S101
        try:
            response = self.errands.fetch(request)
        except OSError as error:
            raise ConnectFailed("subscribe", cause_of(error), str(error)) from error
        cause = refusal(ask.expect, response.status, response.body)
        if cause is not None:
            raise ConnectFailed("subscribe", cause, server_text=body_text(response.body))
        text = response.body.decode(errors="replace")
        value = json_or_missing(response.body)
        return _required(ask.capture, text, value, "answer", response.header)


def _required(
    captures: Mapping[str, CaptureSpec],
    text: str,
    value: Json,
    where: str,
    header: Callable[[str], str | None] = lambda _: None,
) -> dict[str, str]:
    """Return the values that are captured.

    Raises:
        ConnectFailed: at "subscribe": one is missing.
    """
    found = capture(captures, text, value, header)
    for name in captures:
        if name not in found:
            raise ConnectFailed("subscribe", f"no {name} in the {where}")
    return found
