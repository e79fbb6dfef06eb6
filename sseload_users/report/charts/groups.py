"""Draw groups of connections side by side, and the distribution of many channels."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from sseload_users.core.formatting import count, ms, number, of, share
from sseload_users.report.charts import scale
from sseload_users.report.charts.drawing import ChartTable, Hit, Key, figure
from sseload_users.report.charts.panel import Panel
from sseload_users.report.groups import PERCENTILES, Group

_STYLES = dict(zip(PERCENTILES, ("s1", "s3", "s2", "s5"), strict=True))
#: Bounds of ranges of latencies within a decade.
_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


def groups(name: str, title: str, rows: Sequence[Group], *, of_all: int, x_name: str) -> Markup:
    """Draw the latency and the delivery of some groups side by side.

    Args:
        name: the figure's id in the page, of letters and hyphens.
        title: in a few words.
        rows: one or more.
        of_all: how many groups there are, of which these are the worst.
        x_name: what they are.
    """
    x = scale.names([each.name for each in rows])
    return figure(
        name,
        title,
        _about(rows, of_all),
        [_latencies(rows, x), _delivered(rows, x)],
        ChartTable(
            (x_name, *(f"{each}, ms" for each in PERCENTILES), "received", "owed"),
            [
                (
                    each.full_name,
                    *(ms(each.latencies.get(name)) for name in PERCENTILES),
                    number(each.received),
                    number(each.owed),
                )
                for each in rows
            ],
        ),
        x_name=x_name,
        keys=[Key(style, each) for each, style in _STYLES.items()]
        + [Key("s4", "delivered in time or recovered")],
        hits=(Hit(at, at + 1, _words(each)) for at, each in enumerate(rows)),
    )


def _about(rows: Sequence[Group], of_all: int) -> str:
    shown = f"The worst {number(len(rows))} of {number(of_all)}. " if len(rows) < of_all else ""
    owed = [each for each in rows if each.owed]
    least = max(owed, key=lambda each: each.badness, default=None)
    timed = [each for each in rows if "p99" in each.latencies]
    slowest = max(timed, key=lambda each: each.latencies["p99"], default=None)
    if least is None:
        return f"{shown}Nothing was owed."
    if least.lost:
        said = f"Received the least: {least.full_name}, {of(least.received, least.owed)}."
    else:
        said = "All received what they were owed."
    if slowest is not None:
        said += f" The slowest: {slowest.full_name}, p99 {ms(slowest.latencies['p99'])} ms."
    return shown + said


def _latencies(rows: Sequence[Group], x: scale.Scale) -> Panel:
    panel = Panel("delivery latency, ms", _scale(rows), x)
    for at, each in enumerate(rows):
        if each.latencies:
            ends = min(each.latencies.values()), max(each.latencies.values())
            panel.line([(at + 0.5, end) for end in ends], "s5", "thin")
        # From the highest to the lowest, so that the median is drawn above the others.
        for name in reversed(PERCENTILES):
            if name in each.latencies:
                panel.dot((at + 0.5, each.latencies[name]), _STYLES[name])
    if not any(each.latencies for each in rows):
        panel.nothing("Nothing was delivered.")
    return panel


def _scale(rows: Sequence[Group]) -> scale.Scale:
    """Return the scale of latencies: logarithmic if those of a group dwarf those of another."""
    values = [max(value, 0.001) for each in rows for value in each.latencies.values()]
    if values and max(values) >= 25 * min(values):
        return scale.logarithmic(min(values), max(values))
    return scale.latencies(values)


def _delivered(rows: Sequence[Group], x: scale.Scale) -> Panel:
    shares = {at: 100 * each.received / each.owed for at, each in enumerate(rows) if each.owed}
    panel = Panel("delivered, %", scale.percentages(shares.values()), x, height=95)
    for at, percent in shares.items():
        if percent < 100:
            panel.line([(at + 0.5, 100.0), (at + 0.5, percent)], "missing", "thin")
        panel.dot((at + 0.5, percent), "s4")
    return panel


def _words(group: Group) -> str:
    known = ", ".join(f"{name} {ms(value)} ms" for name, value in group.latencies.items())
    delivered = f"{of(group.received, group.owed)} delivered" if group.owed else "nothing owed"
    return f"{group.full_name}: {delivered}" + (f", {known}" if known else "")


def channel_spread(rows: Sequence[Group]) -> Markup:
    """Draw how many channels were how slow, and how many of them lacked deliveries.

    Args:
        rows: all channels.
    """
    timed = [each for each in rows if "p99" in each.latencies]
    ranges = _ranges([each.latencies["p99"] for each in timed])
    whole, lossy = [0] * len(ranges), [0] * len(ranges)
    lows = [low for low, _ in ranges]
    for each in timed:
        at = bisect_right(lows, each.latencies["p99"]) - 1
        (lossy if each.lost else whole)[at] += 1
    x = scale.logarithmic(ranges[0][0], ranges[-1][1]) if ranges else scale.linear(())
    panel = Panel("channels", scale.linear(map(sum, zip(whole, lossy, strict=True)), whole=True), x)
    for at, ends in enumerate(ranges):
        both = whole[at] + lossy[at]
        if whole[at]:
            panel.bar(ends, (0, whole[at]), "s1")
        if lossy[at]:
            panel.bar(ends, (whole[at], both), "missing")
    if not timed:
        panel.nothing("Nothing was delivered.")
    lost = [each for each in rows if each.lost]
    none = sum(each.owed > 0 and not each.received for each in rows)
    return figure(
        "chart-channel-spread",
        "Channels by latency",
        _about_channels(len(rows), len(lost), none),
        [panel],
        ChartTable(
            ("p99, ms", "channels", "lacked deliveries", "share of all"),
            [
                (
                    f"{low:g}-{high:g}",
                    number(whole[at] + lossy[at]),
                    number(lossy[at]),
                    share(whole[at] + lossy[at], len(rows)),
                )
                for at, (low, high) in enumerate(ranges)
            ],
        ),
        x_name="p99 of the delivery latency, ms",
        keys=[
            Key("s1", "received all", "bar"),
            *([Key("missing", "lacked deliveries", "bar")] if any(lossy) else []),
        ],
        hits=(
            Hit(
                low,
                high,
                f"p99 from {low:g} to {high:g} ms: {count(whole[at] + lossy[at], 'channel')}, "
                f"{number(lossy[at])} of them lacked deliveries",
            )
            for at, (low, high) in enumerate(ranges)
        ),
    )


def _about_channels(all_channels: int, lossy: int, none: int) -> str:
    about = f"{of(all_channels - lossy, all_channels)} channels received all that they were owed"
    return f"{about}; {number(none)} received nothing." if none else f"{about}."


def _ranges(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return successive ranges that contain all values, six to a decade."""
    if not values:
        return []
    bounds = list(_bounds())
    first = bisect_right(bounds, max(min(values), bounds[0])) - 1
    last = bisect_right(bounds, max(values))
    return list(zip(bounds[first:last], bounds[first + 1 : last + 1], strict=True))


def _bounds() -> Iterator[float]:
    """Yield the bounds of all ranges, from a microsecond to hours."""
    for power in range(-3, 8):
        for step in _STEPS:
            yield float(f"{step}e{power}")
