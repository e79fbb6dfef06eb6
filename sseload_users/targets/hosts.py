"""The URL that a user gives for a server, brought into one form."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean

_SCHEMES = {"http": "http", "ws": "http", "https": "https", "wss": "https"}


def normalize_host(host: str) -> str:
    """A host as "scheme://host[:port][/base]", with http or https.

    Raises:
        ConfigError: it is no such URL, or says more than where the server is; one sentence.
    """
    try:
        parts = urlsplit(host.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    # Looked for in all that comes before a path, even if the rest is no URL.
    if "@" in host.partition("//")[2].partition("/")[0] or "@" in host.partition("/")[0]:
        raise ConfigError(
            "host: there is a user name or password in the URL; give it in a header, such as "
            "--header 'Authorization: Basic …'."
        )
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname or not parts.netloc.isprintable():
        shown = clean(re.split("[?#]", host)[0])
        raise ConfigError(f"host {shown!r}: give a URL such as http://127.0.0.1:8000.")
    if parts.query or parts.fragment:
        raise ConfigError(
            f"host {clean(parts.netloc)!r}: there is a query or fragment in the URL; it belongs "
            "into the profile."
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    base = parts.path.rstrip("/")
    return f"{scheme}://{name}{'' if port is None else f':{port}'}{base}"


def origin(host: str) -> str:
    """The scheme, host and port of a normalize_host host, as browsers send it in ``Origin``."""
    parts = urlsplit(host)
    return f"{parts.scheme}://{parts.netloc}"
