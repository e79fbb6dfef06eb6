"""Redact secrets: credentials in headers, values and messages."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from sseload_users.targets.identities import Identity
from sseload_users.targets.requests import Headers
from sseload_users.targets.spec import ProfileSpec
from sseload_users.targets.template import Json, dump, encode, names_in

#: Headers whose values are not secret.
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
#: Authentication schemes, which precede credentials in a header.
_SCHEMES = frozenset({"basic", "bearer", "digest", "token"})
#: Some words that only begin alike are no secrets: author, keyword, passenger, signal.
_SECRET_NAME = re.compile(
    r"key(?!word|board)|token|secret|pass(?!enger|age)|auth(?!ors?(?!i))|session|cookie"
    r"|(?<!de)(?<!as)sign(?!al)|jwt",
    re.IGNORECASE,
)
_SHORTEST = 4
#: Replaces a secret; ASCII, so that every terminal and file can show it.
_HIDDEN = "***"


def secret_values(
    spec: ProfileSpec,
    headers: Headers,
    identities: Iterable[Identity],
    captured: Collection[str] = (),
) -> frozenset[str]:
    """Return all texts to redact: plain, percent-encoded, and escaped for JSON.

    These are the values of the user's headers, the further columns of users, captured values,
    and texts of the profile with a secret name, in values, headers, queries, bodies and
    messages. Texts of fewer than four characters are excluded: redacting them would make
    reports unreadable and protects nothing.
    """
    found = {value for each in identities for value in each.fields.values()} | {*captured}
    for name, value in headers:
        if name.lower() not in _HARMLESS:
            # "Bearer abc", "a=1; b=2": each part is as secret as the whole.
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


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace each secret in a text, in any letter case, and also if its end is cut off."""
    longest_first = sorted(secrets, key=len, reverse=True)
    text = _without_cut_off(text, longest_first)
    for secret in longest_first:
        text = re.sub(re.escape(secret), _HIDDEN, text, flags=re.IGNORECASE)
    return text


def _without_cut_off(text: str, secrets: Collection[str]) -> str:
    """Replace a secret, complete or cut off, at the end of a text."""
    whole = text.rstrip("….")
    size = max((_common(whole, secret) for secret in secrets), default=0)
    if size < _SHORTEST:
        return text
    return whole[:-size] + _HIDDEN + text[len(whole) :]


def _common(text: str, secret: str) -> int:
    """Return the length of the longest start of a secret that ends a text."""
    sizes = range(min(len(secret), len(text)), 0, -1)
    return next((size for size in sizes if text[-size:].lower() == secret[:size].lower()), 0)


def is_secret_name(name: str) -> bool:
    """Whether a name suggests a secret."""
    return _SECRET_NAME.search(name) is not None


def _named_values(spec: ProfileSpec) -> Iterator[tuple[str, str]]:
    yield from spec.values.items()
    for each in spec.texts():
        if each.filled:
            if isinstance(each.value, str):
                yield each.key.rpartition(".")[2], each.value
            yield from _pairs(each.value)


def _pairs(value: Json) -> Iterator[tuple[str, str]]:
    """Yield every text with its name, at any depth of a table or list."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if isinstance(each, str):
                yield str(name), each
            yield from _pairs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _pairs(each)
