"""A target: a profile at a host."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from urllib.parse import urlsplit

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.targets import needs
from sseload_users.targets.answers import HttpAnswers
from sseload_users.targets.conversation import Errands
from sseload_users.targets.endpoints import Endpoints
from sseload_users.targets.filling import Filler, channel_values
from sseload_users.targets.hosts import normalize_host
from sseload_users.targets.identities import Identity
from sseload_users.targets.padding import PADDING, padded, with_or_without_padding
from sseload_users.targets.profile import Profile
from sseload_users.targets.reader import MessageReader
from sseload_users.targets.redaction import redact, secret_values
from sseload_users.targets.requests import (
    BeforeStep,
    Headers,
    UpkeepAction,
)
from sseload_users.targets.schema import BeforeSpec, ExpectedAnswer
from sseload_users.targets.spec import ProfileSpec
from sseload_users.targets.template import (
    UnknownNameError,
    fill,
    names_in,
)
from sseload_users.targets.texts import same_for_all, texts
from sseload_users.targets.value_types import check_header
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.http_request import HttpRequest


class Target:
    """A profile at a host: the requests and endpoints for each user.

    Args:
        profile: the protocol and message format of the server.
        host: the server's URL, with http, https, ws or wss; its path precedes all paths.
        headers: headers for every request, including the handshake; they replace the
            profile's of the same name, and may contain ``{name}``.
        ingest_headers: additional headers for the requests that carry codes.
        values: texts by name, for names that the profile leaves open or has in ``[values]``.
        padded: whether the payloads that carry codes are padded to a size.

    Attributes:
        host: "scheme://host[:port][/base]" with http or https.
        filler: fills the profile's texts.
        reader: interprets messages.
        answers: interprets HTTP answers.

    Raises:
        ConfigError: the host or a header is invalid, or payloads cannot be padded; one sentence.
    """

    def __init__(
        self,
        profile: Profile,
        host: str,
        *,
        headers: Headers = (),
        ingest_headers: Headers = (),
        values: Mapping[str, str] = {},
        padded: bool = False,
    ) -> None:
        self.profile = profile = with_or_without_padding(profile, padded=padded)
        self.host = normalize_host(host)
        connect = profile.spec.connect
        if connect.multiplex > 1 and connect.http == "auto" and self.host.startswith("http:"):
            raise ConfigError(
                f"target {clean(profile.name)}: connect.multiplex requires HTTP/2, which is "
                'negotiated with TLS: use an https:// host, or set connect.http = "2".'
            )
        self._spec = profile.spec
        self._padded = padded
        self._given = values
        self._headers = _checked(headers)
        replaced = {name.lower() for name, _ in ingest_headers}
        self._ingest_headers = (
            *((name, value) for name, value in headers if name.lower() not in replaced),
            *_checked(ingest_headers),
        )
        self.filler = Filler(profile, self.host, values)
        self.reader = MessageReader(profile, self.filler)
        self.answers = HttpAnswers(profile.spec)
        self._endpoints = Endpoints(
            profile.spec, self.host, self._headers, self.filler, self.reader, self.redact
        )

    def check(self, identities: Sequence[Identity], *, has_channels: bool = False) -> None:
        """Check, before anything connects, that every name has a value.

        Args:
            identities: all users that connect or send.
            has_channels: whether the run has channels.

        Raises:
            ConfigError: a name has no value, or a value is not used; one sentence with the
                key and the name.
        """
        wanted = [*needs.needs(self._spec, self._headers, self._ingest_headers)]
        needs.check(self.profile, wanted, self._given, identities, has_channels=has_channels)

    def endpoint(
        self,
        identity: Identity,
        captured: Mapping[str, str] = {},
        last_event_id: str = "",
        on_captured: Callable[[Mapping[str, str]], None] = lambda _: None,
        errands: Errands | None = None,
        position: Mapping[str, str] = {},
    ) -> Endpoint:
        """Return where and how a connection connects.

        Args:
            identity: the user.
            captured: values captured from the server so far; always up to date.
            last_event_id: ID of the last event of the previous session, for event streams.
            on_captured: called with the values that messages give while it subscribes.
            errands: makes the requests that messages require; None for a profile without any.
            position: values that the newest messages of the previous session gave, from which the
                server resumes; empty for a first connect.

        Raises:
            ConfigError: a name has no value.
            ConnectFailed: at "subscribe": the server did not give a value.
        """
        return self._endpoints.of(identity, captured, last_event_id, on_captured, errands, position)

    def with_channels(self, identity: Identity, numbered: str | None) -> Identity:
        """Return a user with the channels that it subscribes to.

        Args:
            identity: the user.
            numbered: the channel that --channels gives it, {channel} in [audience]; None without
                that option.

        Raises:
            ConfigError: a name has no value.
        """
        own: tuple[str, ...] = () if numbered is None else (numbered,)
        if self._spec.audience is not None:
            values = self.filler.values(replace(identity, channels=own), {})
            try:
                own = tuple(fill(each, values) for each in self._spec.audience.names)
            except UnknownNameError as error:
                raise self.filler.missing(error.name, "audience") from None
        return replace(identity, channels=tuple(dict.fromkeys(own)))

    def names_channel(self) -> tuple[bool, bool]:
        """Return whether requests for codes, and other texts, contain the channel's name."""
        ingest = {name for each in texts(self._spec.ingest) for name in names_in(each.value)}
        others = {
            name
            for each in self._spec.texts()
            for name in names_in(each.value)
            if not each.key.startswith("ingest.")
        }
        headers = {*names_in([text for _, text in self._headers])}
        return (
            "channel" in ingest | self.ingest_names(),
            not others.isdisjoint({"channel", "channels"}) or "channel" in headers,
        )

    def with_spec(self, spec: ProfileSpec) -> Target:
        """Return this target with another profile's file, for a publisher's connection."""
        return Target(
            Profile(self.profile.name, spec),
            self.host,
            headers=self._ingest_headers,
            values=self._given,
            padded=self._padded,
        )

    def ingest_names(self) -> set[str]:
        """Return the names in the headers of requests that carry codes."""
        return {*names_in([text for _, text in self._ingest_headers])}

    def before(self, identity: Identity) -> tuple[BeforeStep, ...]:
        """Return the requests to make before connecting, in order."""
        if not self._before:
            return ()

        def step(request: BeforeSpec, anonymous: bool) -> BeforeStep:
            return BeforeStep(
                lambda captured: self.filler.request(
                    request, identity, captured, "before", self._headers
                ),
                request,
                anonymous,
            )

        return tuple(itertools.starmap(step, self._before))

    @cached_property
    def _before(self) -> tuple[tuple[BeforeSpec, bool], ...]:
        """The requests to make before connecting, and whether each is the same for all."""
        headers = [text for _, text in self._headers]
        return tuple((each, same_for_all(each, headers)) for each in self._spec.before)

    def upkeep(self, identity: Identity, captured: Mapping[str, str]) -> tuple[UpkeepAction, ...]:
        """Return what a connection does periodically.

        Args:
            identity: the user.
            captured: values captured before connecting and from the confirming message.

        Raises:
            ConfigError: a name has no value.
            ConnectFailed: at "subscribe": the server did not give a value.
        """
        if not self._spec.upkeep:
            return ()
        return tuple(
            UpkeepAction(
                each.every,
                None
                if each.request is None
                else self.filler.request(each.request, identity, captured, "upkeep", self._headers),
                None
                if each.frame is None
                else self.filler.message_at(
                    "upkeep", each.frame, self.filler.values(identity, captured)
                ),
                ExpectedAnswer() if each.request is None else each.request.expect,
            )
            for each in self._spec.upkeep
        )

    def ingest(
        self,
        code: str,
        identity: Identity,
        captured: Mapping[str, str] = {},
        channel: str | None = None,
        sent_ns: int = 0,
        payload_bytes: int = 0,
        step: int = -1,
    ) -> HttpRequest:
        """Return a request for a code, for profiles that use requests.

        Args:
            code: the code's text.
            identity: the user that sends it.
            channel: the code's channel; None in a run without channels.
            captured: values captured by the publisher's requests before connecting, and by those
                for this code.
            sent_ns: when it is sent (wall clock, ns), for a signature.
            payload_bytes: size to which the body is padded; 0 for no padding.
            step: index of the request; the last one has the code broadcast.

        Raises:
            ConfigError: a name has no value.
        """
        spec = self._spec.ingest_request
        call = spec.requests[step]
        own = {**captured, "code": code, **channel_values(() if channel is None else (channel,))}

        def build(padding: str) -> HttpRequest:
            values = {**own, PADDING: padding}
            return self.filler.request(call, identity, values, "ingest", self._ingest_headers)

        has_padding = payload_bytes and PADDING in names_in(call.body)
        size = payload_bytes if has_padding else 0
        request = padded(build, lambda built: len(built.body), code, size)
        if spec.sign is None:
            return request
        return spec.sign.sign(request, self.filler.values(identity, own), sent_ns)

    def ingest_has_code(self, step: int) -> bool:
        """Whether a request for a code contains the code's text; see `ingest`."""
        return self._have_code[step]

    @cached_property
    def _have_code(self) -> tuple[bool, ...]:
        """Which of the requests for a code contain the code's text."""
        spec, found = self._spec.ingest_request, []
        for each in spec.requests:
            own = each.model_copy(update={"before": (), "sign": None}) if each is spec else each
            names = {name for each in texts(own) for name in names_in(each.value)}
            found.append("code" in names | self.ingest_names())
        return tuple(found)

    def ingest_needs_login(self) -> bool:
        """Whether the request for codes contains values that requests before connecting give."""
        given = self._spec.captured_before(len(self._spec.before))
        names = {name for each in texts(self._spec.ingest) for name in names_in(each.value)}
        return bool(given & (names | self.ingest_names()))

    def is_login(self, url: str) -> bool:
        """Whether a URL is that of a request before connecting, such as a page for logging in."""
        path, base = urlsplit(url).path, urlsplit(self.host).path
        return any(base + each.path.partition("?")[0] == path for each in self._spec.before)

    def health(self, identity: Identity) -> HttpRequest | None:
        """Return the health check, made as a user; None if the profile has none."""
        health = self._spec.health
        if health is None:
            return None
        return self.filler.request(health, identity, {}, "health", self._headers)

    def verify(self, identity: Identity) -> HttpRequest | None:
        """Return the request that asks whether the server knows a user; None if there is none."""
        verify = self._spec.verify
        if verify is None:
            return None
        return self.filler.request(verify, identity, {}, "verify", self._headers)

    def redact(self, text: str, identity: Identity, captured: Collection[str] = ()) -> str:
        """Redact secrets from a text.

        Args:
            text: may repeat what a user's requests contained.
            identity: the user.
            captured: values captured from the server.
        """
        headers = (*self._headers, *self._ingest_headers)
        given = [*captured, *self._given.values()]
        return redact(text, secret_values(self._spec, headers, [identity], given))

    def public(self) -> dict[str, str]:
        """Return what reports may show of the target: no values and no headers."""
        spec = self._spec
        return {
            "profile": self.profile.name,
            "transport": spec.transport,
            "host": self.host,
            "connect": spec.connect.path.partition("?")[0],
            "ingest": spec.ingest.way(spec.connect, spec.transport),
        }


def _checked(headers: Headers) -> tuple[tuple[str, str], ...]:
    for name, value in headers:
        try:
            check_header(name, value)
        except ValueError as error:
            raise ConfigError(f"Invalid header: {clean(error)}; write 'Name: value'.") from None
    return tuple(headers)
