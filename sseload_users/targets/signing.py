"""The table ``[ingest.sign]``: requests that are signed with a secret, over body and time."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import Discriminator, Field, Tag, model_validator

from sseload_users.targets.schema import Table
from sseload_users.targets.template import fill, fill_header
from sseload_users.targets.value_types import HeaderTable
from sseload_users.transports.http_request import HttpRequest

#: Names that only `over` and `headers` have.
SIGNING_NAMES = ("time", "body", "method", "path", "signature")

_S = 1_000_000_000


class PusherSignSpec(Table):
    """Signatures as Pusher's HTTP API requires them, in the query."""

    scheme: Literal["pusher"]
    """The kind of signature."""
    key: str
    """The application's key."""
    secret: str
    """The application's secret."""

    def sign(self, request: HttpRequest, values: Mapping[str, str], sent_ns: int) -> HttpRequest:
        """Return a request with its signature.

        Pusher Channels HTTP API reference, "Authentication".

        Args:
            request: the request.
            values: values by name.
            sent_ns: when it is sent (wall clock, ns).
        """
        parts = urlsplit(request.url)
        query = {
            **dict(parse_qsl(parts.query, keep_blank_values=True)),
            "auth_key": fill(self.key, values),
            "auth_timestamp": str(sent_ns // _S),
            "auth_version": "1.0",
        }
        if request.body:
            query["body_md5"] = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
        signed = "&".join(f"{name}={query[name]}" for name in sorted(query, key=str.lower))
        text = f"{request.method}\n{parts.path}\n{signed}"
        secret = fill(self.secret, values).encode()
        query["auth_signature"] = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return replace(request, url=parts._replace(query=urlencode(query)).geturl())


class HmacSignSpec(Table):
    """A signature in a header: an HMAC (RFC 2104) over parts of the request."""

    scheme: Literal["hmac"]
    """The kind of signature."""
    secret: str
    """The key of the HMAC, as text."""
    over: str = "{time}.{body}"
    """What is signed. Beside all other names, it has `{time}` (seconds since 1970), `{body}`,
    `{method}` and `{path}` (with the query)."""
    hash: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    """The hash function."""
    encoding: Literal["hex", "base64"] = "hex"
    """How the signature is written."""
    headers: HeaderTable = Field(min_length=1)
    """The headers to add. They have the same names as `over`, and `{signature}`."""

    @model_validator(mode="after")
    def _has_signature(self) -> HmacSignSpec:
        if not any("{signature}" in each for each in self.headers.values()):
            raise ValueError("headers lack {signature}: use it where the server reads it")
        if "{signature}" in self.over:
            raise ValueError("over has {signature}, which is made from it; remove it")
        return self

    def sign(self, request: HttpRequest, values: Mapping[str, str], sent_ns: int) -> HttpRequest:
        """Return a request with its signature; see `PusherSignSpec.sign`."""
        parts = urlsplit(request.url)
        own = {
            **values,
            "time": str(sent_ns // _S),
            "body": request.body.decode(errors="replace"),
            "method": request.method,
            "path": parts.path + (f"?{parts.query}" if parts.query else ""),
        }
        secret = fill(self.secret, values).encode()
        digest = hmac.new(secret, fill(self.over, own).encode(), self.hash).digest()
        own["signature"] = (
            digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode()
        )
        names = {name.lower() for name in self.headers}
        kept = (each for each in request.headers if each[0].lower() not in names)
        signed = ((name, fill_header(value, own)) for name, value in self.headers.items())
        return replace(request, headers=(*kept, *signed))


def _scheme(value: object) -> str | None:
    given = value.get("scheme") if isinstance(value, dict) else getattr(value, "scheme", None)
    return f"<{given}>" if given in ("pusher", "hmac") else None


#: How requests are signed. The tags locate validation errors in one of the two tables.
SignSpec: TypeAlias = Annotated[
    Annotated[PusherSignSpec, Tag("<pusher>")] | Annotated[HmacSignSpec, Tag("<hmac>")],
    Discriminator(
        _scheme,
        custom_error_type="way_in",
        custom_error_message="scheme must be 'pusher' or 'hmac'",
    ),
]
