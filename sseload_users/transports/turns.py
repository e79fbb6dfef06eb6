"""Which of a name's addresses a connection uses, and how many connections each has had."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from sseload_users.core.address_counts import AddressCounts
from sseload_users.transports.resolver import Address

#: Seconds for which an address that failed is tried last.
_AVOIDED_S = 5.0
#: Most pairs of a name and an address that are counted: a server can name any number of them.
_MAX_COUNTED = 1000


class AddressTurns:
    """Takes the addresses of each name in turn.

    As with browsers, the family (IPv4 or IPv6) of the first address is preferred, and the other
    one is used where that fails.
    """

    def __init__(self) -> None:
        self._families: dict[str, int] = {}
        self._turns: Counter[str] = Counter()
        self._avoided_until_s: dict[tuple[str, Address], float] = {}
        self._counts: AddressCounts = Counter()

    def order(self, name: str, addresses: Sequence[Address], turn: int | None) -> list[Address]:
        """Return the addresses in the order in which to try them.

        Args:
            name: host and port.
            addresses: all addresses of the name, best first.
            turn: position of the connection among all; None for the next turn.
        """
        if len(addresses) < 2:
            return list(addresses)
        if turn is None:
            turn = self._turns[name]
            self._turns[name] += 1
        family = self._families.get(name, addresses[0][0])
        # Sorted, as resolvers answer in another order each time, and processes must agree.
        own = sorted(each for each in addresses if each[0] == family)
        if not own:
            own = list(addresses)
        first = turn % len(own)
        others = [each for each in addresses if each not in own]
        now_s = time.monotonic()
        return sorted(
            [*own[first:], *own[:first], *others],
            key=lambda each: self._avoided_until_s.get((name, each), 0.0) > now_s,
        )

    def note_accepted(self, name: str, address: Address) -> None:
        """Note that an address accepted a connection; its family is preferred from now on."""
        self._families[name] = address[0]
        if self._avoided_until_s:
            self._avoided_until_s.pop((name, address), None)

    def note_failed(self, name: str, address: Address) -> None:
        """Note that an address did not accept a connection; it is tried last for some time."""
        self._avoided_until_s[name, address] = time.monotonic() + _AVOIDED_S

    def count(self, name: str, address: str, what: str, number: int = 1) -> None:
        """Count connections.

        Args:
            name: host and port.
            address: its address, or its proxy.
            what: see `AddressCounts`.
            number: how many; 0 makes the address known.
        """
        key = (name, address, what)
        if key in self._counts or len(self._counts) < _MAX_COUNTED:
            self._counts[key] += number

    def count_known(self, name: str, addresses: Sequence[Address]) -> None:
        """Make those addresses of a name known that are used in turn."""
        family = self._families.get(name)
        for each in addresses:
            if each[0] == family:
                self.count(name, each[1][0], "connected", 0)

    def drain(self) -> AddressCounts:
        """Return what was counted since the last call."""
        counts, self._counts = self._counts, Counter()
        return counts
