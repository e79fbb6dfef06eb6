"""The addresses that connections were made to, as figures and as notes; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sseload_users.core.address_counts import AddressCounts
from sseload_users.core.formatting import clean, count
from sseload_users.report.model import AddressFigures


def address_figures(counts: AddressCounts) -> list[AddressFigures]:
    """Return a row for each address of each name."""
    return [
        AddressFigures(
            name=name,
            address=address,
            proxy=proxy,
            connections=counts[name, address, "proxied" if proxy else "connected"],
            failed=0 if proxy else counts[name, address, "failed"],
        )
        for name, address, proxy in sorted(
            {(name, address, what == "proxied") for name, address, what in counts}
        )
    ]


def address_notes(rows: Iterable[AddressFigures]) -> list[str]:
    """Return notes on names with several addresses, and on proxies, one sentence each."""
    by_name: dict[str, list[AddressFigures]] = {}
    by_proxy: dict[str, list[str]] = {}
    for row in rows:
        if row.proxy:
            by_proxy.setdefault(row.address, []).append(row.name)
        else:
            by_name.setdefault(row.name, []).append(row)
    return [*_proxy_notes(by_proxy), *_turn_notes(by_name)]


def _proxy_notes(by_proxy: Mapping[str, list[str]]) -> Iterable[str]:
    for proxy, names in by_proxy.items():
        yield (
            f"Connections to {clean(', '.join(names))} went through the proxy {clean(proxy)}: "
            "its delays and limits are in the figures."
        )


def _turn_notes(by_name: Mapping[str, list[AddressFigures]]) -> Iterable[str]:
    for name, rows in by_name.items():
        if len(rows) < 2:
            continue
        shares = ", ".join(f"{row.address} had {row.connections:,}" for row in rows)
        yield (
            f"{clean(name)} has {len(rows)} addresses, which connections used in turn: {shares}."
        )
        for row in rows:
            if row.failed:
                yield (
                    f"{row.address}, an address of {clean(name)}, did not accept "
                    f"{count(row.failed, 'connection')}; other addresses were tried instead."
                )
