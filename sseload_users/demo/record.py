"""The record: what the server did to whom, as JSON lines, and its reader.

It is what reports are compared with, so a delivery counts as sent only when the kernel
took all its bytes on a connection that the peer had not ended.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO


@dataclass(slots=True)
class CodeRecord:
    """One broadcast code, and the connections (by ordinal) that each outcome befell.

    ``sent``, ``lost``, ``silenced`` and ``failed`` share the subscribers between them: each
    subscriber is in exactly one. A Socket.IO connection is listed once for each namespace
    that it joined.

    Attributes:
        index: 1 for the first code that was broadcast.
        code: the code.
        start_ns: when the broadcast began (wall clock, ns).
        end_ns: when all that was to be written at once was written (wall clock, ns).
        subscribers: how many were subscribed when the broadcast began.
        sent: the first copy was written.
        lost: not written, by ``--lose``.
        silenced: not written to a connection that had been silenced, by ``--drop-how
            silent`` or because its pongs were missing.
        failed: could not be written: the connection had ended, or ended before it took it.
        delayed: of ``sent``, those written after ``--delay``, or after the longest wait
            of ``--reorder`` when no other code came.
        reordered: of ``sent``, those that ``--reorder`` held until after the next code.
        out_of_order: of ``sent``, those written after a later code, for whatever reason.
        duplicated: one entry for each further copy written.
        garbage: one entry for each undecodable message written after it.
        foreign: one entry for each code of somebody else's, written after it.
    """

    index: int
    code: str
    start_ns: int = 0
    end_ns: int = 0
    subscribers: int = 0
    sent: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    silenced: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    delayed: list[int] = field(default_factory=list)
    reordered: list[int] = field(default_factory=list)
    out_of_order: list[int] = field(default_factory=list)
    duplicated: list[int] = field(default_factory=list)
    garbage: list[int] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)


_CODE_FIELDS = tuple(field.name for field in dataclasses.fields(CodeRecord))


@dataclass(slots=True)
class ConnectionRecord:
    """One handshake and what became of it.

    Attributes:
        connection: its ordinal: 1 for the first handshake that reached the server.
        transport: "websocket", "socketio" or "sse".
        username: as given by the client; empty if it gave none.
        opened_ns: when the handshake was answered with success, or None.
        subscribed: when each subscription began (wall clock, ns), by namespace; "" where
            the transport has none.
        replayed: codes of the history written to it.
        refused: why it was refused ("503", "reset", "hang", "unknown username", "origin",
            "bad token", "too many connections", "too many streams", "mute"), or None.
        dropped: how the server ended it by a fault ("close", "reset", "silent", "no pong",
            "too far behind"), or None.
        closed_ns: when it ended, or None.
        closed_by: "client", "server" or "network"; empty while it is open.
        closed_code: the WebSocket close code, where there was one.
        publishing_ns: when it was let in to hand in codes, or None.
    """

    connection: int
    transport: str
    username: str = ""
    opened_ns: int | None = None
    subscribed: dict[str, int] = field(default_factory=dict)
    replayed: int = 0
    refused: str | None = None
    dropped: str | None = None
    closed_ns: int | None = None
    closed_by: str = ""
    closed_code: int | None = None
    publishing_ns: int | None = None


@dataclass(frozen=True, slots=True)
class IngestRecord:
    """One code that was handed in.

    Attributes:
        code: what it carried, as far as that could be read; empty otherwise.
        status: the HTTP status it was answered with; over a connection "accepted", or the
            error in words; "hang" or "reset" where there was no answer.
        index: the broadcast code's index; None if it was not broadcast.
        ns: when it came (wall clock, ns).
        fault: the status, the missing answer or the silence was ordered: "status", "hang",
            "reset" or "dedupe"; empty otherwise.
        connection: the ordinal of the connection that it came over; None for a request.
    """

    code: str
    status: int | str
    index: int | None
    ns: int
    fault: str = ""
    connection: int | None = None


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One request for the page that gives a token.

    Attributes:
        username: as given by the client; empty if it gave none.
        status: the HTTP status it was answered with.
        ns: when it came (wall clock, ns).
    """

    username: str
    status: int
    ns: int


class Recorder:
    """Writes the record, each line at once; without a path it does nothing.

    Args:
        path: the file to write, replaced if it is there.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = None
        if path is not None:
            # Buffered by the line: a server that is killed leaves all that it had written.
            self._file = path.open("w", encoding="utf-8", buffering=1)

    def write(self, event: str, /, **fields: object) -> None:
        """Add one event."""
        if self._file is not None:
            self._file.write(json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n")

    def code(self, entry: CodeRecord) -> None:
        """Add a code whose deliveries have all come to their end."""
        if self._file is not None:
            self.write("code", **{name: getattr(entry, name) for name in _CODE_FIELDS})

    def close(self) -> None:
        """Write nothing more."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(slots=True)
