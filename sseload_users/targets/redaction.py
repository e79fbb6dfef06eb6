"""What must not be shown: headers and values that let somebody in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from sseload_users.targets.identities import Identity
from sseload_users.targets.requests import Headers
from sseload_users.targets.spec import ProfileSpec
from sseload_users.targets.template import Json, dump, encode, names_in

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
#: What stands before credentials in a header, and says nothing by itself.
_SCHEMES = frozenset({"basic", "bearer", "digest", "token"})
_SECRET_NAME = re.compile(r"key|token|secret|pass|auth|session|cookie|sign|jwt", re.IGNORECASE)
_SHORTEST = 4
#: What stands where a secret stood; terminals and files of any encoding have it.
_HIDDEN = "***"


def secret_values(
    spec: ProfileSpec,
    headers: Headers,
    identities: Iterable[Identity],
    captured: Collection[str] = (),
) -> frozenset[str]:
    """Every text to blot out: as it is, percent-encoded, and escaped for JSON.

    Those are the values of the user's headers, of users' further fields, what servers gave,
    and the profile's own texts whose names say so: values, headers, queries, and what is in
    bodies and messages. Texts of fewer than
    four characters are left alone: without them no report could be read, and they protect
    nothing.
    """
    found = {value for each in identities for value in each.fields.values()} | {*captured}
    for name, value in headers:
        if name.lower() not in _HARMLESS:
            # "Bearer abc", "a=1; b=2": the parts are as secret as the whole.
            parts = re.split(r"[ ;,]+|(?<=[^=])=(?=[^=])", value)
            found.update((value, *(part for part in parts if part.lower() not in _SCHEMES)))
    found.update(
        value
        for name, value in _named_values(spec)
        if is_secret_name(name) and not [*names_in(value)]
    )
    found = {value for value in found if len(value) >= _SHORTEST}
    escaped = {dump(value)[1:-1] for value in found}
    return frozenset(found | escaped | {encode(value) for value in found})


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text, with each secret in it blotted out: in any case, and if its end was cut off."""
    longest_first = sorted(secrets, key=len, reverse=True)
    text = _without_cut_off(text, longest_first)
    for secret in longest_first:
        text = re.sub(re.escape(secret), _HIDDEN, text, flags=re.IGNORECASE)
    return text


def _without_cut_off(text: str, secrets: Collection[str]) -> str:
    """The text, without a secret at its end, whole or cut off."""
    whole = text.rstrip("….")
    size = max((_common(whole, secret) for secret in secrets), default=0)
    if size < _SHORTEST:
        return text
    return whole[:-size] + _HIDDEN + text[len(whole) :]


def _common(text: str, secret: str) -> int:
    """How much of a secret's beginning a text ends with."""
    sizes = range(min(len(secret), len(text)), 0, -1)
    return next((size for size in sizes if text[-size:].lower() == secret[:size].lower()), 0)


def is_secret_name(name: str) -> bool:
    """Whether a name is that of something secret."""
    return _SECRET_NAME.search(name) is not None


def _named_values(spec: ProfileSpec) -> Iterator[tuple[str, str]]:
    yield from spec.values.items()
    for each in spec.texts():
        if each.filled:
            yield from _pairs(each.value)


def _pairs(value: Json) -> Iterator[tuple[str, str]]:
    """Every text that has a name of its own, wherever it is in a table or list."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if isinstance(each, str):
                yield str(name), each
            yield from _pairs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _pairs(each)
