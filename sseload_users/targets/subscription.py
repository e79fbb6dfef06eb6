"""The conversation in which a connection subscribes: steps in order, then confirmations."""

from __future__ import annotations

from collections.abc import Sequence

from sseload_users.core.clock import wall_ns
from sseload_users.targets.conversation import Conversation
from sseload_users.targets.messages import ReceivedMessage, matches
from sseload_users.targets.requests import capture
from sseload_users.targets.session_spec import AfterSpec, ConfirmSpec
from sseload_users.transports.endpoint import Send


class Subscription:
    """The state of one connection's subscription.

    Args:
        steps: are taken in order, each at a message of its own.
        confirms: messages that must come, in any order, each its own. Their conditions are
            filled.
        talk: carries out the steps.
    """

    def __init__(
        self, steps: Sequence[AfterSpec], confirms: Sequence[ConfirmSpec], talk: Conversation
    ) -> None:
        self._steps = [*steps]
        self._confirms = [*confirms]
        self._talk = talk

    def take(self, what: ReceivedMessage, arrived_ns: int, send: Send) -> int | None:
        """Take a message; may block for a request.

        Args:
            what: the message.
            arrived_ns: when it arrived (wall clock, ns).
            send: sends a message.

        Returns:
            When the subscription was complete (wall clock, ns); None if it is not.

        Raises:
            ConnectFailed: at "subscribe": a step failed.
        """
        confirm = next((each for each in self._confirms if matches(each, what)), None)
        if confirm is not None:
            self._confirms.remove(confirm)
            self._talk.on_captured(capture(confirm.capture, what.text, what.value))
        stepped = self._step(what, send)
        if self._steps or self._confirms or not (stepped or confirm):
            return None
        # When a step is done, its message has arrived long ago.
        return wall_ns() if stepped else arrived_ns

    def _step(self, what: ReceivedMessage, send: Send) -> bool:
        """Take the next step if it waits for this message; return whether it did."""
        if not self._steps or not matches(self._steps[0].filled(self._talk.values()), what):
            return False
        self._talk.take_step(self._steps.pop(0), what, send)
        return True
