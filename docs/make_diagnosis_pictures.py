"""Generate the pictures in docs/pictures/diagnosis: the shape of each pattern, from a real run.

    make diagnosis-pictures

Each picture is the chart of a report that shows the shape best. The runs are those of
`make test-diagnosis`. It takes some minutes and needs the development environment and Debian's
chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from sseload_users.demo.record import Record
from sseload_users.report.charts import STYLE, scale
from sseload_users.report.charts.drawing import ChartTable, Key, Panel, figure
from tests.diagnosis.planting import perform
from tests.diagnosis.plants import PLANTS

_OUT = Path(__file__).parent / "pictures" / "diagnosis"
_SIZE = {"width": 640, "height": 700}
#: How often a run is repeated whose generator was too busy.
_ATTEMPTS = 3

#: By pattern: the plant, and the chart that shows it: of the report, or one of `_CHARTS`.
PICTURES = {
    "isolated_instances": ("two instances", "losses"),
    "same_connections": ("mute connections", "losses"),
    "by_channel": ("a mute room", "losses"),
    "by_node": ("two nodes", "losses"),
    "by_publisher": ("one of two publishers", "losses"),
    "by_size": ("large payloads", "losses"),
    "silent_cut": ("silent from an age on", "losses"),
    "first_seconds": ("confirmed early, churn", "losses"),
    "one_moment": ("a failover", "losses"),
    "held_back": ("held back", "losses"),
    "several_per_frame": ("several in a message", "losses"),
    "altered": ("cut off", "losses"),
    "session_age": ("limited age", "lives"),
    "idle_cut": ("idle timeout", "lives"),
    "buffered": ("buffering", "reach"),
    "unflushed_compression": ("an unflushed stream", "reach"),
    "falling_behind": ("too slow", "latency"),
    "serial_fanout": ("serial", "reach"),
    "slow_consumer_blocks": ("slow readers", "latency"),
    "thundering_herd": ("a storm", "connections"),
    "admission": ("a full server", "connections"),
    "sticky_sessions": ("nodes that do not share sessions", "connections"),
    "duplicates_by_namespace": ("twice", "copies"),
    "duplicates_on_reconnect": ("everything again", "copies"),
    "generator": ("a stalled process", "generator"),
}


def main(names: Sequence[str]) -> None:
    """Generate the pictures of some patterns; of all if none is named."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is missing: apt-get install chromium")
    _OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for pattern in names or PICTURES:
            _picture(browser, pattern, Path(folder))
        browser.close()


def _picture(browser: Browser, pattern: str, folder: Path) -> None:
    plant_name, chart = PICTURES[pattern]
    (plant,) = (each for each in PLANTS if each.name == plant_name)
    for attempt in range(_ATTEMPTS):
        place = folder / f"{pattern}-{attempt}"
        named = perform(plant, 1, 1, place)
        if pattern in named.patterns:
            break
    else:
        sys.exit(f"{pattern} was not found: {named}")
    out = _OUT / f"{pattern}.png"
    with _page(browser) as page:
        if make := _CHARTS.get(chart):
            page.set_content(f"<style>{STYLE}</style>{make(named.records[0])}")
        else:
            (report,) = place.glob("**/report.html")
            page.goto(report.as_uri())
        page.locator("details").evaluate_all("all => all.forEach(each => each.remove())")
        page.locator(f"#chart-{chart}").screenshot(path=out)
    print(f"{out.name}: {out.stat().st_size / 1000:.0f} kB; {named.sentences[0]}", flush=True)


def _copies(record: Record) -> str:
    """Return a chart of what the target sent in each session, as it recorded it."""
    connections = sorted(number for number, each in record.connections.items() if each.subscribed)
    first = [record.connection_total("sent", each) for each in connections]
    further = [
        record.connection_total("duplicated", each) + len(record.connections[each].replayed)
        for each in connections
    ]
    ticks = tuple((at + 0.5, f"{at + 1}") for at in range(0, len(connections), 5))
    panel = Panel(
        "copies",
        scale.linear(map(sum, zip(first, further, strict=True)), whole=True),
        scale.Scale(0.0, float(len(connections)), ticks),
        height=120,
    )
    for at, (once, again) in enumerate(zip(first, further, strict=True)):
        for low, high, style in ((0, once, "s1"), (once, once + again, "s2")):
            if high > low:
                panel.bar((at, at + 1), (low, high), style, gap=0.2)
    return figure(
        "chart-copies",
        "Copies of codes",
        "What the server sent in each session.",
        [panel],
        ChartTable(("session",), []),
        x_name="session, in order of opening",
        keys=[Key("s1", "first copies", "bar"), Key("s2", "further copies", "bar")],
    )


def _lives(record: Record) -> str:
    """Return a chart of how long sessions lasted at the target, as it recorded it."""
    ended = [each for each in record.connections.values() if each.opened_ns and each.closed_ns]
    start_ns = min(each.opened_ns or 0 for each in ended)
    dots = [
        (((each.opened_ns or 0) - start_ns) / 1e9,
         ((each.closed_ns or 0) - (each.opened_ns or 0)) / 1e9)
        for each in ended
        if each.publishing_ns is None
    ]  # fmt: skip
    panel = Panel(
        "s that it lasted",
        scale.linear(lasted for _, lasted in dots),
        scale.time(max(began for began, _ in dots)),
        height=140,
    )
    for dot in dots:
        panel.dot(dot, "s1", radius=2.5)
    return figure(
        "chart-lives",
        "How long sessions lasted",
        "A dot for each session.",
        [panel],
        ChartTable(("session",), []),
        x_name="when it began",
    )


#: Charts that no report has.
_CHARTS: Mapping[str, Callable[[Record], str]] = {"copies": _copies, "lives": _lives}


@contextmanager
def _page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport=_SIZE, color_scheme="light") as context:  # type: ignore[arg-type]
        yield context.new_page()


if __name__ == "__main__":
    main(sys.argv[1:])
