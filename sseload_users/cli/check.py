"""``python -m sseload_users check``: one connection, one code, and every step told.

The first thing to run against a new server: where it fails, it says at which step, with
what the server said, and what to look at.
"""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import gevent
from gevent.event import Event
from locust.argument_parser import LocustArgumentParser

from sseload_users import options
from sseload_users.cli.check_publisher import CheckedPublisher
from sseload_users.core.clock import wall_ns
from sseload_users.core.codes import CodeShape, new_run_id
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean, count, ms, shorten
from sseload_users.options import Options
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.run.resources import Resources
from sseload_users.targets import Publishing
from sseload_users.transports import Closed, ConnectFailed, Malformed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.fetch import fetch
from sseload_users.transports.http_request import HttpRequest, HttpResponse
from sseload_users.transports.registry import transport_for
from sseload_users.transports.server_text import MAX_TEXT, body_text, text_beyond
from sseload_users.transports.transport import Transport
from sseload_users.users.session_requests import SessionRequests
from sseload_users.verdict import hints

#: Seconds to wait, after the code has come, for a further copy.
_AFTERMATH_S = 0.5
#: Most messages without a code that are shown.
_MOST_OTHERS = 5


class _Failed(Exception):  # noqa: N818 - it is the server's failure
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


@dataclass(slots=True)
class _Heard:
    """What came over the connection."""

    text: str = ""
    copies: list[int] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    lookalike: bytes | None = None
    news: Event = field(default_factory=Event)


def main(arguments: Sequence[str]) -> int:
    """Check a server as the arguments say.

    Returns:
        0 if the code came, 1 if a step failed, 2 if the arguments cannot be.
    """
    parser = LocustArgumentParser(
        prog="python -m sseload_users check",
        description="Connects once and broadcasts one code, and tells every step.",
    )
    parser.add_argument("-H", "--host", help="the server's URL")
    options.add_to(parser)
    parsed = parser.parse_args(list(arguments))
    try:
        given = Options.read(parsed)
        return _Check(given, parsed.host or "").run()
    except ConfigError as error:
        print(f"sseload: {clean(error)}", file=sys.stderr)
        return 2


