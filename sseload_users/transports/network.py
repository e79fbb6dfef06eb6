"""The state that all connections of a process share: resolver, TLS, readers, lag."""

from __future__ import annotations

import errno
import ipaddress
import itertools
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal

import gevent

from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of, text_of
from sseload_users.transports.endpoint import parse_origin
from sseload_users.transports.inflation import Inflation
from sseload_users.transports.lag import LagRecorder
from sseload_users.transports.reader import make_reader
from sseload_users.transports.reading import Reader
from sseload_users.transports.resolver import Resolver
from sseload_users.transports.slow_reader import SlowReader
from sseload_users.transports.stamped_socket import StampedSocket
from sseload_users.transports.tcp_connect import connect_tcp, stamps_arrivals

_logger = logging.getLogger(__name__)


class Network:
    """Opens connections and holds what all connections of a process share.

    Args:
        connect_timeout: seconds for a transport's ``connect`` as a whole: TCP, TLS,
            handshake and subscription.
        ca_file: PEM file of the certificate authorities to trust instead of the system's.
        client_certificate: PEM file of the client's certificate chain, and of its key
            unless ``client_key`` is given.
        client_key: PEM file of the client certificate's key.
        insecure: accept any server certificate.
        resume_tls: offer the newest TLS session to later connections, as a returning
            browser does; by default each connection makes a full handshake.
        source_addresses: local addresses to connect from, in turn.
        slow_rate: bytes per second that slow connections read.
        compression: offer servers to compress what they send, as a browser does.

    Attributes:
        timestamps: "kernel" if the kernel stamps received bytes, else "userspace".
        lag: the generator's lag, one sample per stamped read.
        inflation: memo and counts of what is inflated.

    Raises:
        ValueError: a source address is not an IP address; one sentence.
    """

    def __init__(  # noqa: PLR0913 - settings, each by its name
        self,
        *,
        connect_timeout: float = 30.0,
        ca_file: str | None = None,
        client_certificate: str | None = None,
        client_key: str | None = None,
        insecure: bool = False,
        resume_tls: bool = False,
        source_addresses: Sequence[str] = (),
        slow_rate: float = 1000.0,
        compression: bool = True,
    ) -> None:
        self.connect_timeout = connect_timeout
        self.insecure = insecure
        self.resume_tls = resume_tls
        self.compression = compression
        self.lag = LagRecorder()
        self.inflation = Inflation()
        self._slow_rate = slow_rate
        self._ca_file = ca_file
        self._client_certificate = client_certificate
        self._client_key = client_key
        self.timestamps: Literal["kernel", "userspace"] = (
            "kernel" if stamps_arrivals() else "userspace"
        )
        self._tls_sessions: dict[str, ssl.SSLSession] = {}
        self._logged: set[str] = set()
        self._sources = _sources_by_family(source_addresses)
        self._resolver = Resolver()

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """The TLS settings that all connections share.

        Raises:
            ValueError: a certificate file cannot be used; one sentence.
        """
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ValueError(
                f"CA file {self._ca_file!r} cannot be used: {text_of(error)}; "
                "give a PEM file of certificates"
            ) from error
        if self._client_certificate is not None:
            try:
                context.load_cert_chain(self._client_certificate, self._client_key)
            except (OSError, ssl.SSLError) as error:
                raise ValueError(
                    f"client certificate {self._client_certificate!r} cannot be used: "
                    f"{text_of(error)}; give PEM files of the certificate and its key"
                ) from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @cached_property
    def reader(self) -> Reader:
        """Reads this process's connections, in the hub that first used it."""
        return make_reader(self.lag, stamped=self.timestamps == "kernel")

    @cached_property
    def slow_reader(self) -> SlowReader:
        """Reads this process's slow connections."""
        return SlowReader(self.lag, self._slow_rate)

    def open(self, url: str, deadline: float, *, slow: bool = False) -> StampedSocket:
        """Connect to a URL's host by TCP, and by TLS if the scheme requires it.

        Args:
            url: with scheme ws, wss, http or https; only scheme, host and port are used.
            deadline: when to give up, on ``time.monotonic``'s clock. It also applies to the
                socket's blocking calls from then on.
            slow: whether to read slowly once the socket is watched.

        Raises:
            ConnectFailed: at "resolve", "connect" or "tls".
        """
        host, port, secure = parse_origin(url)
        addresses = self._resolver.resolve(host, port, deadline)
        failed: OSError | None = None
        reader = self.slow_reader if slow else self.reader
        buffer = self.slow_reader.receive_buffer if slow else None
        for address in list(addresses):
            try:
                connected = connect_tcp(*address, self._next_source(address[0]), deadline, buffer)
            except OSError as error:
                failed = error
                continue
            if address is not addresses[0]:
                # The address that accepts goes first: "localhost" has two, and most
                # servers listen on one of them.
                addresses.remove(address)
                addresses.insert(0, address)
            connection = StampedSocket(*connected, reader, deadline)
            if secure:
                try:
                    self._start_tls(connection, host)
                except BaseException:
                    connection.close()
                    raise
            return connection
        if failed is None:
            raise ConnectFailed("resolve", "no such host", host)
        # The host may have moved: the next connection looks it up again.
        self._resolver.forget(host, port)
        raise ConnectFailed("connect", cause_of(failed), str(failed)) from failed

    def keep_tls_session(self, url: str, connection: StampedSocket) -> None:
        """Keep a connection's TLS session for later ones, if they are to resume it."""
        if self.resume_tls and (session := connection.tls_session()) is not None:
            self._tls_sessions[parse_origin(url)[0]] = session

    def _start_tls(self, connection: StampedSocket, host: str) -> None:
        try:
            connection.start_tls(self.ssl_context, host, self._tls_sessions.get(host))
        except ssl.SSLCertVerificationError as error:
            raise ConnectFailed("tls", cause_of(error), error.verify_message) from error
        except ssl.SSLError as error:
            cause = (error.reason or "handshake failed").lower().replace("_", " ")
            raise ConnectFailed("tls", cause, str(error)) from error
        except OSError as error:
            raise ConnectFailed("tls", cause_of(error), str(error)) from error

    def log_once(self, error: Exception) -> None:
        """Log an error that a callback raised, once per kind: every session may raise it."""
        if isinstance(error, MemoryError):
            gevent.get_hub().handle_error(self, MemoryError, error, None)
            return
        kind = f"{type(error).__name__}: {error}"
        if kind not in self._logged and len(self._logged) < 100:
            self._logged.add(kind)
            _logger.error("a session ended because its callback raised %s", kind, exc_info=error)

    def _next_source(self, family: int) -> str | None:
        if not self._sources:
            return None
        if family not in self._sources:
            raise OSError(errno.EAFNOSUPPORT, "no source address of this family")
        return next(self._sources[family])


def _sources_by_family(addresses: Sequence[str]) -> dict[int, Iterator[str]]:
    families: dict[int, list[str]] = {}
    for address in addresses:
        try:
            version = ipaddress.ip_address(address).version
        except ValueError:
            raise ValueError(
                f"source address {address!r} is not an IP address; give addresses of this "
                "machine, such as 192.0.2.10"
            ) from None
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        families.setdefault(family, []).append(address)
    return {family: itertools.cycle(own) for family, own in families.items()}
