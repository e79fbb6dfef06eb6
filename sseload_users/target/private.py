"""What must not be shown: headers and values that let somebody in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sseload_users.identities import Identity
from sseload_users.target.requests import Headers
from sseload_users.target.schema import Spec
from sseload_users.target.template import encode, names_in

#: Header names whose values say nothing that must not be shown.
_HARMLESS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-type",
        "host",
        "origin",
        "referer",
        "user-agent",
    }
)
_SECRET_NAME = re.compile(r"key|token|secret|pass|auth|session|cookie|sign|jwt", re.IGNORECASE)
_SHORTEST = 4


def secret_values(spec: Spec, headers: Headers, identities: Iterable[Identity]) -> frozenset[str]:
    """Every text to blot out, as it is and percent-encoded.

    Those are the values of the user's headers, of users' further fields, and of the
    profile's own values, headers and queries whose names say so. Texts of fewer than four
    characters are left alone: without them no report could be read, and they protect nothing.
    """
    found = {value for each in identities for value in each.fields.values()}
    for name, value in headers:
        if name.lower() not in _HARMLESS:
            # "Bearer abc", "a=1; b=2": the parts are as secret as the whole.
            found.update((value, *re.split(r"[ ;,]+|(?<=[^=])=(?=[^=])", value)))
    found.update(
        value
        for name, value in _named_values(spec)
        if _SECRET_NAME.search(name) and not [*names_in(value)]
    )
    found = {value for value in found if len(value) >= _SHORTEST}
    return frozenset(found | {encode(value) for value in found})


def _named_values(spec: Spec) -> Iterator[tuple[str, str]]:
    calls = [spec.connect, spec.ingest, spec.health, spec.verify, *spec.before]
    calls += [each.request for each in spec.upkeep]
    yield from spec.values.items()
    for call in calls:
        if call is not None:
            yield from call.headers.items()
            yield from call.query.items()
