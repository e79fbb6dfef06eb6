"""What `check` prints: one line for each step, without secrets."""

from __future__ import annotations

import time
from collections.abc import Callable

from sseload_users.core.formatting import clean, ms, shorten
from sseload_users.targets import Target
from sseload_users.transports.http_request import HttpResponse
from sseload_users.transports.server_text import MAX_TEXT, body_text, text_beyond
from sseload_users.verdict import hints

#: Most characters of a response or message that are shown.
_EXCERPT = 160


class StepFailed(Exception):  # noqa: N818 - it is the server's failure
    """A step that failed.

    Args:
        step: its name.
        said: what happened, in a sentence.
        hint: where to look; may be empty.
    """

    def __init__(self, step: str, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.step = step
        self.said = said
        self.hint = hint


class CheckOutput:
    """Prints the steps of a check.

    Args:
        target: its profile has advice on failures.
        redact: returns a text without secrets.
    """

    def __init__(self, target: Target, redact: Callable[[str], str]) -> None:
        self._profile = target.profile
        self._redact = redact
        self._began = time.monotonic()

    def step(self, name: str, text: str) -> None:
        """Print what a step did."""
        passed = (time.monotonic() - self._began) * 1000
        print(f"{passed:8,.0f} ms  {name:<8}  {clean(self._redact(text))}", flush=True)

    def detail(self, text: str) -> None:
        """Print more about the step before."""
        self.step("", text)

    def advice(self, text: str) -> None:
        """Print what to do about the step before."""
        self.detail(f"→ {text}")

    def failure(self, failed: StepFailed) -> None:
        """Print a step that failed."""
        self.step(failed.step, f"FAILED: {failed.said}")
        if failed.hint:
            self.advice(failed.hint)

    def words(self, said: str, width: int = _EXCERPT) -> str:
        """Return the server's words; secrets are removed before they can be cut in the middle."""
        return shorten(clean(self._redact(said)).strip(), width)

    def excerpt(self, payload: bytes) -> str:
        """Return the beginning of a message."""
        return self.words(payload[:400].decode(errors="replace"))

    def response(self, response: HttpResponse) -> str:
        """Return a response's status and the beginning of its text."""
        return f"HTTP {response.status} {self.words(body_text(response.body))}".rstrip()

    def cause(self, cause: str, detail: str) -> str:
        """Return a cause with its detail in brackets, if that says more."""
        if text_beyond(cause, detail) and "[Errno" not in detail:
            return f"{cause} ({self.words(detail, MAX_TEXT)})"
        return cause

    def hint(self, operation: str, cause: str, said: str = "") -> str:
        """Return the profile's advice on a failure, or else the general hint; may be empty."""
        return self._profile.advice(operation, cause, said) or hints.hint(operation, cause, said)


def span(values: list[float]) -> str:
    """Return the smallest and the largest of some times in milliseconds."""
    first, last = ms(min(values)), ms(max(values))
    return f"{first} ms" if first == last else f"{first} to {last} ms"
