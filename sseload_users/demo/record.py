"""The ground-truth record as JSON lines: its events, writer and reader.

Tests compare reports with it. So a delivery counts as sent only once the kernel has taken
all its bytes, on a connection that the peer had not ended.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO


@dataclass(slots=True)
class CodeRecord:
    """One broadcast code, and the connections (ordinals) of all nodes by outcome.

    Each subscriber in the code's channel is in exactly one of ``sent``, ``lost``, ``silenced``,
    ``failed`` and ``misrouted``. A Socket.IO connection is listed once per joined namespace.

    Attributes:
        index: 1 for the first code that was broadcast.
        code: the code.
        start_ns: when the broadcast began (wall clock, ns).
        end_ns: when the immediate writes were done (wall clock, ns).
        subscribers: number of subscriptions in its channel when the broadcast began.
        channel: the channel that it was posted to; empty if it named none.
        sent: the first copy was written.
        lost: not written because of ``--lose``.
        silenced: not written because the connection was silenced, by ``--drop-how silent``
            or for missing pongs.
        failed: not written because the connection had ended, or ended meanwhile.
        misrouted: not written because ``--wrong-room`` sent the code to another channel.
        leaked: connections outside the channel that it was written to all the same.
        delayed: of ``sent``, those written after ``--delay``, or after the maximum wait of
            ``--reorder`` without a further code.
        reordered: of ``sent``, those that ``--reorder`` held until after the next code.
        out_of_order: of ``sent``, those written after a later code, for any reason.
        duplicated: one entry per additional copy written.
        garbage: one entry per undecodable message written after it.
        foreign: one entry per foreign code written after it.
    """

    index: int
    code: str
    start_ns: int = 0
    end_ns: int = 0
    subscribers: int = 0
    channel: str = ""
    sent: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    silenced: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    misrouted: list[int] = field(default_factory=list)
    leaked: list[int] = field(default_factory=list)
    delayed: list[int] = field(default_factory=list)
    reordered: list[int] = field(default_factory=list)
    out_of_order: list[int] = field(default_factory=list)
    duplicated: list[int] = field(default_factory=list)
    garbage: list[int] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)

    def add(self, other: CodeRecord) -> None:
        """Add the outcomes at another node."""
        self.start_ns = min(self.start_ns, other.start_ns)
        self.end_ns = max(self.end_ns, other.end_ns)
        self.subscribers += other.subscribers
        for name in _OUTCOMES:
            getattr(self, name).extend(getattr(other, name))


_CODE_FIELDS = tuple(each.name for each in dataclasses.fields(CodeRecord))
#: The lists of connections.
_OUTCOMES = _CODE_FIELDS[_CODE_FIELDS.index("sent") :]


@dataclass(slots=True)
class ConnectionRecord:
    """One handshake and its connection.

    Attributes:
        connection: its ordinal; 1 is the first handshake that reached the server.
        transport: "websocket", "socketio" or "sse".
        username: as given by the client; empty if not given.
        opened_ns: when the handshake succeeded (wall clock, ns), or None.
        subscribed: when each subscription began (wall clock, ns), by namespace; "" if
            the transport has none.
        replayed: indices of the codes written to it from the history.
        refused: why it was refused ("503", "reset", "hang", "unknown username", "origin",
            "bad token", "too many connections", "too fast", "too many streams", "mute"), or None.
        dropped: how a fault ended or silenced it ("close", "reset", "silent", "no pong",
            "too far behind", "restart"), or None.
        closed_ns: when it ended (wall clock, ns), or None.
        closed_by: "client", "server" or "network"; empty while it is open.
        closed_code: the WebSocket close code, if any.
        publishing_ns: when it joined the ingest namespace (wall clock, ns), or None.
        upgraded_ns: when it went over from long polling to WebSocket (wall clock, ns), or None.
        channels: the channels that its subscriptions named, in their order.
        after: index of the newest code that the client said it has, or None.
        withheld: indices of the codes in its channels, newer than ``after``, that it does not
            get: they are not kept (any more, or at this node), or ``--lose-gap`` is given.
        node: number of the node that it connected to, from 1.
    """

    connection: int
    transport: str
    username: str = ""
    opened_ns: int | None = None
    subscribed: dict[str, int] = field(default_factory=dict)
    replayed: list[int] = field(default_factory=list)
    refused: str | None = None
    dropped: str | None = None
    closed_ns: int | None = None
    closed_by: str = ""
    closed_code: int | None = None
    publishing_ns: int | None = None
    upgraded_ns: int | None = None
    channels: list[str] = field(default_factory=list)
    after: int | None = None
    withheld: list[int] = field(default_factory=list)
    node: int = 1


@dataclass(frozen=True, slots=True)
class IngestRecord:
    """One ingest.

    Attributes:
        code: the submitted code; empty if it could not be parsed.
        status: the HTTP status of the answer; over Socket.IO "accepted" or the error
            message; "hang" or "reset" if there was no answer.
        index: the broadcast code's index; None if it was not broadcast.
        ns: when it was received (wall clock, ns).
        fault: the injected fault: "status", "hang", "reset" or "dedupe"; empty if none.
        connection: ordinal of the submitting connection; None for an HTTP request.
        node: number of the node that it was handed in at, from 1.
    """

    code: str
    status: int | str
    index: int | None
    ns: int
    fault: str = ""
    connection: int | None = None
    node: int = 1


@dataclass(slots=True)
class NodeRecord:
    """One node.

    Attributes:
        url: the address that it listens on.
        started_ns: when it began to listen, for each start (wall clock, ns).
        stopped_ns: when its sessions had ended, for each restart (wall clock, ns).
    """

    url: str
    started_ns: list[int] = field(default_factory=list)
    stopped_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ChannelChange:
    """A connection's request to join or to leave a channel; it is always confirmed.

    Attributes:
        connection: ordinal of the connection.
        channel: the channel.
        joins: it asks to join; otherwise to leave.
        ns: when it was confirmed (wall clock, ns).
        fault: "ignored" if it was not carried out, "late" if it was later; empty otherwise.
    """

    connection: int
    channel: str
    joins: bool
    ns: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One request for the page with the token.

    Attributes:
        username: as given by the client; empty if not given.
        status: the HTTP status of the answer.
        ns: when it was received (wall clock, ns).
    """

    username: str
    status: int
    ns: int


