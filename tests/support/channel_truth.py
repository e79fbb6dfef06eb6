"""What connections that change their channels were owed, by the target's record alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sseload_users.demo.record import CodeRecord, ConnectionRecord, Record

_S = 1_000_000_000
#: What the server may still send after a leave is confirmed, by docs/ledger.md.
GRACE_NS = _S


def sent_ns(code: CodeRecord) -> int:
    """Return the send time in a code of the default template (wall clock, ns)."""
    return int(code.code.rsplit("-", 1)[1], 36)


@dataclass
class Stay:
    """A stretch of a connection in a channel, as the server confirmed it.

    Attributes:
        joined_ns: when its join was confirmed.
        left_ns: when its leave was; None if it stayed.
    """

    channel: str
    joined_ns: int
    left_ns: int | None = None


def stays(record: Record, connection: ConnectionRecord) -> list[Stay]:
    """Return what a connection was told about its channels."""
    found = [Stay(connection.channels[0], min(connection.subscribed.values()))]
    for each in record.changes:
        if each.connection != connection.connection:
            continue
        if each.joins:
            found.append(Stay(each.channel, each.ns))
        else:
            for stay in found:
                if stay.channel == each.channel and stay.left_ns is None:
                    stay.left_ns = each.ns
    return found


def leaks(record: Record, slack_ns: int = 0) -> int:
    """Count the codes that were written to a connection which was not in their channel.

    Args:
        record: the target's.
        slack_ns: how much later than the server's confirmation the leave is taken to be.
    """
    return sum(
        has_left(here[number], code, slack_ns)
        for here in [{number: stays(record, each) for number, each in _listeners(record)}]
        for code in record.codes.values()
        for number in (*code.sent, *code.leaked)
    )


def missed(record: Record, before_leave_ns: int) -> int:
    """Count the codes that were not written to a connection which had joined their channel.

    Args:
        record: the target's.
        before_leave_ns: how long before it left it is not owed codes any more.
    """
    return sum(
        each.channel == code.channel
        and each.joined_ns < sent_ns(code)
        and (each.left_ns is None or sent_ns(code) < each.left_ns - before_leave_ns)
        and number not in code.sent
        and number not in code.leaked
        for number, connection in _listeners(record)
        for each in stays(record, connection)
        for code in record.codes.values()
    )


def _listeners(record: Record) -> Iterator[tuple[int, ConnectionRecord]]:
    return ((number, each) for number, each in record.connections.items() if each.subscribed)


def has_left(own: list[Stay], code: CodeRecord, slack_ns: int) -> bool:
    at_ns = sent_ns(code)
    # The server may join a connection before it gets to a code that was sent a little earlier.
    latest_ns = at_ns + max(slack_ns, 0)
    before = [each for each in own if each.channel == code.channel and each.joined_ns <= latest_ns]
    if not before:
        return True
    left_ns = before[-1].left_ns
    return left_ns is not None and at_ns > left_ns + GRACE_NS + slack_ns
