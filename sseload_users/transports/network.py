"""The state that all connections of a process share: resolver, TLS, readers, lag."""

from __future__ import annotations

import copy
import logging
import socket
import ssl
import time
from collections.abc import Hashable
from functools import cached_property
from http.client import HTTPConnection
from typing import Literal

import gevent

from sseload_users.transports import ConnectFailed, NotConnected
from sseload_users.transports.carrier import Carrier
from sseload_users.transports.causes import cause_of, text_of
from sseload_users.transports.client_certificate import ClientCertificate
from sseload_users.transports.connect_times import ConnectTimes
from sseload_users.transports.dialer import Dialer
from sseload_users.transports.endpoint import parse_origin
from sseload_users.transports.frame_memo import FrameMemo
from sseload_users.transports.http2_pool import Http2Pool
from sseload_users.transports.inflation import Inflation
from sseload_users.transports.kept_connections import KeptConnections
from sseload_users.transports.lag import LagRecorder
from sseload_users.transports.reader import make_reader
from sseload_users.transports.reading import Reader
from sseload_users.transports.slow_reader import SlowReader
from sseload_users.transports.stamped_socket import StampedSocket
from sseload_users.transports.tcp_connect import stamps_arrivals

_logger = logging.getLogger(__name__)


class Network:
    """Opens connections and holds what all connections of a process share.

    Args:
        connect_timeout: seconds for a transport's ``connect`` as a whole: TCP, TLS,
            handshake and subscription.
        ca_file: PEM file of the certificate authorities to trust instead of the system's.
        client_certificate: identifies the client.
        insecure: accept any server certificate.
        resume_tls: offer the newest TLS session to later connections, as a returning
            browser does; by default each connection makes a full handshake.
        slow_rate: bytes per second that slow connections read.
        compression: offer servers to compress what they send, as a browser does.
        dialer: opens the TCP connections; by default, one with no settings of its own.

    Attributes:
        timestamps: "kernel" if the kernel stamps received bytes, else "userspace".
        lag: the generator's lag, one sample per stamped read.
        share: `LagRecorder.share`, bound once: each decoder keeps it.
        inflation: memo and counts of what is inflated.
        dialer: as given.
        silent: connections that were lost without the server's knowledge; they stay open.
        http2: connections that event streams share.
        kept: connections that wait for another HTTP request.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 30.0,
        ca_file: str | None = None,
        client_certificate: ClientCertificate | None = None,
        insecure: bool = False,
        resume_tls: bool = False,
        slow_rate: float = 1000.0,
        compression: bool = True,
        dialer: Dialer | None = None,
    ) -> None:
        self.connect_timeout = connect_timeout
        self.insecure = insecure
        self.resume_tls = resume_tls
        self.compression = compression
        self.lag = LagRecorder()
        self.share = self.lag.share
        self.inflation = Inflation()
        self._slow_rate = slow_rate
        self._ca_file = ca_file
        self._client_certificate = client_certificate
        self.timestamps: Literal["kernel", "userspace"] = (
            "kernel" if stamps_arrivals() else "userspace"
        )
        self._tls_sessions: dict[str, ssl.SSLSession] = {}
        self._logged: set[str] = set()
        self.dialer = dialer or Dialer()
        self.silent: list[Carrier] = []
        self.http2 = Http2Pool(self.share, compression=compression)
        self.kept: KeptConnections[HTTPConnection] = KeptConnections()
        self._frame_memos: dict[int, FrameMemo] = {}

    def pinned(self, origin: tuple[str, int, bool], address: str) -> Network:
        """Return a network that shares all, and reaches one host at one of its addresses."""
        _ = self.reader  # Otherwise, each would make its own.
        host, port, _secure = origin
        one = copy.copy(self)
        one.dialer = self.dialer.pinned(host, port, address)
        return one

    @cached_property
    def http2_context(self) -> ssl.SSLContext:
        """The TLS settings of connections that speak HTTP/2 if the server chooses it."""
        context = self._make_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """The TLS settings that all other connections share.

        Raises:
            ValueError: see `http2_context`.
        """
        return self._make_context()

    def _make_context(self) -> ssl.SSLContext:
        """Return TLS settings.

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
            self._client_certificate.load_into(context)
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

    def frame_memo(self, max_message: int) -> FrameMemo:
        """Return what all decoders of frames share that have a limit of that many bytes."""
        memo = self._frame_memos.get(max_message)
        if memo is None:
            memo = self._frame_memos[max_message] = FrameMemo()
        return memo

    def close_silent(self) -> None:
        """Close the connections that were lost without the server's knowledge."""
        while self.silent:
            self.silent.pop().close()

    def open(
        self,
        url: str,
        deadline: float,
        *,
        slow: bool = False,
        turn: int | None = None,
        http2: bool = False,
        times: ConnectTimes | None = None,
    ) -> StampedSocket:
        """Connect to a URL's host by TCP, and by TLS if the scheme requires it.

        Args:
            url: with scheme ws, wss, http or https; only scheme, host and port are used.
            deadline: when to give up, on ``time.monotonic``'s clock. It also applies to the
                socket's blocking calls from then on.
            slow: whether to read slowly once the socket is watched.
            turn: which of the host's addresses comes first; see `AddressTurns.order`.
            http2: whether to offer HTTP/2 with TLS, beside HTTP/1.1.
            times: what the steps took is added to it.

        Raises:
            ConnectFailed: at "resolve", "connect" or "tls".
        """
        origin = host, _, secure = parse_origin(url)
        reader = self.slow_reader if slow else self.reader
        buffer = self.slow_reader.receive_buffer if slow else None
        connected = self.dialer.dial(
            origin, deadline, turn=turn, counted=True, receive_buffer=buffer, times=times
        )
        connection = StampedSocket(*connected, reader, deadline)
        if secure:
            try:
                self._start_tls(connection, host, http2=http2)
            except BaseException:
                connection.close()
                raise
            if times is not None:
                times.tls_ns += connection.network_ns - connected[1]
        return connection

    def open_for_request(
        self, url: str, deadline: float, *, turn: int | None = None
    ) -> socket.socket:
        """Connect to a URL's host for HTTP requests; return a socket that waits cooperatively.

        Args:
            url: see `open`; like the rest.
            deadline: see `open`; the socket's timeout is set to the time that is left.
            turn: see `open`.

        Raises:
            OSError: there is no connection.
        """
        origin = host, _, secure = parse_origin(url)
        try:
            raw, _ = self.dialer.dial(origin, deadline, turn=turn)
        except ConnectFailed as error:
            if error.cause == "timed out":
                raise TimeoutError(error.cause) from error
            raise NotConnected(error.cause) from error
        sock = socket.socket(fileno=raw.detach())
        try:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            return self.ssl_context.wrap_socket(sock, server_hostname=host) if secure else sock
        except BaseException:
            sock.close()
            raise

    def route(self, url: str, turn: int | None) -> tuple[Hashable, ...]:
        """Return what connections for HTTP requests that can replace each other have in common.

        Args:
            url: see `open`; like the rest.
            turn: see `open`.

        Raises:
            ConnectFailed: at "resolve": the URL is invalid.
        """
        origin = parse_origin(url)
        return *origin, self.dialer.first_address(origin, turn)

    def keep_tls_session(self, url: str, connection: StampedSocket) -> None:
        """Keep a connection's TLS session for later ones, if they are to resume it."""
        if not self.resume_tls or connection.speaks_http2:
            return
        if (session := connection.tls_session()) is not None:
            self._tls_sessions[parse_origin(url)[0]] = session

    def _start_tls(self, connection: StampedSocket, host: str, *, http2: bool) -> None:
        context = self.http2_context if http2 else self.ssl_context
        # A session belongs to its context.
        session = None if http2 else self._tls_sessions.get(host)
        try:
            connection.start_tls(context, host, session)
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
