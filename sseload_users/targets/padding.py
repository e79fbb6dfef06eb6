"""Pad the payloads that carry codes to a size: ``{padding}`` in a profile's ``[ingest]``."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from hashlib import shake_256
from typing import TypeVar
from zlib import crc32

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.targets.ingest import CodeMessageTable, HttpIngestSpec
from sseload_users.targets.profile import Profile
from sseload_users.targets.template import (
    BinaryTemplate,
    Json,
    dump,
    is_json,
    names_in,
    read_json,
)
from sseload_users.targets.texts import texts

#: The name between the braces.
PADDING = "padding"

_FIELD = f"{{{PADDING}}}"
#: Bytes of padding that do not repeat: deflate finds what repeats within 32 KiB.
_PERIOD = 1 << 16
#: No character that a code's run has, or that JSON, a form or a URL escapes.
_LETTERS = string.ascii_uppercase.encode()

_Built = TypeVar("_Built")


def with_or_without_padding(profile: Profile, *, padded: bool) -> Profile:
    """Return a profile for a run with padded payloads, or for one without.

    Without, ``{padding}`` is empty, and what contains nothing else is left out.

    Raises:
        ConfigError: the payloads are to be padded, and the profile has no ``{padding}``.
    """
    ingest = profile.spec.ingest
    has_padding = any(PADDING in names_in(each.value) for each in texts(ingest))
    if padded:
        if not has_padding:
            raise ConfigError(
                f"target {clean(profile.name)}: --payload-bytes needs {_FIELD} in [ingest] body, "
                "send or payload, in a field that the server passes on beside the code; this "
                "target has none."
            )
        return profile
    if not has_padding:
        return profile
    update: dict[str, object] = {}
    if isinstance(ingest, HttpIngestSpec):
        before = (each.model_copy(update={"body": _without(each.body)}) for each in ingest.before)
        update = {"body": _without(ingest.body), "before": tuple(before)}
    elif isinstance(ingest, CodeMessageTable):
        keys = ("send", "send_hex", "send_base64", "payload")
        update = {key: _without(getattr(ingest, key)) for key in keys}
    plain = ingest.model_copy(update=update)
    return Profile(profile.name, profile.spec.model_copy(update={"ingest": plain}))


def padded(
    build: Callable[[str], _Built], size_of: Callable[[_Built], int], code: str, size: int
) -> _Built:
    """Return what carries a code, padded to a size; what is longer without padding stays so.

    Args:
        build: returns it with a padding.
        size_of: returns its size, in bytes.
        code: the code's text.
        size: the size, in bytes; 0 for no padding.
    """
    built = build("")
    lacking = size - size_of(built) if size else 0
    if lacking <= 0:
        return built
    built = build(_padding(code, lacking))
    # A length that the message contains may take more digits with the padding.
    over = size_of(built) - size
    return build(_padding(code, lacking - over)) if 0 < over < lacking else built


def message_size(message: str | bytes) -> int:
    """Return the size of a message to send, in bytes."""
    return len(message.encode("utf-8", "replace") if isinstance(message, str) else message)


def _padding(code: str, length: int) -> str:
    """Return letters that hardly compress, others for each code."""
    letters = _noise()
    start = crc32(code.encode("utf-8", "replace")) % _PERIOD
    return (letters * (2 + length // _PERIOD))[start : start + length]


@cache
def _noise() -> str:
    table = bytes(_LETTERS[value % len(_LETTERS)] for value in range(256))
    return shake_256(b"padding").digest(_PERIOD).translate(table).decode()


def _without(value: Json) -> Json:
    if isinstance(value, str):
        if _FIELD in value and is_json(value):
            return dump(_without(read_json(value)))
        return value.replace(_FIELD, "")
    if isinstance(value, BinaryTemplate):
        return BinaryTemplate(value.digits.replace(_FIELD, ""))
    if isinstance(value, Mapping):
        return {
            _without(key): _without(each) for key, each in value.items() if not _is_padding(each)
        }
    if isinstance(value, list | tuple):
        return [_without(each) for each in value if not _is_padding(each)]
    return value


def _is_padding(value: Json) -> bool:
    """Whether a value contains nothing but the padding."""
    if isinstance(value, str):
        return value == _FIELD
    if isinstance(value, Mapping):
        return _are_padding(value.values())
    return isinstance(value, list | tuple) and _are_padding(value)


def _are_padding(values: Iterable[Json]) -> bool:
    found = [*values]
    return bool(found) and all(map(_is_padding, found))
