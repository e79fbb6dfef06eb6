"""Planted faults are named, and what has no shape is not.

`make test` has a few of them. `make test-diagnosis` runs each with several seeds, on one process
and on three, and prints the precision and the recall of each pattern.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError

from sseload_users.core.config_path import config_path
from sseload_users.demo.record import Record, read
from tests.diagnosis.plants import PLANTS, Plant
from tests.servers.coalescing import CoalescingServer
from tests.support.bad_relays import bad_relay
from tests.support.relays import balancer
from tests.support.runs import Run, running, target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: Seeds of each plant in a campaign; 0 for the sample.
SEEDS = int(os.environ.get("DIAGNOSIS_SEEDS", "0"))
#: The numbers of processes.
PROCESSES = tuple(map(int, os.environ.get("DIAGNOSIS_PROCESSES", "1,3").split(",")))
#: Only plants in whose name this regular expression is found.
ONLY = os.environ.get("DIAGNOSIS_ONLY", "")
#: The sample of `make test`: a plant, and the number of processes.
SAMPLE = (("idle timeout", 1), ("confirmed early, churn", 3))
CONNECTIONS = 30


@dataclass(frozen=True)
class Named:
    """What the diagnosis of a run named.

    Attributes:
        plant: what was planted.
        seed: of the run.
        processes: that held the connections.
        patterns: what was named.
        sentences: how.
        report: the run's report.
        records: what the embedded targets recorded, in the order of the plant's servers.
    """

    plant: Plant
    seed: int
    processes: int
    patterns: frozenset[str]
    sentences: tuple[str, ...]
    report: dict[str, Any] = field(default_factory=dict, repr=False)
    records: list[Record] = field(default_factory=list, repr=False)

    @property
    def missed(self) -> bool:
        """Whether the planted pattern was not named."""
        return bool(self.plant.pattern) and self.plant.pattern not in self.patterns

    @property
    def wrong(self) -> frozenset[str]:
        """The patterns that were named and are not true."""
        return self.patterns - {self.plant.pattern, *self.plant.also}

    def __str__(self) -> str:
        where = f"{self.plant.name}, seed {self.seed}, {self.processes} processes"
        return f"{where}: {'; '.join(self.sentences) or 'nothing named'}"


def perform(plant: Plant, seed: int, processes: int, folder: Path) -> Named:
    """Carry out a run; return what its diagnosis named."""
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(target(folder / str(at), "--seed", f"{seed}", *options))
            for at, options in enumerate(() if plant.render else plant.servers)
        ]
        urls = [child.url for child, _ in children]
        if plant.render is not None:
            server = CoalescingServer(plant.render, flush_every=plant.flush_every)
            url = stack.enter_context(server.running())
        else:
            behind = len(urls) > 1 and not plant.nodes
            url = stack.enter_context(balancer(urls)) if behind else urls[0]
        if plant.harm is not None:
            url = stack.enter_context(bad_relay(url, plant.harm, seed))
            urls.append(url)
        run = stack.enter_context(
            running(
                folder,
                *(str(CONNECTIONS), str(plant.codes), f"{plant.duration_s:g}"),
                *("--settle", "0.1", "--delivery-timeout", "1", "--warm-up", "4"),
                *("--target", _profile(plant, folder), "--host", url),
                *(("--processes", str(processes)) if processes > 1 else ()),
                *(("--nodes", ",".join(urls)) if plant.nodes else ()),
                *plant.options,
            )
        )
        if plant.pause[1]:
            _pause(run, lambda: children[0][0].pid, children[0][1], plant.pause)
        if plant.stall[1]:
            # Workers are started last.
            _pause(
                run, lambda: max(each.pid for each in run.processes()), children[0][1], plant.stall
            )
        report = run.finish().report
    records = [read(path) for _, path in children]
    findings = report["diagnosis"]
    patterns = frozenset(each["pattern"] for each in findings)
    sentences = tuple(f"{each['pattern']}: {each['sentence']}" for each in findings)
    return Named(plant, seed, processes, patterns, sentences, report, records)


_SOCKET = 'transport = "websocket"\n[connect]\npath = "/ws"\n'
_STREAM = 'transport = "sse"\n[connect]\npath = "/events"\n'
_COLLECTING = """
[code]
field = "code"

