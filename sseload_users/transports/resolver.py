"""Host names to addresses, looked up once for all connections of a process."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Iterable
from typing import Any, TypeAlias

import gevent
import gevent.event
import gevent.monkey
import gevent.socket

from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of, text_of

#: An address family and a socket address, as ``socket.connect`` takes it.
Address: TypeAlias = tuple[int, tuple[Any, ...]]


class Resolver:
    """A cache of addresses by host and port.

    Simultaneous requests for one name share one lookup, so that a burst of a thousand
    connections does not become a thousand questions to the system's resolver.

    Args:
        given: addresses that are known beforehand, each "HOST:PORT:ADDRESS[,ADDRESS]".

    Raises:
        ValueError: a text is not of that form; one sentence.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._given = parse_given(given)
        self._resolved: dict[tuple[str, int], list[Address]] = {}
        self._pending: dict[tuple[str, int], gevent.event.AsyncResult[list[Address]]] = {}

    def resolve(self, host: str, port: int, deadline: float) -> list[Address]:
        """Return the addresses of a host, best first; do not change the list.

        Args:
            host: a name or a numeric address.
            port: goes into each address.
            deadline: when to give up, on ``time.monotonic``'s clock.

        Raises:
            ConnectFailed: at "resolve": no such host, or no answer before the deadline.
        """
        key = (host, port)
        if known := self.known(host, port):
            return known
        try:
            # A numeric address needs neither the resolver nor a thread.
            numeric = gevent.monkey.get_original("socket", "getaddrinfo")
            found = numeric(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            pass
        else:
            return self._resolved.setdefault(key, [(item[0], item[4]) for item in found])
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = gevent.event.AsyncResult()
            gevent.spawn(self._look_up, key, pending)
        if not pending.wait(max(deadline - time.monotonic(), 0)) and not pending.ready():
            raise ConnectFailed("resolve", "timed out", host)
        try:
            return pending.get() or []
        except OSError as error:
            cause = "no such host" if isinstance(error, socket.gaierror) else cause_of(error)
            raise ConnectFailed("resolve", cause, f"{host}: {text_of(error)}") from error
        except UnicodeError as error:
            raise ConnectFailed("resolve", "no such host", f"{host}: {error}") from error

    def known(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a host as far as they are known; do not change the list."""
        key = (host, port)
        return self._given.get(key) or self._resolved.get(key) or []

    def forget(self, host: str, port: int) -> None:
        """Look the host up again when it is next asked for."""
        self._resolved.pop((host, port), None)

    def given(self, host: str, port: int) -> str | None:
        """Return the first address that is known beforehand; None if there is none."""
        known = self._given.get((host, port))
        return known[0][1][0] if known else None

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
            del self._pending[key]


_GIVEN = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:\[\]]+):(?P<port>\d{1,5}):(?P<addresses>.+)")


def parse_given(texts: Iterable[str]) -> dict[tuple[str, int], list[Address]]:
    """Return addresses by host and port.

    Args:
        texts: each "HOST:PORT:ADDRESS[,ADDRESS]"; an IPv6 address may stand in brackets. Several
            texts with one host and port add up.

    Raises:
        ValueError: a text is not of that form; one sentence.
    """
    found: dict[tuple[str, int], list[Address]] = {}
    for text in texts:
        match = _GIVEN.fullmatch(text.strip())
        port = 0 if match is None else int(match["port"])
        addresses = [] if match is None else _addresses(match["addresses"], port)
        if match is None or not 0 < port < 65536 or not addresses:
            raise ValueError(
                f"--resolve {text!r} is not of the form HOST:PORT:ADDRESS; give for example "
                "app.example.org:443:203.0.113.7"
            )
        found.setdefault((match["host"].strip("[]").lower(), port), []).extend(addresses)
    return found


def _addresses(text: str, port: int) -> list[Address]:
    """Return the addresses in a text, separated by commas; none if one is invalid."""
    found: list[Address] = []
    for each in text.split(","):
        try:
            address = ipaddress.ip_address(each.strip().strip("[]"))
        except ValueError:
            return []
        if address.version == 4:
            found.append((socket.AF_INET, (str(address), port)))
        else:
            found.append((socket.AF_INET6, (str(address), port, 0, 0)))
    return found
