"""Take pictures of report.html for runs of every kind, on two screens, in both themes, and printed.

    make pictures

They are put into build/pages, to be looked at one by one; none of them is in the documentation.
All are of real runs against the embedded target, but for the soak of an hour: that is a short run
whose timeline and codes are repeated. Names of runs as arguments make only these.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from sseload_users.report import html
from sseload_users.report.model import Report
from sseload_users.report.serialization import read

_HERE = Path(__file__).parent
_OUT = _HERE.parent / "build" / "pages"
_SCREENS: Mapping[str, Any] = {
    "laptop": {"width": 1280, "height": 800},
    "phone": {"width": 390, "height": 844},
}
_THEMES = ("light", "dark")
_SOAK_S = 3600

#: The options of the embedded target, and the command, of each run.
_RUNS: Mapping[str, tuple[str, str]] = {
    "good": ("", "50 30 8"),
    "warning": ("--lose 0.004 --cost-per-delivery 0.00005", "100 30 8"),
    "issues": ("--lose 0.1 --drop 0.002 --refuse 0.1 --duplicate 0.02", "200 30 8"),
    "ladder": ("--max-connections 180", "--config ladder --duration 4"),
    "search": ("--max-connections 120", "--config capacity --duration 3"),
    "storm": (
        "--cost-per-delivery 0.0001",
        "--config storm -u 301 --duration 20 --storm-after 8 --storm-jitter 4",
    ),
    "resume": (
        "", "60 40 12 --target restarting-sse --storm-after 5 --storm-jitter 2",
    ),
    "rooms": ("--leak 0.0005 --lose 0.002", "--config rooms --duration 8"),
    "nodes": ("--nodes 3 --backplane none", "150 30 8 --target websocket"),
    "deploy": (
        "--nodes 3 --restart-after 3 --restart-away 2", "--config deploy --duration 24",
    ),
    "slow-readers": ("", "--config slow-consumers --duration 12"),
    "3000-codes": ("--lose 0.001", "20 3000 15"),
    "0-connections": ("--refuse 1", "20 5 2"),
}  # fmt: skip


def main(names: list[str]) -> None:
    """Take the pictures of all runs, or of those with these names."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is missing: apt-get install chromium")
    unknown = {*names} - {*_RUNS, "soak"}
    if unknown:
        sys.exit(f"There is no run {', '.join(sorted(unknown))}; runs: {', '.join(_RUNS)}, soak.")
    wanted = names or [*_RUNS, "soak"]
    _OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in wanted:
            report = _run(Path(folder) / name, *_RUNS["good" if name == "soak" else name])
            _shoot(browser, name, _an_hour(report) if name == "soak" else report)
        browser.close()
    print(f"{_OUT.relative_to(_HERE.parent)}: {', '.join(wanted)}")


def _run(folder: Path, embedded: str, words: str) -> Report:
    """Run against the embedded target, and return the report."""
    target = [f"--embedded={embedded}"] if embedded else []
    done = subprocess.run(  # noqa: S603 - this program itself
        [sys.executable, "-m", "sseload_users", *words.split(), *target,
         "--delivery-report", str(folder), "--history", ""],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if not (folder / "report.json").exists():
        sys.exit(f"sseload {words} {' '.join(target)}: {done.stderr}")
    return read(folder)


def _an_hour(report: Report) -> Report:
    """Return a report whose timeline and codes are repeated until they fill an hour."""
    draw = random.Random(1)
    steady = [row for row in report.timeline if row.received]
    step_s = 2.0
    timeline = [
        _noisy(steady[at % len(steady)], (at + 1) * step_s, draw.uniform(0.7, 1.4))
        for at in range(round(_SOAK_S / step_s))
    ]
    many = 40 * len(report.per_code)
    codes = [replace(report.per_code[at % len(report.per_code)], seq=at + 1) for at in range(many)]
    began = datetime.fromisoformat(report.run.started_at)
    phases = [
        replace(
            phase,
            seconds=_SOAK_S - 10 if phase.name == "broadcast" else 1.0,
            started_at=(began + timedelta(seconds=5 * at)).isoformat(),
        )
        for at, phase in enumerate(report.phases[:3])
    ]
    run = replace(
        report.run,
        finished_at=(began + timedelta(seconds=_SOAK_S)).isoformat(),
        notes=["This page is synthetic: a short run's timeline and codes, repeated for an hour."],
    )
    return replace(
        report, run=run, timeline=timeline, per_code=codes, phases=phases, vitals=[], reach=[]
    )


def _noisy(row: Any, t: float, factor: float) -> Any:
    percentiles = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms")
    known = {name: value for name in percentiles if (value := getattr(row, name)) is not None}
    return replace(row, t=t, **{name: value * factor for name, value in known.items()})


def _shoot(browser: Browser, name: str, report: Report) -> None:
    """Take a report's page on each screen in each theme, and print it."""
    path = _OUT / f"{name}.html"
    path.write_text(html.document(report), encoding="utf-8")
    for screen, size in _SCREENS.items():
        for theme in _THEMES:
            with browser.new_context(viewport=size, color_scheme=theme) as context:  # type: ignore[arg-type]
                page = context.new_page()
                errors: list[str] = []
                page.on("console", lambda message, kept=errors: kept.append(message.text))
                page.goto(path.as_uri())
                _check_width(name, screen, page.evaluate("document.documentElement.scrollWidth"))
                page.screenshot(path=_OUT / f"{name}-{screen}-{theme}.png", full_page=True)
                if (screen, theme) == ("laptop", "light"):
                    page.pdf(path=_OUT / f"{name}.pdf", format="A4", print_background=True)
                if errors:
                    sys.exit(f"{name}: the page's console has {json.dumps(errors)}")


def _check_width(name: str, screen: str, wide: int) -> None:
    if wide > _SCREENS[screen]["width"]:
        sys.exit(f"{name}: the page is {wide} pixels wide on a {screen}")


if __name__ == "__main__":
    main(sys.argv[1:])
