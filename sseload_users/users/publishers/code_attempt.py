"""One attempt to hand in a code by HTTP: its requests in order, and what their answers give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sseload_users.targets import Identity, Target
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.users.publishers import Draft

_NONE = HttpRequest("", "", (), b"")


class CodeAttempt:
    """The requests for a code, of which the last one has it broadcast.

    The code has the time of the first request that contains it, and counts as sent when the last
    one is written.

    Args:
        target: builds the requests.
        identity: the user that makes them.
        captured: values that the login gave, by name.
        draft: the code.

    Attributes:
        given: values that the answers gave so far, by name.
        request: the request in progress, as it was last built.
        sent_ns: when it was written (wall clock, ns); None before.
    """

    def __init__(
        self, target: Target, identity: Identity, captured: Mapping[str, str], draft: Draft
    ) -> None:
        self.given: dict[str, str] = {}
        self._target = target
        self._identity = identity
        self._captured = dict(captured)
        self._draft = draft
        self._requests = target.profile.spec.ingest_request.requests
        self._step = 0
        self.request = _NONE
        self.sent_ns: int | None = None
        # The time in the code's text (wall clock, ns) once a request with it was written.
        self._text_ns: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether the next request is the one that has the code broadcast."""
        return self._step == len(self._requests) - 1

    @property
    def what(self) -> str:
        """Method and path of the next request."""
        return self._requests[self._step].what

    def read(self, answer: HttpResponse, redirects: Sequence[HttpResponse] = ()) -> str | None:
        """Take what an answer gives.

        Args:
            answer: the answer to the request.
            redirects: the answers that led to it.

        Returns:
            None, or the countable cause why it is a failure.
        """
        cause, found = self._target.answers.ingest_answer(self._step, answer, redirects)
        self.given |= found
        return cause

    def go_on(self) -> None:
        """Go on to the next request."""
        self._step += 1
        self.sent_ns = None

    def request_at(self, sent_ns: int) -> HttpRequest:
        """Return the next request as it is if it is sent at a time (wall clock, ns).

        Raises:
            ConfigError: a name has no value.
        """
        draft = self._draft
        self.request = self._target.ingest(
            draft.text(sent_ns if self._text_ns is None else self._text_ns),
            self._identity,
            {**self._captured, **self.given},
            draft.channel,
            sent_ns,
            draft.payload_bytes,
            self._step,
        )
        return self.request

    def note_written(self, sent_ns: int) -> None:
        """Note that the next request was written, as it was built for that time."""
        self.sent_ns = sent_ns
        if self._text_ns is None and self._target.ingest_has_code(self._step):
            self._text_ns = sent_ns
        if self.is_last:
            self._draft.record_sent(sent_ns, text_ns=self._text_ns)
        elif self._step == 0:
            self._draft.record_begun(sent_ns)
