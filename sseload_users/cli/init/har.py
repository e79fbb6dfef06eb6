"""Read a browser's recording (HAR 1.2, with Chromium's `_webSocketMessages`); pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sseload_users.cli.init import multipart
from sseload_users.cli.init.curl import CopiedRequest, own_header
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.targets.multipart import is_multipart

#: Most bytes of a recording.
_MOST_BYTES = 200_000_000
#: Headers that Chromium leaves out unless sensitive data is asked for.
_SENSITIVE = ("cookie", "set-cookie", "authorization")


@dataclass(frozen=True, slots=True)
class Frame:
    """A message of a recorded connection.

    Attributes:
        sent: whether the browser sent it.
        at_s: when (Unix time, s).
        data: a text, or bytes of a binary message.
    """

    sent: bool
    at_s: float
    data: str | bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A recorded request and its answer.

    Attributes:
        request: as the browser sent it.
        at_s: when (Unix time, s).
        status: of the answer.
        mime: the answer's media type.
        text: the answer's text; empty if it was not recorded.
        headers: the answer's.
        frames: messages of a WebSocket, in order.
    """

    request: CopiedRequest
    at_s: float
    status: int
    mime: str
    text: str
    headers: tuple[tuple[str, str], ...]
    frames: Sequence[Frame] = field(default=())

    @property
    def is_socket(self) -> bool:
        """Whether this is a WebSocket."""
        return urlsplit(self.request.url).scheme in ("ws", "wss") or bool(self.frames)

    @property
    def is_stream(self) -> bool:
        """Whether this is an event stream."""
        return self.mime.partition(";")[0].strip() == "text/event-stream"


def read(place: Path) -> list[Exchange]:
    """Read a recording; return its exchanges by time.

    Raises:
        ConfigError: it cannot be read, or is no HAR.
    """
    try:
        if place.stat().st_size > _MOST_BYTES:
            raise ConfigError(
                f"{clean(place)}: the recording is larger than 200 MB: record less of the page."
            )
        content = json.loads(place.read_text(encoding="utf-8-sig"))
        entries = content["log"]["entries"]
        made = [_exchange(each) for each in entries]
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{clean(place)}: cannot read the recording: {why}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{clean(place)}: this is no HAR file: save one in the browser's network panel, with "
            "“Save all as HAR”."
        ) from error
    return sorted(made, key=lambda each: each.at_s)


def is_sanitized(exchanges: Sequence[Exchange]) -> bool:
    """Whether the browser may have left out cookies and tokens, as Chromium does by default.

    Then there are none at all: none that were sent, and none that were set.
    """
    return not any(
        name.lower() in _SENSITIVE
        for each in exchanges
        for name, _ in (*each.request.headers, *each.headers)
    )


def _exchange(entry: Mapping[str, Any]) -> Exchange:
    request, response = entry["request"], entry["response"]
    content = response.get("content", {})
    text = str(content.get("text", ""))
    if content.get("encoding") == "base64":
        text = base64.b64decode(text).decode("utf-8", "replace")
    return Exchange(
        request=_request(request),
        at_s=datetime.fromisoformat(entry["startedDateTime"]).timestamp(),
        status=int(response.get("status", 0)),
        mime=str(content.get("mimeType", "")),
        text=text,
        headers=tuple(_pairs(response)),
        frames=[*map(_frame, entry.get("_webSocketMessages", ()))],
    )


def _request(entry: Mapping[str, Any]) -> CopiedRequest:
    posted = entry.get("postData", {})
    made = CopiedRequest(
        str(entry["method"]).upper(),
        str(entry["url"]),
        tuple((name, value) for name, value in _pairs(entry) if not own_header(name)),
        str(posted.get("text", "")),
    )
    form = multipart.read(made.content_type, made.body)
    if form is None and not made.body and is_multipart(made.content_type):
        form = multipart.of_parameters(posted.get("params", ()))
    return made if form is None else made.with_form(form)


def _pairs(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in part.get("headers", ()):
        # HTTP/2's pseudo-headers begin with a colon.
        if not str(each["name"]).startswith(":"):
            yield str(each["name"]), str(each["value"])


def _frame(message: Mapping[str, Any]) -> Frame:
    data: str | bytes = str(message["data"])
    if message.get("opcode") == 2:
        data = base64.b64decode(data)
    return Frame(message["type"] == "send", float(message["time"]), data)
