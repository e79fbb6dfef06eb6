"""What all connections of a process share: addresses, TLS, timeouts, the generator's lag."""

from __future__ import annotations

import errno
import ipaddress
import itertools
import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import gevent
import gevent.event
import gevent.monkey
import gevent.socket

from sseload_users.transports import ConnectFailed
from sseload_users.transports.reader import LagRecorder, Reader, make_reader
from sseload_users.transports.slow import SlowReader
from sseload_users.transports.stamped_socket import StampedSocket
from sseload_users.transports.tcp_connect import connect_tcp, stamps_arrivals

_logger = logging.getLogger(__name__)

_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}

#: An address family and a socket address, as ``socket.connect`` takes it.
Address: TypeAlias = tuple[int, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how one connection connects; a target profile makes it.

    Attributes:
        url: ``ws://`` or ``wss://`` for WebSocket and Socket.IO, ``http://`` or
            ``https://`` for server-sent events.
        headers: further request headers, in order. ``Host``, ``Origin`` and ``Cookie``
            replace what would be sent by default.
        subprotocols: WebSocket subprotocols to offer; the server must choose one.
        hello: text frames to send after the handshake.
        confirm: says whether a message confirms the subscription; without it the
            handshake does.
        refuse: the cause, if a message refuses the subscription.
        reply: what to answer to a keep-alive message, or None. Only asked about messages
            in which no code was found.
        max_message: bytes; a larger message ends the session: "message too large".
        namespace: Socket.IO's namespace to join.
        auth: what Socket.IO sends along with the wish to join, as JSON.
        last_event_id: of the session before, where an event stream is to go on from.
        slow: it reads slowly, as the network says.
    """

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    subprotocols: tuple[str, ...] = ()
    hello: tuple[str, ...] = field(default=(), repr=False)
    confirm: Callable[[bytes], bool] | None = None
    refuse: Callable[[bytes], str | None] | None = None
    reply: Callable[[bytes], str | None] | None = None
    max_message: int = 1 << 20
    namespace: str = "/"
    auth: Mapping[str, object] | None = field(default=None, repr=False)
    last_event_id: str = ""
    slow: bool = False


class Network:
    """What all connections of a process share.

    Args:
        connect_timeout: seconds for a transport's ``connect`` as a whole: TCP, TLS,
            handshake and subscription.
        ca_file: a PEM file of certificate authorities to trust instead of the system's.
        client_certificate: a PEM file with the client's certificate chain, and its key
            unless ``client_key`` has it.
        client_key: a PEM file with the client certificate's key.
        insecure: accept any server certificate.
        resume_tls: offer the newest TLS session to later connections, as a browser that
            comes back does; by default each connection makes a full handshake.
        source_addresses: local addresses to connect from, in turn.
        slow_rate: bytes a second that slow connections read.

    Attributes:
        timestamps: "kernel" where received bytes are stamped by the kernel, else
            "userspace".
        lag: the generator's lag, one sample for each stamped read.

    Raises:
        ValueError: a source address that is none; one sentence.
    """

    def __init__(
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
    ) -> None:
        self.connect_timeout = connect_timeout
        self.insecure = insecure
        self.resume_tls = resume_tls
        self.lag = LagRecorder()
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
        self._resolved: dict[tuple[str, int], list[Address]] = {}
        self._resolving: dict[tuple[str, int], gevent.event.AsyncResult[list[Address]]] = {}

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """The TLS settings that all connections share.

        Raises:
            ValueError: a certificate file that cannot be used; one sentence.
        """
        try:
            context = ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ValueError(
                f"CA file {self._ca_file!r} cannot be used: {_words(error)}; "
                "give a PEM file of certificates"
            ) from error
        if self._client_certificate is not None:
            try:
                context.load_cert_chain(self._client_certificate, self._client_key)
            except (OSError, ssl.SSLError) as error:
                raise ValueError(
                    f"client certificate {self._client_certificate!r} cannot be used: "
                    f"{_words(error)}; give PEM files of the certificate and its key"
                ) from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @cached_property
    def reader(self) -> Reader:
        """What watches this process's connections, in the hub that first asked for it."""
        return make_reader(self.lag, stamped=self.timestamps == "kernel")

    @cached_property
    def slow_reader(self) -> SlowReader:
        """What reads this process's slow connections."""
        return SlowReader(self.lag, self._slow_rate)

    def open(self, url: str, deadline: float, *, slow: bool = False) -> StampedSocket:
        """Connect to a URL's host: TCP, and TLS where the scheme asks for it.

        Args:
            url: ws, wss, http or https; only its scheme, host and port are looked at.
            deadline: until when, on ``time.monotonic``'s clock. It stays the arrival's
                deadline for what is received and sent next.
            slow: it is to read slowly, once it is watched.

        Raises:
            ConnectFailed: at "resolve", "connect" or "tls".
        """
        host, port, secure = origin(url)
        addresses = self._resolve(host, port, deadline)
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
                # What answers goes first: "localhost" is two addresses and most servers
                # listen on one of them.
                addresses.remove(address)
                addresses.insert(0, address)
            arrival = StampedSocket(*connected, reader, deadline)
            if secure:
                try:
                    self._start_tls(arrival, host)
                except BaseException:
                    arrival.close()
                    raise
            return arrival
        if failed is None:
            raise ConnectFailed("resolve", "no such host", host)
        # The host may have moved: the next connection asks anew.
        self._resolved.pop((host, port), None)
        raise ConnectFailed("connect", cause_of(failed), str(failed)) from failed

    def keep_tls_session(self, url: str, arrival: StampedSocket) -> None:
        """Remember a connection's TLS session for later ones, if they are to resume it."""
        if self.resume_tls and (session := arrival.tls_session()) is not None:
            self._tls_sessions[origin(url)[0]] = session

    def _start_tls(self, arrival: StampedSocket, host: str) -> None:
        try:
            arrival.start_tls(self.ssl_context, host, self._tls_sessions.get(host))
        except ssl.SSLCertVerificationError as error:
            raise ConnectFailed("tls", cause_of(error), error.verify_message) from error
        except ssl.SSLError as error:
            cause = (error.reason or "handshake failed").lower().replace("_", " ")
            raise ConnectFailed("tls", cause, str(error)) from error
        except OSError as error:
            raise ConnectFailed("tls", cause_of(error), str(error)) from error

    def log_once(self, error: Exception) -> None:
        """Log what a callback raised, once for each kind: it may come from every session."""
        if isinstance(error, MemoryError):
            gevent.get_hub().handle_error(self, MemoryError, error, None)
            return
        kind = f"{type(error).__name__}: {error}"
        if kind not in self._logged and len(self._logged) < 100:
            self._logged.add(kind)
            _logger.error("a session ended because its callback raised %s", kind, exc_info=error)

    def _resolve(self, host: str, port: int, deadline: float) -> list[Address]:
        key = (host, port)
        if known := self._resolved.get(key):
            return known
        try:
            # An address in figures needs no resolver, and no turn of its thread.
            numeric = gevent.monkey.get_original("socket", "getaddrinfo")
            found = numeric(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            pass
        else:
            return self._resolved.setdefault(key, [(item[0], item[4]) for item in found])
        # One look-up for all who ask meanwhile: a burst of a thousand connections must not
        # become a thousand questions to the resolver.
        pending = self._resolving.get(key)
        if pending is None:
            pending = self._resolving[key] = gevent.event.AsyncResult()
            gevent.spawn(self._look_up, key, pending)
        if not pending.wait(max(deadline - time.monotonic(), 0)) and not pending.ready():
            raise ConnectFailed("resolve", "timed out", host)
        try:
            return pending.get() or []
        except OSError as error:
            cause = "no such host" if isinstance(error, socket.gaierror) else cause_of(error)
            raise ConnectFailed("resolve", cause, f"{host}: {_words(error)}") from error
        except UnicodeError as error:
            raise ConnectFailed("resolve", "no such host", f"{host}: {error}") from error

    def _look_up(
        self, key: tuple[str, int], pending: gevent.event.AsyncResult[list[Address]]
    ) -> None:
        try:
            found = gevent.socket.getaddrinfo(*key, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        except (OSError, UnicodeError) as error:
            pending.set_exception(error)
        else:
            self._resolved[key] = [(family, address) for family, _, _, _, address in found]
            pending.set(self._resolved[key])
        finally:
            del self._resolving[key]

    def _next_source(self, family: int) -> str | None:
        if not self._sources:
            return None
        if family not in self._sources:
            raise OSError(errno.EAFNOSUPPORT, "no source address of this family")
        return next(self._sources[family])


def origin(url: str) -> tuple[str, int, bool]:
    """The host, the port and whether TLS is asked for.

    Raises:
        ConnectFailed: at "resolve", for a URL that names no host or no known scheme.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConnectFailed("resolve", "bad URL", f"{url}: {error}") from error
    if not host or parts.scheme not in _PORTS:
        raise ConnectFailed("resolve", "bad URL", url)
    return host, port or _PORTS[parts.scheme], parts.scheme in ("wss", "https")


def cause_of(error: OSError) -> str:
    """A short, countable cause for a system error, without addresses or numbers."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_CAUSES.get(error.verify_code, "certificate not trusted")
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or 'failed').lower().replace('_', ' ')}"
    if error.errno in _CAUSES:
        return _CAUSES[error.errno]
    return _words(error).lower()


def raise_file_limit(needed: int) -> tuple[int, int]:
    """Raise the limit of open files towards what is needed.

    The hard limit is the end of what a process may give itself.

    Args:
        needed: connections, plus whatever else the process opens.

    Returns:
        The limit now, and how many of the needed files fit in it.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return sys.maxsize, needed
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or soft < hard):
        wanted = max(soft, needed) if hard == resource.RLIM_INFINITY else hard
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):
            # macOS refuses more than the kernel's own limit, which it does not name here.
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize, needed
    return soft, min(needed, soft)


_CAUSES = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ECONNABORTED: "connection reset",
    errno.ETIMEDOUT: "timed out",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.EADDRNOTAVAIL: "no free local port",
    errno.EADDRINUSE: "no free local port",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.EAFNOSUPPORT: "no source address of this family",
}

# OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_HOSTNAME_MISMATCH and
# X509_V_ERR_IP_ADDRESS_MISMATCH.
_CERTIFICATE_CAUSES = {
    10: "certificate expired",
    62: "certificate for another host",
    64: "certificate for another host",
}


def _sources_by_family(addresses: Sequence[str]) -> dict[int, Iterator[str]]:
    families: dict[int, list[str]] = {}
    for address in addresses:
        try:
            version = ipaddress.ip_address(address).version
        except ValueError:
            raise ValueError(
                f"source address {address!r} is no IP address; give addresses of this "
                "machine, such as 192.0.2.10"
            ) from None
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        families.setdefault(family, []).append(address)
    return {family: itertools.cycle(own) for family, own in families.items()}


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
