"""The latencies behind a summary, read back from the histogram that it carries."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram

from sseload_users.core.histogram import Histogram

#: What the library raises for texts that are no histogram of its kind.
_UNREADABLE = (
    ArithmeticError,
    HdrCookieException,
    HdrLengthException,
    IndexError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
)


def histogram(latency: Mapping[str, Any]) -> Histogram | None:
    """The histogram of a summary of schema 1; None where nothing was measured.

    Args:
        latency: the summary; of a run that goes on, with `counts` (how often each value in
            microseconds occurred) instead of `hdr`.

    Raises:
        ValueError: what it carries is no HdrHistogram.
    """
    counts = latency.get("counts")
    if counts is None:
        counts = _decoded(latency["hdr"]) if latency["hdr"] else {}
    if not counts:
        return None
    read = Histogram()
    read.counts = Counter(counts)
    read.total = sum(read.counts.values())
    read.total_us = round(latency["mean"] * 1000 * latency["count"])
    read.min_us, read.max_us = (round(latency[end] * 1000) for end in ("min", "max"))
    return read


def _decoded(text: str) -> dict[int, int]:
    try:
        decoded = HdrHistogram.decode(text)
    except _UNREADABLE as error:
        raise ValueError(f"not an HdrHistogram ({type(error).__name__})") from error
    return {
        decoded.get_value_from_index(index): many
        for index, many in enumerate(decoded.counts)
        if many
    }