class Record:
    """A whole record, and its totals.

    Attributes:
        options: the server's options, as it wrote them.
        connections: by ordinal.
        ingests: in the order in which they were answered.
        pages: in the order in which they were asked for.
        codes: by index.
        stopped: why the server stopped; empty if it could not say.
    """

    options: dict[str, Any] = field(default_factory=dict)
    connections: dict[int, ConnectionRecord] = field(default_factory=dict)
    ingests: list[IngestRecord] = field(default_factory=list)
    pages: list[PageRecord] = field(default_factory=list)
    codes: dict[int, CodeRecord] = field(default_factory=dict)
    stopped: str = ""

    def total(self, outcome: str) -> int:
        """How many deliveries met an outcome, by its name in ``CodeRecord``."""
        return sum(len(getattr(code, outcome)) for code in self.codes.values())

    @property
    def subscribers(self) -> int:
        """All pairs of a code and a subscriber: sent + lost + silenced + failed."""
        return sum(code.subscribers for code in self.codes.values())

    @property
    def sent(self) -> int:
        """First copies written."""
        return self.total("sent")

    @property
    def lost(self) -> int:
        """Deliveries lost by ``--lose``."""
        return self.total("lost")

    @property
    def silenced(self) -> int:
        """Deliveries not written because the connection was silenced."""
        return self.total("silenced")

    @property
    def failed(self) -> int:
        """Deliveries that could not be written."""
        return self.total("failed")

    @property
    def delayed(self) -> int:
        """Deliveries written after a delay."""
        return self.total("delayed")

    @property
    def reordered(self) -> int:
        """Deliveries held until after the next code."""
        return self.total("reordered")

    @property
    def out_of_order(self) -> int:
        """First copies written after a later code."""
        return self.total("out_of_order")

    @property
    def duplicated(self) -> int:
        """Further copies written."""
        return self.total("duplicated")

    @property
    def garbage(self) -> int:
        """Undecodable messages written."""
        return self.total("garbage")

    @property
    def foreign(self) -> int:
        """Codes of somebody else's written."""
        return self.total("foreign")

    @property
    def replayed(self) -> int:
        """Codes of the history written to late joiners."""
        return sum(connection.replayed for connection in self.connections.values())

    @property
    def opened(self) -> int:
        """Handshakes that were answered with success."""
        return sum(c.opened_ns is not None for c in self.connections.values())

    @property
    def refused(self) -> int:
        """Connections that were refused, in the handshake or after it."""
        return sum(c.refused is not None for c in self.connections.values())

    @property
    def dropped(self) -> int:
        """Connections that a fault ended or silenced."""
        return sum(c.dropped is not None for c in self.connections.values())

    def connection_total(self, outcome: str, connection: int) -> int:
        """How many deliveries of one connection met an outcome."""
        return sum(getattr(code, outcome).count(connection) for code in self.codes.values())


def read(path: str | Path) -> Record:
    """The record in a file, as far as the server has written it.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line, other than an unfinished last one, is not a record's.
    """
    record = Record()
    text = Path(path).read_text(encoding="utf-8")
    # What follows the last line end was cut off while it was written.
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            _add(record, json.loads(line))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number}: not a line of a record ({error})") from error
    return record


def _add(record: Record, line: dict[str, Any]) -> None:
    event = line.pop("event")
    match event:
        case "started":
            record.options = line["options"]
        case "stopped":
            record.stopped = line["why"]
        case "ingest":
            record.ingests.append(IngestRecord(**line))
        case "page":
            record.pages.append(PageRecord(**line))
        case "publishing":
            record.connections[line["connection"]].publishing_ns = line["ns"]
        case "code":
            record.codes[line["index"]] = CodeRecord(**line)
        case "opened" | "refused":
            ordinal = line["connection"]
            connection = record.connections.setdefault(
                ordinal, ConnectionRecord(ordinal, line["transport"], line["username"])
            )
            if event == "opened":
                connection.opened_ns = line["ns"]
            else:
                connection.refused = line["how"]
        case "subscribed":
            connection = record.connections[line["connection"]]
            connection.subscribed[line["namespace"]] = line["ns"]
        case "replayed":
            record.connections[line["connection"]].replayed += line["codes"]
        case "dropped":
            record.connections[line["connection"]].dropped = line["how"]
        case "closed":
            connection = record.connections[line["connection"]]
            connection.closed_ns = line["ns"]
            connection.closed_by = line["by"]
            connection.closed_code = line["code"]
        case _:
            raise ValueError(f"unknown event {event!r}")