class Recorder:
    """Write the record line by line; without a path, do nothing.

    Args:
        path: the file to write; an existing one is replaced.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = None
        if path is not None:
            # Line-buffered: nothing is lost when the server is killed.
            self._file = path.open("w", encoding="utf-8", buffering=1)

    def write(self, event: str, /, **fields: object) -> None:
        """Write an event."""
        if self._file is not None:
            self._file.write(json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n")

    def code(self, entry: CodeRecord) -> None:
        """Write a code once all its deliveries have an outcome."""
        if self._file is not None:
            self.write("code", **{name: getattr(entry, name) for name in _CODE_FIELDS})

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(slots=True)
class Record:
    """A whole record and its totals.

    Attributes:
        options: the server's options.
        connections: by ordinal.
        changes: joins and leaves of channels, in the order of the requests.
        ingests: in the order of their answers.
        pages: in the order of the requests.
        codes: by index.
        nodes: by number.
        stopped: why the server stopped; empty if unknown.
    """

    options: dict[str, Any] = field(default_factory=dict)
    connections: dict[int, ConnectionRecord] = field(default_factory=dict)
    changes: list[ChannelChange] = field(default_factory=list)
    ingests: list[IngestRecord] = field(default_factory=list)
    pages: list[PageRecord] = field(default_factory=list)
    codes: dict[int, CodeRecord] = field(default_factory=dict)
    nodes: dict[int, NodeRecord] = field(default_factory=dict)
    stopped: str = ""

    def total(self, outcome: str) -> int:
        """Count the entries of an outcome over all codes.

        Args:
            outcome: a list of `CodeRecord`, for example "delayed".
        """
        return sum(len(getattr(code, outcome)) for code in self.codes.values())

    @property
    def subscribers(self) -> int:
        """Pairs of a code and a subscriber: sent + lost + silenced + failed + misrouted."""
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
    def duplicated(self) -> int:
        """Additional copies written."""
        return self.total("duplicated")

    @property
    def replayed(self) -> int:
        """Codes written from the history."""
        return sum(len(connection.replayed) for connection in self.connections.values())

    @property
    def withheld(self) -> int:
        """Codes that clients which returned lacked and did not get."""
        return sum(len(connection.withheld) for connection in self.connections.values())

    @property
    def misrouted(self) -> int:
        """Deliveries that did not take place because of ``--wrong-room``."""
        return self.total("misrouted")

    @property
    def leaked(self) -> int:
        """Deliveries to connections outside the code's channel."""
        return self.total("leaked")

    @property
    def opened(self) -> int:
        """Handshakes that succeeded."""
        return sum(c.opened_ns is not None for c in self.connections.values())

    @property
    def refused(self) -> int:
        """Connections refused, in the handshake or after it."""
        return sum(c.refused is not None for c in self.connections.values())

    @property
    def dropped(self) -> int:
        """Connections ended or silenced by a fault."""
        return sum(c.dropped is not None for c in self.connections.values())

    def connection_total(self, outcome: str, connection: int) -> int:
        """Count the entries of an outcome for one connection."""
        return sum(getattr(code, outcome).count(connection) for code in self.codes.values())


