"""What was negotiated about compression, and what it saved: as figures and in words."""

from __future__ import annotations

from sseload_users.core.formatting import clean, count, share
from sseload_users.core.tally import Tally
from sseload_users.report.model import CompressionFigures

#: The kinds of compression that a sentence names one by one.
_MOST_NAMED = 3
_KIB = 1024


def compression_of(tally: Tally) -> CompressionFigures:
    """Return the figures of a run's account."""
    found = [(name, many) for name, many in tally.compression.items() if many > 0]
    return CompressionFigures(
        negotiated=dict(sorted(found, key=lambda each: (-each[1], each[0]))),
        wire_bytes=tally.counters.compressed_bytes,
        inflated_bytes=tally.counters.inflated_bytes,
    )


def compression_sentences(figures: CompressionFigures) -> list[str]:
    """Return the figures in words; nothing if nothing was compressed."""
    kinds = {name: many for name, many in figures.negotiated.items() if name != "none"}
    if not kinds and not figures.inflated_bytes:
        return []
    sessions = sum(figures.negotiated.values())
    named = [
        f"{clean(name)} in {many:,} of {count(sessions, 'session')}"
        for name, many in list(kinds.items())[:_MOST_NAMED]
    ]
    if (further := len(kinds) - _MOST_NAMED) > 0:
        named.append(count(further, "further kind"))
    if not figures.inflated_bytes:
        return [*named, "nothing came compressed"]
    wire, inflated = figures.wire_bytes, figures.inflated_bytes
    saved = f" ({share(wire, inflated)})" if wire <= inflated else ""
    return [*named, f"{_size(wire)} inflated to {_size(inflated)}{saved}"]


def _size(size: int) -> str:
    """Return a number of bytes: "812 bytes", "3.4 KiB", "1,203 MiB"."""
    if size < _KIB:
        return count(size, "byte")
    unit, value = ("KiB", size / _KIB) if size < _KIB**2 else ("MiB", size / _KIB**2)
    return f"{value:,.1f} {unit}" if value < 100 else f"{value:,.0f} {unit}"
