"""Patterns of compressed event streams."""

from __future__ import annotations

from sseload_users.core.formatting import count, number
from sseload_users.verdict.patterns.buffering import buffered
from sseload_users.verdict.symptoms import Finding, Symptoms

#: Content codings in which flushes can be seen.
_FLUSHED = ("gzip", "x-gzip", "deflate")
#: Smallest share of the sessions that are compressed, and largest number of flushes for a code.
_MOST, _FLUSHES = 0.8, 0.6


def unflushed_compression(symptoms: Symptoms) -> Finding | None:
    """Find event streams whose compressor the server does not flush for each event."""
    sessions = sum(symptoms.compression.values())
    coded = {name: many for name, many in symptoms.compression.items() if name in _FLUSHED}
    streams = sum(coded.values())
    if not streams or streams < _MOST * sessions:
        return None
    coding = max(coded, key=lambda each: coded[each])
    deliveries, flushes = symptoms.account.deliveries, symptoms.flushes
    received = deliveries.received
    evidence: dict[str, float | str] = {
        "coding": coding, "flushes": flushes, "received": received, "streams": streams,
    }  # fmt: skip
    if not received and not symptoms.inflated_bytes and symptoms.wire_bytes and deliveries.missing:
        said = (
            f"Nothing of {count(streams, 'stream')} with {coding} can be read: "
            f"{count(symptoms.wire_bytes, 'byte')} came, which hold no complete part."
        )
        return Finding("unflushed_compression", said, 1.0, evidence, _HINT)
    if not received or flushes > _FLUSHES * received or buffered(symptoms) is None:
        return None
    said = (
        f"Codes come in clumps in streams with {coding}, whose compressor was flushed "
        f"{number(flushes)} times for {number(received)} codes that came."
    )
    return Finding("unflushed_compression", said, 1.0 - flushes / received, evidence, _HINT)


_HINT = (
    "Flush the compressor after each event (Z_SYNC_FLUSH; res.flush() in Express), or do not "
    "compress event streams. --no-compression shows how they come then."
)
