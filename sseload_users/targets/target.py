"""A target: a profile at a host, asked what one connection or one code needs."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.targets import needs
from sseload_users.targets.hosts import normalize_host, origin
from sseload_users.targets.identities import Identity
from sseload_users.targets.ingest import HttpIngestSpec
from sseload_users.targets.messages import ReceivedMessage, find_code, messages_in
from sseload_users.targets.profile import Profile
from sseload_users.targets.reader import MessageReader
from sseload_users.targets.redaction import hidden, secret_values
from sseload_users.targets.requests import (
    BeforeStep,
    Headers,
    UpkeepAction,
    answer_matches,
    fill_request,
    merge_headers,
    refusal,
    with_query,
)
from sseload_users.targets.schema import (
    BeforeSpec,
    CodeSpec,
    ExpectedAnswer,
    RequestSpec,
    check_header,
)
from sseload_users.targets.spec import ProfileSpec
from sseload_users.targets.template import (
    Json,
    UnknownNameError,
    encode,
    fill,
    fill_json,
    fill_namespace,
    fill_text,
    names_in,
)
from sseload_users.transports import ConnectFailed, Malformed, ParsedMessage
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.http_request import HttpRequest

#: How the causes begin that have an HTTP status.
_HTTP = re.compile(r"HTTP (\d+)\b")


class Target:
    """A profile at a host.

    Args:
        profile: how to speak to the server.
        host: the server's URL, with http, https, ws or wss; a path is put before all paths.
        headers: for every request, the connection's handshake included; they replace the
            profile's of the same name, and may have ``{name}`` in them.
        ingest_headers: further ones for the requests that carry codes.
        values: texts by name, for names that the profile leaves open or has in ``[values]``.

    Attributes:
        host: "scheme://host[:port][/base]" with http or https.

    Raises:
        ConfigError: the host is no such URL, or a header cannot be; one sentence.
    """

    def __init__(
        self,
        profile: Profile,
        host: str,
        *,
        headers: Headers = (),
        ingest_headers: Headers = (),
        values: Mapping[str, str] = {},
    ) -> None:
        self.profile = profile
        self.host = normalize_host(host)
        self._spec = profile.spec
        self._given = values
        self._headers = _checked(headers)
        replaced = {name.lower() for name, _ in ingest_headers}
        self._ingest_headers = (
            *((name, value) for name, value in headers if name.lower() not in replaced),
            *_checked(ingest_headers),
        )
        self._reader = MessageReader(profile)

    def check(self, identities: Sequence[Identity]) -> None:
        """Find out, before anything connects, what the profile needs and nobody gave.

        Raises:
            ConfigError: one sentence that names the key and the name; or a value is given
                that the profile has no use for.
        """
        wanted = [*needs.needs(self._spec, self._headers, self._ingest_headers)]
        needs.check(self.profile, wanted, self._given, identities)

    def endpoint(
        self,
        identity: Identity,
        captured: Mapping[str, str] = {},
        last_event_id: str = "",
        on_captured: Callable[[Mapping[str, str]], None] = lambda _: None,
    ) -> Endpoint:
        """Where and how a connection connects.

        Args:
            identity: who connects.
            captured: what the steps before gave.
            last_event_id: of the session before, for event streams that go on.
            on_captured: is given what the confirming message gives.

        Raises:
            ConfigError: the profile needs a name that nobody gave.
        """
        spec, connect = self._spec, self._spec.connect
        values = self.values(identity, captured)

        def hide(words: str) -> str:
            return self.redact(words, identity, captured.values())

        scheme = self.host if spec.transport == "sse" else "ws" + self.host.removeprefix("http")
        try:
            return Endpoint(
                url=with_query(scheme + connect.path, connect.query, values),
                headers=merge_headers(connect.headers, self._headers, values),
                subprotocols=tuple(fill(each, values, encode) for each in connect.subprotocols),
                hello=tuple(self._frame(each, values) for each in connect.send),
                confirm=self._reader.confirms(values, on_captured),
                refuse=self._reader.refuses(values, hide),
                reply=self._reader.replies(values, self._frame),
                max_message=connect.max_message,
                namespace=fill_namespace(connect.namespace, values),
                auth=fill_json(connect.auth, values),
                last_event_id=last_event_id,
            )
        except UnknownNameError as error:
            raise self._lacks(error.name, "connect") from None

    def with_spec(self, spec: ProfileSpec) -> Target:
        """This target, where codes are handed in by what another profile would say.

        Args:
            spec: what that profile's file would be.
        """
        return Target(
            Profile(self.profile.name, spec),
            self.host,
            headers=self._ingest_headers,
            values=self._given,
        )

    def ingest_names(self) -> set[str]:
        """The names that headers have where codes are handed in."""
        return {*names_in([text for _, text in self._ingest_headers])}

    def before(self, identity: Identity) -> tuple[BeforeStep, ...]:
        """The requests to make before connecting, in order."""

        def step(call: BeforeSpec) -> BeforeStep:
            return BeforeStep(lambda got: self._request(call, identity, got, "before"), call)

        return tuple(step(call) for call in self._spec.before)

    def upkeep(self, identity: Identity, captured: Mapping[str, str]) -> tuple[UpkeepAction, ...]:
        """What a connection must do again and again while it is connected.

        Args:
            identity: who is connected.
            captured: what the steps before and the confirming message gave.

        Raises:
            ConfigError: the profile needs a name that nobody gave.
            ConnectFailed: at "subscribe": it needs one that the server did not give.
        """
        found = []
        for each in self._spec.upkeep:
            request = text = None
            if each.request is not None:
                request = self._request(each.request, identity, captured, "upkeep")
            else:
                try:
                    text = self._frame(each.send, self.values(identity, captured))
                except UnknownNameError as error:
                    raise self._lacks(error.name, "upkeep") from None
            expect = ExpectedAnswer() if each.request is None else each.request.expect
            found.append(UpkeepAction(each.every, request, text, expect))
        return tuple(found)

    def codes_in(self, event: ParsedMessage) -> list[str]:
        """The texts of the codes that an event carries: more than one only by lines.

        Raises:
            Malformed: it should be JSON and is not.
        """
        code, lines = self._code, self._spec.lines
        if isinstance(event.data, bytes) and (code.field is not None or code.fields):
            raise Malformed("not UTF-8")
        found = (find_code(code, what) for what in messages_in(event, lines=lines))
        return [text for text in found if text is not None]

    def ingest(self, code: str, identity: Identity) -> HttpRequest:
        """Return the request that has a code broadcast, for profiles that use requests.

        Raises:
            ConfigError: the profile needs a name that nobody gave.
        """
        return self._request(
            self._ingest_call, identity, {"code": code}, "ingest", self._ingest_headers
        )

    def accepts(self, status: int, body: bytes) -> str | None:
        """None if an answer to an ingest accepts the code, else the countable cause."""
        return refusal(self._ingest_call.expect, status, body)

    def health(self, identity: Identity) -> HttpRequest | None:
        """The request that says whether the server is up; None: the profile has none.

        Args:
            identity: as whom to ask, where the server wants to know.
        """
        call = self._spec.health
        return None if call is None else self._request(call, identity, {}, "health")

    def healthy(self, status: int, body: bytes) -> bool:
        """Whether an answer to ``health`` says that the server is up."""
        call = self._spec.health
        return call is None or refusal(call.expect, status, body) is None

    def verify(self, identity: Identity) -> HttpRequest | None:
        """The request that says whether the server knows a user; None: the profile has none."""
        call = self._spec.verify
        return None if call is None else self._request(call, identity, {}, "verify")

    def knows(self, status: int, body: bytes) -> bool | None:
        """Whether an answer to ``verify`` says that the server knows the user.

        Returns:
            None for an answer that says neither.
        """
        call = self._spec.verify
        if call is None:
            return None
        if call.refuse is not None and answer_matches(call.refuse, status, body):
            return False
        return True if refusal(call.expect, status, body) is None else None

    def advice(self, step: str, cause: str, said: str = "") -> str:
        """What the profile advises to do about a failure; empty if it knows nothing.

        Args:
            step: that failed, such as "ingest".
            cause: the countable one, such as "HTTP 410".
            said: the server's own words.
        """
        found = _HTTP.match(cause)
        status = int(found[1]) if found else 0
        for each in self._spec.advice:
            if (
                each.step == step
                and (not each.status or status in each.status)
                and (each.regex is None or each.regex.search(said or cause))
            ):
                return each.hint
        return ""

    def redact(self, text: str, identity: Identity, captured: Collection[str] = ()) -> str:
        """A text of whomever's, in which nothing is left that must not be shown.

        Args:
            text: may repeat what a user's requests said.
            identity: whose.
            captured: what the server gave for that user's requests.
        """
        headers = (*self._headers, *self._ingest_headers)
        given = [*captured, *self._given.values()]
        return hidden(text, secret_values(self._spec, headers, [identity], given))

    def public(self) -> dict[str, str]:
        """What may be shown of the target: nothing that was filled in, and no header."""
        spec = self._spec
        return {
            "profile": self.profile.name,
            "transport": spec.transport,
            "host": self.host,
            "connect": spec.connect.path.partition("?")[0],
            "ingest": spec.ingest.way(spec.connect, spec.transport),
        }

    @cached_property
    def _code(self) -> CodeSpec:
        try:
            return self._spec.code.filled(self._constants)
        except UnknownNameError as error:
            raise self._lacks(error.name, "code.fields") from None

    def frame(
        self, send: Json, values: Mapping[str, str], key: str, number: int | None = None
    ) -> str:
        """A message to send.

        Args:
            send: the profile's words.
            values: by name.
            key: where in the profile they stand.
            number: by which a Socket.IO event is to be acknowledged; None for not at all.

        Raises:
            ConfigError: it needs a name that nobody gave.
            ConnectFailed: it needs one that the server did not give.
        """
        try:
            return self._frame(send, values, number)
        except UnknownNameError as error:
            raise self._lacks(error.name, key) from None

    def said(self, payload: bytes) -> tuple[ReceivedMessage, ...]:
        """The messages in what came over a connection."""
        return self._reader.said(payload)

    def _frame(self, send: Json, values: Mapping[str, str], number: int | None = None) -> str:
        """A message to send; for Socket.IO a list is an event with its arguments."""
        if self._spec.transport == "socketio" and isinstance(send, list):
            namespace = fill_namespace(self._spec.connect.namespace, values)
            head = f"42{'' if namespace == '/' else namespace + ','}"
            return f"{head}{'' if number is None else number}{fill_text(send, values)}"
        return fill_text(send, values)

    @property
    def _ingest_call(self) -> HttpIngestSpec:
        ingest = self._spec.ingest
        if not isinstance(ingest, HttpIngestSpec):
            raise TypeError("codes go in over a connection: see Publishing")
        return ingest

    def _request(
        self,
        call: RequestSpec,
        identity: Identity,
        captured: Mapping[str, str],
        key: str,
        headers: Headers | None = None,
    ) -> HttpRequest:
        try:
            return fill_request(
                call,
                self.host,
                self.values(identity, captured),
                self._headers if headers is None else headers,
            )
        except UnknownNameError as error:
            raise self._lacks(error.name, key) from None

    @property
    def _constants(self) -> dict[str, str]:
        return {**self._spec.values, **self._given}

    def values(self, identity: Identity, captured: Mapping[str, str]) -> dict[str, str]:
        """What names stand for.

        Args:
            identity: who connects, or asks.
            captured: what the server has given.
        """
        return {
            **self._constants,
            **identity.fields,
            **captured,
            "username": identity.username,
            "nonce": secrets.token_hex(8),
            "host": self.host,
            "origin": origin(self.host),
        }

    def _lacks(self, name: str, key: str) -> ConfigError | ConnectFailed:
        if name in self._spec.captured():
            return ConnectFailed("subscribe", f"the server gave no {name}")
        return needs.lacking(self.profile, key, name)


def _checked(headers: Headers) -> tuple[tuple[str, str], ...]:
    for name, value in headers:
        try:
            check_header(name, value)
        except ValueError as error:
            raise ConfigError(f"header: {clean(error)}; write 'Name: value'.") from None
    return tuple(headers)
