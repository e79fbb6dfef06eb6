"""Which request or message of a recording handed in what came back in a message; pure."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.har import Exchange, Frame
from sseload_users.cli.init.placements import Placement, placements

#: Methods of requests that may hand something in.
SENDING = ("POST", "PUT", "PATCH")
#: Seconds for which a message may follow the request that made it appear.
SOON_S = 5.0


def sending_requests(
    exchanges: Sequence[Exchange], connection: Exchange
) -> Iterator[CopiedRequest]:
    """Yield requests of which a text came back in a message soon after, with {code} for it."""
    for each in exchanges:
        if each.request.method not in SENDING or each.at_s < connection.at_s:
            continue
        for placed in placements(each.request):
            if _came(placed, each.at_s, connection.frames):
                yield placed.request
                break


def _came(placed: Placement, at_s: float, frames: Sequence[Frame]) -> bool:
    text = placed.replaced
    return len(text) > 1 and any(
        not frame.sent and 0 <= frame.at_s - at_s < SOON_S and _contains(frame.data, text)
        for frame in frames
    )


def _contains(data: str | bytes, text: str) -> bool:
    if isinstance(data, bytes):
        return text.encode() in data
    return text in data or json.dumps(text)[1:-1] in data


def emitted(frames: Sequence[Frame]) -> tuple[Any, float]:
    """Return the message that hands a code in, with {code}, and when it was sent.

    It is None, and never sent, if there is none.
    """
    repeated = {data for data, many in Counter(each.data for each in frames).items() if many > 2}
    for index, frame in enumerate(frames):
        if not frame.sent or not isinstance(frame.data, str) or frame.data in repeated:
            continue
        packet = re.match(r"42(?:/[^,]*,)?\d*(\[.*)", frame.data, re.DOTALL)
        request = CopiedRequest("POST", "", (), packet[1] if packet else frame.data)
        for placed in placements(request):
            if _came(placed, frame.at_s, frames[index + 1 :]):
                try:
                    return json.loads(placed.request.body), frame.at_s
                except ValueError:
                    return placed.request.body, frame.at_s
    return None, math.inf
