"""Where and how the connections to a target connect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property

from sseload_users.targets.conversation import Conversation, Errands
from sseload_users.targets.filling import Filler
from sseload_users.targets.identities import Identity
from sseload_users.targets.reader import MessageReader
from sseload_users.targets.requests import (
    Headers,
    body_headers,
    filled_body,
    filled_url,
    merge_headers,
)
from sseload_users.targets.session_spec import ConnectSpec
from sseload_users.targets.spec import ProfileSpec
from sseload_users.targets.template import (
    BinaryTemplate,
    UnknownNameError,
    encode,
    fill,
    fill_json,
    fill_namespace,
    names_in,
)
from sseload_users.targets.texts import same_for_all, texts
from sseload_users.transports.endpoint import Endpoint

#: Removes secrets from a text: those of a user, and captured ones.
Redact = Callable[[str, Identity, Collection[str]], str]


class Endpoints:
    """Makes the endpoints of a target; one that many connections have is made once.

    Args:
        spec: the profile's file.
        host: "scheme://host[:port][/base]" with http or https.
        headers: headers of every handshake; they replace the profile's of the same name.
        filler: fills the profile's texts.
        reader: interprets messages.
        redact: removes secrets from a server's texts.
    """

    def __init__(
        self,
        spec: ProfileSpec,
        host: str,
        headers: Headers,
        filler: Filler,
        reader: MessageReader,
        redact: Redact,
    ) -> None:
        self._spec = spec
        self._host = host
        self._headers = headers
        self._filler = filler
        self._reader = reader
        self._redact = redact
        # The user whose endpoint was made last.
        self._latest: tuple[Identity, Endpoint] | None = None

    def of(
        self,
        identity: Identity,
        captured: Mapping[str, str],
        last_event_id: str,
        on_captured: Callable[[Mapping[str, str]], None],
        errands: Errands | None,
        position: Mapping[str, str],
    ) -> Endpoint:
        """Return where and how a connection connects; see `Target.endpoint`."""
        if last_event_id or not self._is_fixed:
            return self._fill(identity, captured, last_event_id, on_captured, errands, position)
        if self._same_for_all is not None:
            return self._same_for_all
        if captured:
            return self._fill(identity, captured, last_event_id, on_captured, errands, position)
        if self._latest is None or self._latest[0] is not identity:
            self._latest = identity, self._fill_for(identity)
        return self._latest[1]

    @cached_property
    def _is_fixed(self) -> bool:
        """Whether a user's connections have the same endpoint, as long as nothing is captured.

        What interprets messages belongs to one connection.
        """
        spec = self._spec
        if any((spec.confirms, spec.after, spec.refuse, spec.end, spec.reply, spec.resume)):
            return False
        given = [
            *(each.value for each in texts(spec.connect)),
            *(text for _, text in self._headers),
        ]
        return all(name != "nonce" for each in given for name in names_in(each))

    @cached_property
    def _same_for_all(self) -> Endpoint | None:
        """The endpoint of all users, if nothing in it depends on the user."""
        if not same_for_all(self._spec.connect, (text for _, text in self._headers)):
            return None
        return self._fill_for(Identity(""))

    def _fill_for(self, identity: Identity) -> Endpoint:
        return self._fill(identity, {}, "", lambda _: None, None, {})

    def _fill(
        self,
        identity: Identity,
        captured: Mapping[str, str],
        last_event_id: str,
        on_captured: Callable[[Mapping[str, str]], None],
        errands: Errands | None,
        position: Mapping[str, str],
    ) -> Endpoint:
        """Fill an endpoint; see `Target.endpoint`."""
        spec, connect = self._spec, self._spec.connect
        values = self._filler.values(identity, captured)
        if spec.resume is not None and position.keys() >= spec.resume.names:
            connect, values = spec.resume.applied(connect), {**values, **position}

        def hide(text: str) -> str:
            return self._redact(text, identity, captured.values())

        talk = Conversation(self._filler, identity, self._headers, captured, on_captured, errands)
        base = self._host if spec.transport == "sse" else "ws" + self._host.removeprefix("http")
        try:
            own = body_headers(connect.body, connect.headers)
            return Endpoint(
                url=filled_url(base, connect.path, connect.query, values),
                method=connect.method,
                body=filled_body(connect.body, own, values),
                http=connect.http,
                multiplex=connect.multiplex,
                headers=merge_headers(own, self._headers, values),
                subprotocols=tuple(fill(each, values, encode) for each in connect.subprotocols),
                hello=tuple(self._hello(connect, values, identity)),
                confirm=self._reader.subscribes(values, talk),
                refuse=self._reader.refuses(values, hide),
                end=self._reader.ends(values, hide),
                reply=self._reader.replies(values, talk),
                max_message=connect.max_message,
                namespace=fill_namespace(connect.namespace, values),
                auth=fill_json(connect.auth, values),
                engine=connect.engine,
                parser=connect.parser,
                transports=connect.transports,
                last_event_id=last_event_id,
            )
        except UnknownNameError as error:
            raise self._filler.missing(error.name, "connect") from None

    def _hello(
        self, connect: ConnectSpec, values: Mapping[str, str], identity: Identity
    ) -> Iterator[str | bytes]:
        """Yield the messages to send first: those that name the channel once for each channel."""
        for each in connect.frames:
            text = each.digits if isinstance(each, BinaryTemplate) else each
            own = identity.channels if "channel" in names_in(text) else ()
            for channel in own or (None,):
                name = {} if channel is None else {"channel": channel}
                yield self._filler.message(each, {**values, **name})
