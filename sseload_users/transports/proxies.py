"""HTTP proxies: which connections use one, and the tunnel through it (RFC 9110 §9.3.6)."""

from __future__ import annotations

import _socket
import base64
import ipaddress
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import h11

from sseload_users.transports.waiting import wait_readable

#: Most bytes of the head of a proxy's response.
_HEAD_BYTES = 16384


class ProxyFailed(Exception):  # noqa: N818 - the proxy's failure
    """A proxy opened no tunnel; the message is a cause that names the proxy."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: its name or address.
        port: its port.
        authorization: value of the Proxy-Authorization header; empty without a password.
    """

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Host and port, without the password."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str, source: str) -> Proxy:
        """Return the proxy that a URL names.

        Args:
            url: http://[user:password@]host[:port]; the scheme may be left out.
            source: the option or environment variable that it is from, for the error.

        Raises:
            ValueError: it names none; one sentence without the URL, which may have a password.
        """
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname or "", parts.port or 80
        except ValueError:
            parts, host, port = urlsplit(""), "", 0
        if parts.scheme not in ("", "http"):
            raise ValueError(
                f"{source} names a proxy of type {parts.scheme[:20]!r}, which is not supported; "
                "give an HTTP proxy, such as http://proxy.example:3128, or name the target in "
                "NO_PROXY"
            )
        if not host or not url.isprintable() or parts.path not in ("", "/") or parts.query:
            raise ValueError(
                f"{source} is not the URL of a proxy; give one such as http://proxy.example:3128"
            )
        authorization = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        return cls(host, port, authorization)


class Proxies:
    """Which proxy a connection uses.

    Args:
        explicit: URL of the proxy for all connections; None for those of the environment
            (``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``, or in lower case).
    """

    def __init__(self, explicit: str | None) -> None:
        self._explicit = None if explicit is None else Proxy.parse(explicit, "--proxy")
        self._environment: Mapping[str, str] = urllib.request.getproxies_environment()

    def of(self, host: str, port: int, *, secure: bool) -> Proxy | None:
        """Return the proxy for connections to a host; None if they are direct.

        The environment's proxies are not used for this machine itself, nor for what
        ``NO_PROXY`` names.

        Args:
            host: a name or address.
            port: its port.
            secure: whether TLS is used: then ``HTTPS_PROXY`` counts instead of ``HTTP_PROXY``.

        Raises:
            ValueError: the environment's proxy cannot be used; one sentence.
        """
        if self._explicit is not None or not self._environment:
            return self._explicit
        scheme = "https" if secure else "http"
        found = next((each for each in (scheme, "all") if self._environment.get(each)), None)
        if found is None or _is_loopback(host) or self._excludes(host, port):
            return None
        return Proxy.parse(self._environment[found], f"{found.upper()}_PROXY in the environment")

    def _excludes(self, host: str, port: int) -> bool:
        given = self._environment.get("no", "")
        if urllib.request.proxy_bypass_environment(  # type: ignore[attr-defined]
            f"{host}:{port}", {"no": given}
        ):
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        for each in given.replace(",", " ").split():
            try:
                if address in ipaddress.ip_network(each, strict=False):
                    return True
            except ValueError:
                continue
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def open_tunnel(sock: _socket.socket, proxy: Proxy, host: str, port: int, deadline: float) -> None:
    """Ask a proxy for a tunnel to a host; afterwards the socket is the tunnel.

    Args:
        sock: a non-blocking socket, connected to the proxy.
        proxy: the proxy.
        host: where the tunnel ends.
        port: its port.
        deadline: when to give up, on ``time.monotonic``'s clock.

    Raises:
        ProxyFailed: the proxy refused, or did not answer in time.
    """
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
    headers = [("Host", authority), ("User-Agent", "sseload")]
    if proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    try:
        head = client.send(h11.Request(method="CONNECT", target=authority, headers=headers))
        client.send(h11.EndOfMessage())
        # It fits into the empty buffer of a new socket.
        sock.send(head or b"")
        status = _status(sock, client, deadline)
    except TimeoutError as error:
        raise ProxyFailed(f"proxy {proxy.name}: no answer in time") from error
    except OSError as error:
        raise ProxyFailed(f"proxy {proxy.name}: connection closed") from error
    except (h11.ProtocolError, UnicodeError) as error:
        raise ProxyFailed(f"proxy {proxy.name}: bad answer") from error
    if not 200 <= status < 300:
        raise ProxyFailed(f"proxy {proxy.name}: HTTP {status}")


def _status(sock: _socket.socket, client: h11.Connection, deadline: float) -> int:
    """Return the status of the response to a request for a tunnel.

    Raises:
        h11.RemoteProtocolError: this is not HTTP, or too long.
        TimeoutError: the deadline has passed.
        OSError: the connection is broken.
    """
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response):
            return event.status_code
        if event is h11.NEED_DATA:
            client.receive_data(_receive_byte(sock, deadline))


def _receive_byte(sock: _socket.socket, deadline: float) -> bytes:
    # Byte by byte: what follows the head belongs to the tunnel.
    while True:
        try:
            data = sock.recv(1)
        except BlockingIOError:
            wait_readable(sock.fileno(), deadline)
            continue
        if not data:
            raise ConnectionError("connection closed")
        return data
