"""Encode forms as multipart/form-data (RFC 7578)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

#: The media type.
MULTIPART = "multipart/form-data"

#: Of all forms of this process; no value can contain it but by an improbable chance.
_BOUNDARY = f"sseload-{secrets.token_hex(16)}"
_IN_KIND = re.compile(r';\s*boundary="?([^";]+)', re.IGNORECASE)
#: What a name cannot contain as it is (WHATWG HTML §4.10.21.8).
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def is_multipart(kind: str) -> bool:
    """Whether a ``Content-Type`` is that of such a form."""
    return kind.partition(";")[0].strip().lower() == MULTIPART


def boundary_in(kind: str) -> str | None:
    """Return the boundary that a ``Content-Type`` names; None if it names none."""
    found = _IN_KIND.search(kind)
    return None if found is None else found[1].strip()


def with_boundary(kind: str) -> str:
    """Return the ``Content-Type`` of such a form with a boundary."""
    return kind if boundary_in(kind) else f"{kind}; boundary={_BOUNDARY}"


def form_data(fields: Iterable[tuple[str, str]], kind: str) -> bytes:
    """Return the body of a form.

    Args:
        fields: names and values, in order.
        kind: the ``Content-Type`` that it is sent with, with its boundary.
    """
    boundary = boundary_in(kind) or _BOUNDARY
    parts = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name.translate(_ESCAPES)}"'
        f"\r\n\r\n{value}\r\n"
        for name, value in fields
    )
    return f"{''.join(parts)}--{boundary}--\r\n".encode("utf-8", "replace")
