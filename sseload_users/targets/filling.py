"""Fill a profile's texts with a target's values: requests, and messages to send."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from sseload_users.core.errors import ConfigError
from sseload_users.targets.hosts import origin
from sseload_users.targets.identities import Identity
from sseload_users.targets.needs import missing_value
from sseload_users.targets.profile import Profile
from sseload_users.targets.requests import Headers, RequestTemplate
from sseload_users.targets.schema import RequestSpec
from sseload_users.targets.template import (
    BinaryTemplate,
    Json,
    UnknownNameError,
    fill_namespace,
    fill_text,
)
from sseload_users.transports import ConnectFailed
from sseload_users.transports.http_request import HttpRequest


def channel_values(channels: Sequence[str]) -> dict[str, str]:
    """Return the values of the names that stand for channels; empty if there are none."""
    return {"channel": channels[0], "channels": ",".join(channels)} if channels else {}


class Filler:
    """Fill the texts of one profile at one host.

    Args:
        profile: the profile.
        host: "scheme://host[:port][/base]".
        given: texts by name, from ``--value``.
    """

    def __init__(self, profile: Profile, host: str, given: Mapping[str, str]) -> None:
        self._profile = profile
        self._host = host
        self._given = given
        self._origin = origin(host)
        self._templates: dict[tuple[int, int], RequestTemplate] = {}

    @property
    def constants(self) -> dict[str, str]:
        """The values that are the same for all connections and users."""
        return {**self._profile.spec.values, **self._given}

    def values(self, identity: Identity, captured: Mapping[str, str]) -> dict[str, str]:
        """Return all values by name.

        Args:
            identity: the user.
            captured: values captured from the server, by name.
        """
        return {
            **self.constants,
            **identity.fields,
            **channel_values(identity.channels),
            **captured,
            "username": identity.username,
            "nonce": secrets.token_hex(8),
            "host": self._host,
            "origin": self._origin,
        }

    def request(
        self,
        request: RequestSpec,
        identity: Identity,
        captured: Mapping[str, str],
        key: str,
        headers: Headers,
    ) -> HttpRequest:
        """Return a request.

        Args:
            request: its description in the profile.
            identity: the user.
            captured: values captured from the server, by name.
            key: key of the description, for errors.
            headers: additional headers; they replace the profile's of the same name.

        Raises:
            ConfigError: a name has no value.
            ConnectFailed: at "subscribe": the server did not give a value.
        """
        # By identity: a template keeps both, and neither is changed.
        template = self._templates.get((id(request), id(headers)))
        if template is None:
            template = RequestTemplate(request, self._host, headers)
            self._templates[id(request), id(headers)] = template
        try:
            return template.fill(self.values(identity, captured))
        except UnknownNameError as error:
            raise self.missing(error.name, key) from None

    def message(
        self, send: Json | BinaryTemplate, values: Mapping[str, str], ack_id: int | None = None
    ) -> str | bytes:
        """Return a message to send; with Socket.IO, a list is an event with its arguments.

        Args:
            send: its description in the profile.
            values: values by name.
            ack_id: ID with which a Socket.IO event requests an acknowledgement.

        Raises:
            UnknownNameError: a name has no value.
        """
        if isinstance(send, BinaryTemplate):
            return send.fill(values)
        spec = self._profile.spec
        if spec.transport == "socketio" and isinstance(send, list):
            namespace = fill_namespace(spec.connect.namespace, values)
            head = f"42{'' if namespace == '/' else namespace + ','}"
            return f"{head}{'' if ack_id is None else ack_id}{fill_text(send, values)}"
        return fill_text(send, values)

    def text_at(self, key: str, text: Json, values: Mapping[str, str]) -> str:
        """Return the text at a key of the profile; a table or list as JSON.

        Raises:
            ConfigError: a name has no value.
            ConnectFailed: at "subscribe": the server did not give a value.
        """
        try:
            return fill_text(text, values)
        except UnknownNameError as error:
            raise self.missing(error.name, key) from None

    def message_at(
        self,
        key: str,
        send: Json | BinaryTemplate,
        values: Mapping[str, str],
        ack_id: int | None = None,
    ) -> str | bytes:
        """Return the message at a key of the profile; see `message`.

        Raises:
            ConfigError: a name has no value.
            ConnectFailed: at "subscribe": the server did not give a value.
        """
        try:
            return self.message(send, values, ack_id)
        except UnknownNameError as error:
            raise self.missing(error.name, key) from None

    def missing(self, name: str, key: str) -> ConfigError | ConnectFailed:
        """Return the error for a name without a value.

        Args:
            name: the name.
            key: key of the text that contains it.
        """
        if name in self._profile.spec.captured():
            return ConnectFailed("subscribe", f"the server gave no {name}")
        return missing_value(self._profile, key, name)