class _Check:
    """One check.

    Raises:
        ConfigError: the options cannot be.
    """

    def __init__(self, given: Options, host: str) -> None:
        self._options = given
        resources = Resources.of(given, host)
        self._target, self._network = resources.target, resources.network
        self._target.check(resources.identities)
        self._identity = resources.identities[0]
        self._began = time.monotonic()
        self._heard = _Heard()
        self._closed: Closed | None = None
        self._errands: SessionRequests | None = None
        self._endpoint = Endpoint("")
        self._before = BeforeRequests(self._network, given.connect_timeout)
        publishing = Publishing.of(self._target)
        self._publisher: CheckedPublisher | None = None
        if publishing is not None:
            self._publisher = CheckedPublisher(publishing, self._before, given, self._identity)

    def run(self) -> int:
        """Take every step, and say how it went."""
        try:
            self._tell("profile", self._about())
            self._health()
            self._verify()
            transport, errands = self._connect()
            listening = gevent.spawn(self._listen, transport)
            try:
                self._send()
                self._receive()
            finally:
                if self._publisher is not None:
                    self._publisher.close()
                errands.end()
                transport.leave()
                listening.join(2)
        except _Failed as failed:
            self._tell(failed.step, f"FAILED: {failed.said}")
            if failed.hint:
                self._tell("", f"→ {failed.hint}")
            self._show_others()
            return 1
        self._show_others()
        self._tell("ok", "the server broadcasts, and the profile fits it.")
        return 0

    def _tell(self, step: str, words: str) -> None:
        passed = (time.monotonic() - self._began) * 1000
        print(f"{passed:8,.0f} ms  {step:<8}  {clean(self._without_secrets(words))}", flush=True)

    def _about(self) -> str:
        about = self._target.public()
        return (
            f"{about['profile']} at {about['host']}: {about['transport']} at {about['connect']}, "
            f"codes in by {about['ingest']}, as {self._identity.username or 'nobody'}"
        )

    def _ask(self, step: str, request: HttpRequest, timeout_s: float) -> tuple[HttpResponse, float]:
        began = time.monotonic()
        try:
            answer = fetch(request, self._network, timeout_s)
        except ssl.SSLError as error:
            # All but this is for those who know OpenSSL's sources.
            detail = getattr(error, "verify_message", "")
            self._fail(step, f"{request.method} {request.safe_url}", cause_of(error), detail)
        except OSError as error:
            self._fail(step, f"{request.method} {request.safe_url}", cause_of(error), str(error))
        return answer, (time.monotonic() - began) * 1000

    def _health(self) -> None:
        request = self._target.health(self._identity)
        if request is None:
            return
        answer, took_ms = self._ask("health", request, self._options.connect_timeout)
        said = f"{request.method} {request.safe_url}: {self._answer(answer)}"
        if not self._target.answers.is_healthy(answer.status, answer.body):
            hint = ""
            if answer.status >= 400:
                hint = self._hint("health", f"HTTP {answer.status}", body_text(answer.body))
            said += ": not what the profile expects of a server that is well"
            raise _Failed("health", said, hint)
        self._tell("health", f"{said}, in {ms(took_ms)} ms")

    def _verify(self) -> None:
        request = self._target.verify(self._identity)
        if request is None:
            return
        user = f"whether the server knows the user {self._identity.username!r} is not known"
        try:
            answer, took_ms = self._ask("verify", request, self._options.connect_timeout)
        except _Failed as failed:
            # Only a no is a no: who is not let in is told by the connection.
            self._tell("verify", f"warning: {failed.said}: {user}")
            return
        said = f"{request.method} {request.safe_url}: {self._answer(answer)}"
        known = self._target.answers.knows_user(answer.status, answer.body)
        if known is False:
            raise _Failed(
                "verify",
                f"{said}: the server does not know the user {self._identity.username!r}",
                "Create the user there, or name another with --username or --users-file.",
            )
        if known is None:
            self._tell("verify", f"warning: {said}: {user}")
            words = body_text(answer.body)
            if advice := self._target.profile.advice("verify", f"HTTP {answer.status}", words):
                self._tell("", f"→ {advice}")
            return
        self._tell("verify", f"{said}, in {ms(took_ms)} ms")

    def _connect(self) -> tuple[Transport, SessionRequests]:
        kind = transport_for(self._target.profile.transport)
        errands = self._errands = SessionRequests(
            self._target, self._identity, self._before, on_response=self._tell_before
        )

        def make(endpoint: Endpoint) -> Transport:
            self._endpoint = self._overheard(endpoint)
            return kind(self._endpoint, self._network, self._on_message, self._on_malformed)

        try:
            transport = errands.connect(make)
        except ConnectFailed as error:
            self._fail("connect", error.operation, error.cause, error.detail)
        took_ms = (transport.subscribed_ns - transport.started_ns) / 1e6
        confirmed = "" if self._endpoint.confirm is None else ", and the server confirmed it"
        agreed = f", with {transport.compression}" if transport.compression else ""
        place = self._endpoint.url.partition("?")[0]
        self._tell("connect", f"subscribed at {place}{agreed}{confirmed}, in {ms(took_ms)} ms")
        return transport, errands

    def _overheard(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, with what does not confirm kept to be shown."""
        confirm = endpoint.confirm
        if confirm is None:
            return endpoint

        def confirms(payload: bytes) -> bool:
            confirmed = confirm(payload)
            if not confirmed:
                self._keep(payload)
            return confirmed

        return replace(endpoint, confirm=confirms)

    def _keep(self, payload: bytes) -> None:
        if len(self._heard.others) < _MOST_OTHERS:
            self._heard.others.append(payload)

    def _tell_before(self, request: HttpRequest, answer: HttpResponse) -> None:
        # Not what it said: that is a page, with what is captured somewhere in it.
        self._tell("before", f"{request.method} {request.safe_url}: HTTP {answer.status}")

    def _listen(self, transport: Transport) -> None:
        self._closed = transport.listen()
        self._heard.news.set()

    def _on_message(self, payload: bytes, arrived_ns: int) -> None:
        heard, malformed = self._heard, len(self._heard.malformed)
        try:
            event = transport_for(self._target.profile.transport).parse(payload)
        except Malformed as error:
            self._on_malformed(error.cause)
            return
        texts = [] if event is None else self._target.reader.codes_in(event, self._on_malformed)
        if heard.text and heard.text in texts:
            heard.copies.append(arrived_ns)
        elif heard.text and heard.text.encode() in payload:
            heard.lookalike = payload
        elif len(heard.malformed) == malformed:
            self._keep(payload)
        heard.news.set()

    def _on_malformed(self, cause: str) -> None:
        self._heard.malformed.append(cause)

    def _send(self) -> None:
        shape = CodeShape(new_run_id(), self._target.profile.code_template)
        self._sent_ns = wall_ns()
        self._heard.text = shape.mint(1, self._sent_ns)
        if self._publisher is not None:
            self._send_by(self._publisher)
            return
        request = self._target.ingest(self._heard.text, self._identity)
        answer, took_ms = self._ask("send", request, self._options.ingest_timeout)
        said = f"{request.method} {request.safe_url}: {self._answer(answer)}"
        cause = self._target.answers.ingest_failure(answer.status, answer.body)
        if cause is not None:
            hint = self._hint("ingest", cause, body_text(answer.body))
            raise _Failed("send", f"{said}: not accepted ({cause})", hint)
        self._tell("send", f"{said}, in {ms(took_ms)} ms")

    def _send_by(self, publisher: CheckedPublisher) -> None:
        try:
            publisher.open()
        except ConnectFailed as error:
            self._fail("publish", error.operation, error.cause, error.detail)
        self._tell("publish", f"connected at {publisher.place}, in {ms(publisher.connect_ms)} ms")
        outcome, sent_ns = publisher.send(self._heard.text)
        said = f"{publisher.way}: {publisher.describe(outcome)}"
        if outcome.cause is not None:
            raise _Failed("send", said, self._hint("ingest", outcome.cause, outcome.server_text))
        took_ms = ((outcome.at_ns or wall_ns()) - sent_ns) / 1e6
        self._sent_ns = sent_ns
        self._tell("send", f"{said}, in {ms(took_ms)} ms")

    def _receive(self) -> None:
        heard, deadline = self._heard, time.monotonic() + self._options.delivery_timeout
        while not (heard.copies or heard.lookalike or self._closed):
            heard.news.clear()
            if not heard.news.wait(max(0.0, deadline - time.monotonic())):
                break
        if not heard.copies:
            self._say_nothing_came()
        latency = (heard.copies[0] - self._sent_ns) / 1e6
        gevent.sleep(_AFTERMATH_S)
        further = len(heard.copies) - 1
        again = f", and {count(further, 'time')} again" if further else ""
        self._tell("receive", f"the code came {ms(latency)} ms after it was sent{again}")
        if self._closed is not None:
            self._say_closed("stay", "after")

    def _say_nothing_came(self) -> NoReturn:
        if self._heard.lookalike is not None:
            raise _Failed(
                "receive",
                "the code came in a message, but not where the profile looks for it: "
                + self._excerpt(self._heard.lookalike),
                "Say in the profile's [code] where it is; docs/targets.md shows how.",
            )
        if self._closed is not None:
            self._say_closed("receive", "before")
        waited = f"{self._options.delivery_timeout:g} s"
        raise _Failed(
            "receive",
            f"the code was accepted, but did not come within {waited}",
            "Is the connection subscribed to what the code is broadcast to (user, channel, "
            "namespace)? See the server's log, and below what came instead.",
        )

    def _say_closed(self, step: str, when: str) -> NoReturn:
        closed = self._closed
        assert closed is not None  # noqa: S101
        said = f"the session ended {when} the code came: {closed.cause}"
        if text_beyond(closed.cause, closed.reason):
            said += f" ({self._words(closed.reason, MAX_TEXT)})"
        raise _Failed(step, said, self._hint("session", closed.cause, closed.reason))

    def _show_others(self) -> None:
        for payload in self._heard.others:
            self._tell("", f"another message came: {self._excerpt(payload)}")
        for cause in sorted(set(self._heard.malformed)):
            many = count(self._heard.malformed.count(cause), "time")
            self._tell("", f"malformed, {many}: {cause}")

    def _fail(self, step: str, what: str, cause: str, detail: str) -> NoReturn:
        said = f"{what}: {cause}"
        if text_beyond(cause, detail) and "[Errno" not in detail:
            said += f" ({self._words(detail, MAX_TEXT)})"
        operation = "ingest" if step == "send" else "connect"
        if step in ("connect", "publish"):
            operation = what
        raise _Failed(step, said, self._hint(operation, cause, detail))

    def _hint(self, operation: str, cause: str, said: str) -> str:
        return self._target.profile.advice(operation, cause, said) or hints.hint(
            operation, cause, said
        )

    def _answer(self, answer: HttpResponse) -> str:
        return f"HTTP {answer.status} {self._words(body_text(answer.body), 160)}".rstrip()

    def _excerpt(self, data: bytes) -> str:
        return self._words(data[:400].decode(errors="replace"), 160)

    def _words(self, said: str, width: int) -> str:
        """The server's words; secrets are taken out before they can be cut off in the middle."""
        return shorten(clean(self._without_secrets(said)).strip(), width)

    def _without_secrets(self, text: str) -> str:
        # Servers repeat what they were sent, and what they gave themselves.
        captured = () if self._errands is None else self._errands.secrets
        if self._publisher is not None:
            text = self._publisher.redact(text)
        return self._target.redact(text, self._identity, captured)
