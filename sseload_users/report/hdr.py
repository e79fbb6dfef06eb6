"""Read the latencies behind a summary back from its histogram."""

from __future__ import annotations

import zlib
from collections import Counter

from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram

from sseload_users.core.figure_types import LatencySummary
from sseload_users.core.histogram import Histogram

#: What the library raises for texts that are not histograms.
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


def histogram(latency: LatencySummary) -> Histogram | None:
    """Return the histogram of a summary; None where nothing was measured.

    Raises:
        ValueError: `hdr` is not an HdrHistogram.
    """
    counts = latency.counts
    if counts is None:
        counts = _decoded(latency.hdr) if latency.hdr else {}
    if not counts:
        return None
    read = Histogram()
    read.counts = Counter(counts)
    read.total = sum(read.counts.values())
    read.total_us = round((latency.mean or 0.0) * 1000 * latency.count)
    read.min_us, read.max_us = (round((end or 0.0) * 1000) for end in (latency.min, latency.max))
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