def read(path: str | Path) -> Record:
    """Read a record, as far as the server has written it.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is invalid; an unfinished last one is ignored.
    """
    record = Record()
    text = Path(path).read_text(encoding="utf-8")
    # Ignore an unfinished last line.
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            _add(record, json.loads(line))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number}: invalid record line ({error})") from error
    return record


def _add(record: Record, line: dict[str, Any]) -> None:
    event = line.pop("event")
    match event:
        case "started":
            record.options = line["options"]
        case "stopped":
            record.stopped = line["why"]
        case "node started":
            node = record.nodes.setdefault(line["node"], NodeRecord(line["url"]))
            node.started_ns.append(line["ns"])
        case "node stopped":
            record.nodes[line["node"]].stopped_ns.append(line["ns"])
        case "ingest":
            record.ingests.append(IngestRecord(**line))
        case "page":
            record.pages.append(PageRecord(**line))
        case "change":
            record.changes.append(ChannelChange(**line))
        case "code":
            entry = CodeRecord(**line)
            if record.codes.setdefault(entry.index, entry) is not entry:
                record.codes[entry.index].add(entry)
        case "opened" | "refused":
            ordinal = line["connection"]
            connection = record.connections.setdefault(
                ordinal,
                ConnectionRecord(ordinal, line["transport"], line["username"], node=line["node"]),
            )
            if event == "opened":
                connection.opened_ns = line["ns"]
            else:
                connection.refused = line["how"]
        case _:
            _add_to(record.connections[line["connection"]], event, line)


def _add_to(connection: ConnectionRecord, event: str, line: dict[str, Any]) -> None:
    match event:
        case "publishing":
            connection.publishing_ns = line["ns"]
        case "upgraded":
            connection.upgraded_ns = line["ns"]
        case "subscribed":
            connection.subscribed[line["namespace"]] = line["ns"]
            connection.channels += line["channels"]
            # A connection that joins a further channel says nothing of what it has.
            if line["after"] is not None:
                connection.after = line["after"]
        case "replayed":
            connection.replayed += line["codes"]
        case "withheld":
            connection.withheld += line["codes"]
        case "dropped":
            connection.dropped = line["how"]
        case "closed":
            connection.closed_ns = line["ns"]
            connection.closed_by = line["by"]
            connection.closed_code = line["code"]
        case _:
            raise ValueError(f"unknown event {event!r}")
