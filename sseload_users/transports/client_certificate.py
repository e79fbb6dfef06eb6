"""The certificate by which a client identifies itself to a server (mutual TLS)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from sseload_users.transports.causes import text_of


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client's certificate and its key.

    Attributes:
        certificate: PEM file of the certificate chain, and of the key unless `key` is given.
        key: PEM file of the key.
        password: passphrase of the key, if it has one.
    """

    certificate: str
    key: str | None = None
    password: str | None = field(default=None, repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Add the certificate to TLS settings; never ask for a passphrase on the terminal.

        Raises:
            ValueError: a file or the passphrase cannot be used; one sentence.
        """
        try:
            # Without a function for it, OpenSSL asks for the passphrase on the terminal.
            context.load_cert_chain(self.certificate, self.key, self._passphrase)
        except _PassphraseMissingError as error:
            raise ValueError(
                f"client key {self.key or self.certificate!r} has a passphrase; give it in the "
                "environment variable SSELOAD_CLIENT_KEY_PASSWORD or with --client-key-password"
            ) from error
        except (OSError, ValueError) as error:
            hint = "give PEM files of the certificate and its key"
            if self.password is not None:
                hint += ", and the key's passphrase"
            raise ValueError(
                f"client certificate {self.certificate!r} cannot be used: {text_of(error)}; {hint}"
            ) from error

    def _passphrase(self) -> str:
        if self.password is None:
            raise _PassphraseMissingError
        return self.password


class _PassphraseMissingError(Exception):
    """A key has a passphrase, and none was given."""
