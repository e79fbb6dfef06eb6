"""The requests that `check` makes before it connects: health and user verification."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable

from sseload_users.cli.check_output import CheckOutput, StepFailed
from sseload_users.core.formatting import ms
from sseload_users.run.resources import Resources
from sseload_users.targets.identities import Identity
from sseload_users.transports.causes import cause_of
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.request_client import RequestClient
from sseload_users.transports.server_text import body_text


class CheckedRequests:
    """Makes single requests and prints what became of them.

    Args:
        resources: target, options and network.
        output: prints the steps.
    """

    def __init__(self, resources: Resources, output: CheckOutput) -> None:
        self._target = resources.target
        self._network = resources.network
        self._timeout_s = resources.options.connect_timeout
        self._output = output

    def health(self, identity: Identity) -> None:
        """Make the health check, if the profile has one.

        Raises:
            StepFailed: there is no answer, or not that of a healthy server.
        """
        request = self._target.health(identity)
        if request is None:
            return
        response, said, took = self._ask("health", request)
        if not self._target.answers.is_healthy(response.status, response.body):
            hint = ""
            if response.status >= 400:
                cause = f"HTTP {response.status}"
                hint = self._output.hint("health", cause, body_text(response.body))
            raise StepFailed(
                "health", f"{said}: not what the profile expects of a healthy server", hint
            )
        self._output.step("health", f"{said}, {took}")

    def verify(self, identities: Iterable[Identity]) -> None:
        """Ask whether the server knows the users, if the profile says how.

        Raises:
            StepFailed: it does not know one.
        """
        for identity in {each.username: each for each in identities}.values():
            if not self._verify(identity):
                return

    def _verify(self, identity: Identity) -> bool:
        """Ask about one user; return whether the server gave a clear answer."""
        request = self._target.verify(identity)
        if request is None:
            return False
        unclear = f"whether the server knows the user {identity.username!r} is not known"
        try:
            response, said, took = self._ask("verify", request)
        except StepFailed as failed:
            # Only a clear no counts: connecting shows who is not let in.
            self._output.step("verify", f"warning: {failed.said}: {unclear}")
            return False
        known = self._target.answers.knows_user(response.status, response.body)
        if known is False:
            raise StepFailed(
                "verify",
                f"{said}: the server does not know the user {identity.username!r}",
                "Create the user there, or name another with --username or --users-file.",
            )
        if known is None:
            self._output.step("verify", f"warning: {said}: {unclear}")
            cause, words = f"HTTP {response.status}", body_text(response.body)
            if advice := self._target.profile.advice("verify", cause, words):
                self._output.advice(advice)
            return False
        self._output.step("verify", f"{said}, {took}")
        return True

    def _ask(self, step: str, request: HttpRequest) -> tuple[HttpResponse, str, str]:
        """Make a request.

        Returns:
            The response; the exchange in words; how long it took, in words.

        Raises:
            StepFailed: there is no valid response.
        """
        began, detail = time.monotonic(), ""
        what = f"{request.method} {request.safe_url}"
        try:
            response = RequestClient(self._network, self._timeout_s).answer(request)
        except OSError as error:
            cause = cause_of(error)
            # What OpenSSL says beside this is for those who know its source code.
            detail = (
                getattr(error, "verify_message", "")
                if isinstance(error, ssl.SSLError)
                else str(error)
            )
            raise StepFailed(
                step,
                f"{what}: {self._output.cause(cause, detail)}",
                self._output.hint("connect", cause, detail),
            ) from error
        took = f"in {ms((time.monotonic() - began) * 1000)} ms"
        return response, f"{what}: {self._output.response(response)}", took
