"""Where codes are in messages, beside where the profile looks for them; pure."""

from __future__ import annotations

from collections.abc import Sequence

from sseload_users.cli.locate import Location, content_of, locate
from sseload_users.core.formatting import clean
from sseload_users.targets.schema import CodeSpec
from sseload_users.transports import TransportName


def place(transport: TransportName, payload: bytes, codes: Sequence[str]) -> tuple[str, str]:
    """Return where codes are in a message, to end a sentence, and what to write in the profile."""
    found = _located(transport, payload, codes)
    if found is None:
        return "", "Say in the profile's [code] where it is; sseload docs targets shows how."
    return f"; the code is {clean(found)}", f"{clean(found.hint)}."


def found_at(
    spec: CodeSpec, transport: TransportName, payload: bytes, codes: Sequence[str]
) -> tuple[str, str]:
    """Return where the profile found codes, and what it could say instead, if that is better.

    Args:
        spec: the profile's [code].
        transport: of the connection.
        payload: a message in which the profile found the codes.
        codes: texts of the codes.

    Returns:
        A sentence, and advice, which may be empty.
    """
    located = _located(transport, payload, codes)
    if located is None:
        return "", ""
    code = dict(located.code)
    event = f" of the event {clean(code['event'])}" if "event" in code else ""
    if spec.field is not None:
        return f"The code is at {clean(spec.field)}{event}.", ""
    if spec.whole or "field" not in code:
        return f"The code is {clean(located)}.", ""
    return (
        f"The code is {clean(located)}; the profile finds it by a regex.",
        f"A path costs less. {clean(located.hint)}.",
    )


def found_elsewhere(transport: TransportName, payload: bytes, codes: Sequence[str]) -> str:
    """Return a sentence about a message with codes that the profile does not read.

    Args:
        transport: of the connection.
        payload: the message.
        codes: texts of the codes, which came in another message, too.
    """
    located = _located(transport, payload, codes)
    where = "" if located is None else f", {clean(located)}"
    return f"The code came in another message, too, where the profile does not look{where}"


def _located(transport: TransportName, payload: bytes, codes: Sequence[str]) -> Location | None:
    content = content_of(transport, payload)
    return None if content is None else locate(content, codes)