[ingest]
method = "POST"
path = "/in"
body = "{code}"
"""


def _profile(plant: Plant, folder: Path) -> str:
    if plant.render is not None:
        listen = _STREAM if plant.flush_every else _SOCKET
        path = folder / "profile.toml"
        path.write_text(f"{listen}{_COLLECTING}")
        return str(path)
    if not plant.transports:
        return "websocket"
    text = config_path("targets/code-server.toml").read_text("utf-8")
    path = folder / "profile.toml"
    path.write_text(
        text.replace('transports = ["websocket", "polling"]', f"transports = {plant.transports}")
    )
    return str(path)


def _pause(run: Run, find: Callable[[], int], record: Path, pause: tuple[float, float]) -> None:
    """Stop a process for a while, some time after the target's first code."""
    run.wait_until(lambda: '"event":"ingest"' in record.read_text(), "a code")
    after_s, for_s = pause
    time.sleep(after_s)
    pid = find()
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(for_s)
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(bool(SEEDS), reason="a campaign runs")
@pytest.mark.parametrize(("name", "processes"), SAMPLE)
def test_a_plant_gets_its_name_and_no_other(name: str, processes: int, tmp_path: Path) -> None:
    (plant,) = (each for each in PLANTS if each.name == name)
    named = perform(plant, 1, processes, tmp_path)
    if "generator" in named.patterns:
        pytest.skip("the machine is too busy")
    assert not named.missed, named
    assert not named.wrong, named


def score(runs: list[Named]) -> Iterator[str]:
    """Return a line for each pattern, with its precision and recall."""
    planted = Counter(each.plant.pattern for each in runs if each.plant.pattern)
    missed = Counter(each.plant.pattern for each in runs if each.missed)
    wrong = Counter(pattern for each in runs for pattern in each.wrong)
    yield f"{'pattern':24} {'planted':>7} {'found':>7} {'wrong':>7} {'precision':>9} {'recall':>7}"
    for pattern in sorted({*planted, *wrong}):
        found = planted[pattern] - missed[pattern]
        named = found + wrong[pattern]
        precision = f"{found / named:.2f}" if named else "-"
        recall = f"{found / planted[pattern]:.2f}" if planted[pattern] else "-"
        yield (
            f"{pattern:24} {planted[pattern]:7} {found:7} {wrong[pattern]:7} "
            f"{precision:>9} {recall:>7}"
        )
    without = [each for each in runs if not each.plant.pattern]
    yield f"without a pattern: {sum(bool(each.wrong) for each in without)} of {len(without)} named"


@pytest.mark.skipif(not SEEDS, reason="make test-diagnosis runs it")
def test_campaign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [
        (plant, seed, processes)
        for seed in range(1, SEEDS + 1)
        for plant in PLANTS
        for processes in PROCESSES
        if re.search(ONLY, plant.name)
    ]
    turn = threading.Lock()

    def tried(at: int) -> Named | str:
        plant, seed, processes = jobs[at]
        try:
            named = perform(plant, seed, processes, tmp_path / str(at))
        except (AssertionError, ValidationError) as error:
            said = str(error).splitlines()[0] if str(error) else "a check of the report fails"
            return f"{plant.name}, seed {seed}, {processes} processes: broken: {said}"
        if named.missed or named.wrong:
            with turn, capsys.disabled():
                print(f"\n{named}", end="", flush=True)
        return named

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(tried, range(len(jobs))))
    broken = [each for each in outcomes if isinstance(each, str)]
    runs = [each for each in outcomes if isinstance(each, Named)]
    # What such a run shows may be this machine's doing.
    judged = [
        each
        for each in runs
        if "generator" not in each.patterns or each.plant.pattern == "generator"
    ]
    with capsys.disabled():
        print("\n" + "\n".join(score(judged)))
        print(f"{len(runs) - len(judged)} of {len(runs)} runs not judged: the machine was too busy")
    assert judged, "no run could be judged"
    assert not broken, "\n".join(broken)
    failed = [str(each) for each in judged if each.missed or each.wrong]
    assert not failed, "\n".join(failed)
