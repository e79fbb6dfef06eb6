"""What a connection keeps from session to session: from where the server resumes, and cookies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sseload_users.targets import Target
from sseload_users.targets.position import Position
from sseload_users.targets.resume_spec import ResumeSpec
from sseload_users.transports import OnMessage
from sseload_users.transports.cookies import Cookies
from sseload_users.transports.endpoint import Endpoint, Send
from sseload_users.users.login import Login


class Resumption:
    """What the newest messages of one connection gave for its next handshake.

    Args:
        target: its profile says what is captured and counted, if anything.

    Attributes:
        cookies: what the answers to the connection's handshakes have set.
    """

    __slots__ = ("_confirming", "_login", "_position", "_target", "cookies")

    def __init__(self, target: Target) -> None:
        self.cookies = Cookies()
        self._target = target
        self._position = None if self._spec is None else Position(self._spec)
        self._confirming: tuple[tuple[bytes, int], ...] = ()
        # That of the session that is resumed.
        self._login: Login | None = None

    @property
    def _spec(self) -> ResumeSpec | None:
        return self._target.profile.spec.resume

    @property
    def values(self) -> Mapping[str, str]:
        """The values by name, as they are now."""
        return {} if self._position is None else self._position.values

    @property
    def position(self) -> Mapping[str, str]:
        """The values from which the server resumes; empty if there is no session to resume."""
        return {} if self._login is None else {**self.values}

    @property
    def login(self) -> Login | None:
        """The login to use instead of a new one; None for a new one."""
        if self._spec is None or self._spec.before:
            return None
        return self._login if self.position.keys() >= self._spec.names else None

    def establish(self, login: Login) -> None:
        """Note that there is a session, which this login has made possible."""
        self._login = login

    def fail(self) -> None:
        """Note that an attempt failed: a session whose login was kept is not resumed again."""
        if self._spec is not None and self.login is not None:
            self._login = None
            self._position = Position(self._spec)

    def taking(self, on_message: OnMessage) -> OnMessage:
        """Return a function that notes what a message gives, and hands it on."""
        if self._spec is None:
            return on_message

        def note_and_hand_on(payload: bytes, arrived_ns: int) -> None:
            self._note(payload)
            on_message(payload, arrived_ns)

        return note_and_hand_on

    def confirming(self, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint whose messages, up to the confirming one, are kept for `take`."""
        spec, confirm = self._target.profile.spec, endpoint.confirm
        self._confirming = ()
        if confirm is None or spec.guarantee != "resume":
            return endpoint
        # It hands events that came before the confirmation over by itself, in their order.
        hands_over = spec.transport == "socketio"

        def note_and_confirm(payload: bytes, arrived_ns: int, send: Send) -> int | None:
            self._note(payload)
            confirmed_ns = confirm(payload, arrived_ns, send)
            if confirmed_ns is not None or not hands_over:
                self._confirming = (*self._confirming, (payload, arrived_ns))
            return confirmed_ns

        return replace(endpoint, confirm=note_and_confirm)

    def take(self) -> tuple[tuple[bytes, int], ...]:
        """Return the messages, and their arrivals, that came while the connection subscribed.

        A server may send what the client missed before the message that confirms, or in it.
        """
        taken, self._confirming = self._confirming, ()
        return taken

    def _note(self, payload: bytes) -> None:
        if self._position is not None:
            self._position.change(self._target.reader.steps_in(payload))
