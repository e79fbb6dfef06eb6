"""TCP connections to where a URL leads: by the addresses of its name, or through a proxy."""

from __future__ import annotations

import _socket
import copy
import errno
import functools
import ipaddress
import itertools
import socket
import time
from collections.abc import Iterator, Sequence

from sseload_users.core.clock import wall_ns
from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.connect_times import ConnectTimes
from sseload_users.transports.proxies import Proxies, Proxy, ProxyFailed, open_tunnel
from sseload_users.transports.resolver import Address, Resolver
from sseload_users.transports.tcp_connect import connect_tcp
from sseload_users.transports.turns import AddressTurns


class Dialer:
    """Opens TCP connections, one after the other to each address of a name.

    Args:
        resolve: addresses of names, each "HOST:PORT:ADDRESS[,ADDRESS]"; for other names the
            system is asked.
        proxy: URL of the HTTP proxy for all connections; None for the environment's.
        source_addresses: local addresses to connect from, in turn.

    Attributes:
        turns: has counted the connections.

    Raises:
        ValueError: an argument is invalid; one sentence.
    """

    def __init__(
        self,
        *,
        resolve: Sequence[str] = (),
        proxy: str | None = None,
        source_addresses: Sequence[str] = (),
    ) -> None:
        self.turns = AddressTurns()
        self._resolver = Resolver(resolve)
        self._proxies = Proxies(proxy)
        self._sources = _sources_by_family(source_addresses)

    def proxy_for(self, host: str, port: int, *, secure: bool) -> Proxy | None:
        """Return the proxy that connections to a host use; see `Proxies.of`."""
        return self._proxies.of(host, port, secure=secure)

    def addresses(self, origin: tuple[str, int, bool], deadline: float) -> list[str]:
        """Return the addresses of a host that are used in turn; none behind a proxy.

        They are of one family, like those of `AddressTurns`.

        Args:
            origin: host, port, and whether TLS will be used.
            deadline: when to give up, on ``time.monotonic``'s clock.

        Raises:
            ConnectFailed: at "resolve": no such host, or no answer in time.
        """
        host, port, secure = origin
        if self.proxy_for(host, port, secure=secure) is not None:
            return []
        found = self._resolver.resolve(host, port, deadline)
        own = {address[0] for family, address in found if family == found[0][0]}
        return sorted(own, key=ipaddress.ip_address)

    def first_address(self, origin: tuple[str, int, bool], turn: int | None) -> Address | None:
        """Return the address that a connection would try first; None if any of them.

        Args:
            origin: host, port, and whether TLS will be used.
            turn: see `dial`.
        """
        host, port, _ = origin
        known = self._resolver.known(host, port)
        if len(known) == 1:
            return known[0]
        if turn is None or not known:
            return None
        return self.turns.order(_name(host, port), known, turn)[0]

    def pinned(self, host: str, port: int, address: str) -> Dialer:
        """Return a dialer that knows only one address of a host; they count together."""
        one = copy.copy(self)
        one._resolver = Resolver([f"{_bracketed(host)}:{port}:{address}"])  # noqa: SLF001
        return one

    def dial(
        self,
        origin: tuple[str, int, bool],
        deadline: float,
        *,
        turn: int | None = None,
        counted: bool = False,
        receive_buffer: int | None = None,
        times: ConnectTimes | None = None,
    ) -> tuple[_socket.socket, int]:
        """Open a non-blocking connection to a host.

        Args:
            origin: host, port, and whether TLS will be used; see `parse_origin`.
            deadline: when to give up, on ``time.monotonic``'s clock.
            turn: which address comes first; see `AddressTurns.order`.
            counted: whether to count it as a connection of its address.
            receive_buffer: size of the receive buffer in bytes; None leaves it to the kernel.
            times: what the look-up and the connect took is added to it.

        Returns:
            The socket, and when it was connected (wall clock, ns).

        Raises:
            ConnectFailed: at "resolve" or "connect".
        """
        host, port, secure = origin
        times = times or ConnectTimes()
        try:
            proxy = self.proxy_for(host, port, secure=secure)
        except ValueError as error:
            raise ConnectFailed("connect", "proxy not supported", str(error)) from error
        if proxy is None:
            return self._dial(host, port, deadline, turn, receive_buffer, times, counted=counted)
        self.turns.count(_name(host, port), proxy.name, "proxied", int(counted))
        try:
            sock, opened_ns = self._dial(
                proxy.host, proxy.port, deadline, turn, receive_buffer, times, counted=False
            )
        except ConnectFailed as error:
            if error.cause in _OWN_CAUSES:
                raise
            cause = f"proxy {proxy.name}: {error.cause}"
            raise ConnectFailed("connect", cause, error.detail) from error
        try:
            # An address that was given for the name goes to the proxy, too.
            known = self._resolver.given(host, port)
            open_tunnel(sock, proxy, known or host, port, deadline)
        except ProxyFailed as error:
            sock.close()
            raise ConnectFailed("connect", str(error)) from error
        except BaseException:
            sock.close()
            raise
        connected_ns = wall_ns()
        times.tcp_ns += connected_ns - opened_ns
        return sock, connected_ns

    def _dial(
        self,
        host: str,
        port: int,
        deadline: float,
        turn: int | None,
        receive_buffer: int | None,
        times: ConnectTimes,
        *,
        counted: bool,
    ) -> tuple[_socket.socket, int]:
        name, turns = _name(host, port), self.turns
        asked_ns = resolved_ns = wall_ns()
        addresses = self._resolver.known(host, port)
        if not addresses:
            addresses = self._resolver.resolve(host, port, deadline)
            resolved_ns = wall_ns()
            times.resolve_ns += resolved_ns - asked_ns
        left = turns.order(name, addresses, turn)
        failed: OSError | None = None
        while left:
            address = left.pop(0)
            try:
                source = self._next_source(address[0]) if self._sources else None
                until = _share(deadline) if left else deadline
                sock, syn_ns, connected_ns = connect_tcp(*address, source, until, receive_buffer)
            except OSError as error:
                failed = error
                if cause_of(error) not in _OWN_CAUSES:
                    turns.note_failed(name, address)
                    if counted:
                        turns.count(name, address[1][0], "failed")
                if time.monotonic() >= deadline:
                    break
                continue
            turns.note_accepted(name, address)
            if counted:
                if len(addresses) > 1:
                    turns.count_known(name, addresses)
                turns.count(name, address[1][0], "connected")
            # A client waits for the addresses that fail, too.
            times.tcp_ns += connected_ns - (syn_ns if failed is None else resolved_ns)
            return sock, connected_ns
        if failed is None:
            raise ConnectFailed("resolve", "no such host", host)
        # The host may have moved: the next connection looks it up again.
        self._resolver.forget(host, port)
        raise ConnectFailed("connect", cause_of(failed), str(failed)) from failed

    def _next_source(self, family: int) -> str:
        if family not in self._sources:
            raise OSError(errno.EAFNOSUPPORT, "no source address of this family")
        return next(self._sources[family])


#: Causes that lie with this machine, whatever the address.
_OWN_CAUSES = frozenset(
    {"too many open files", "no free local port", "no source address of this family"}
)


def _share(deadline: float) -> float:
    """Return when to give up on an address: half of the time is for the other ones."""
    now = time.monotonic()
    return now + (deadline - now) / 2


def _bracketed(host: str) -> str:
    """Return a host as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


@functools.lru_cache(maxsize=1024)
def _name(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"


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
