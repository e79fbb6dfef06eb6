"""Normalize the server's URL."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from urllib.parse import urlsplit

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean

_SCHEMES = {"http": "http", "ws": "http", "https": "https", "wss": "https"}


def normalize_host(host: str) -> str:
    """Return a host as "scheme://host[:port][/base]", with http or https.

    Raises:
        ConfigError: the URL is invalid, or has credentials, a query or a fragment; one
            sentence.
    """
    try:
        parts = urlsplit(host.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    # Look for credentials before the path even if the rest is not a URL.
    if "@" in host.partition("//")[2].partition("/")[0] or "@" in host.partition("/")[0]:
        raise ConfigError(
            "Invalid host: the URL contains a user name or password; use a header, for example "
            "--header 'Authorization: Basic …'."
        )
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname or not parts.netloc.isprintable():
        shown = clean(re.split("[?#]", host)[0])
        raise ConfigError(f"Invalid host {shown!r}: use a URL such as http://127.0.0.1:8000.")
    if parts.query or parts.fragment:
        raise ConfigError(
            f"Invalid host {clean(parts.netloc)!r}: the URL contains a query or fragment; put it "
            "into the profile."
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    base = parts.path.rstrip("/")
    return f"{scheme}://{name}{'' if port is None else f':{port}'}{base}"


def parse_nodes(text: str) -> tuple[str, ...]:
    """Return nodes, normalized, in order; `split_node` takes one apart.

    Args:
        text: URLs, or URL=ADDRESS, separated by commas or blanks.

    Raises:
        ConfigError: one is invalid, or given twice.
    """
    nodes = []
    for each in filter(None, re.split(r"[,\s]+", text)):
        url, address = split_node(each)
        nodes.append(join_node(normalize_host(url), address))
    twice = next((each for each in nodes if nodes.count(each) > 1), None)
    if twice is not None:
        raise ConfigError(f"--nodes: {twice} is given twice; give each node once.")
    return tuple(nodes)


def split_node(node: str) -> tuple[str, str | None]:
    """Return the URL of a node, and its IP address if that is given, too."""
    url, equals, address = node.rpartition("=")
    if equals:
        with contextlib.suppress(ValueError):
            return url, str(ipaddress.ip_address(address.strip("[]")))
    return node, None


def join_node(url: str, address: str | None) -> str:
    """Return a node: its URL, and which address of its name it has; see `split_node`."""
    return url if address is None else f"{url}={address}"


def origin(host: str) -> str:
    """Return a normalized host without its path, as browsers send it in ``Origin``."""
    parts = urlsplit(host)
    return f"{parts.scheme}://{parts.netloc}"
