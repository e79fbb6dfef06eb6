"""Runs with a fault that is planted, and what their diagnosis names."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sseload_users.core.config_path import config_path
from sseload_users.demo.record import Record, read
from tests.diagnosis import keeping_symptoms
from tests.diagnosis.plants import Plant
from tests.servers.coalescing import CoalescingServer
from tests.support.bad_relays import bad_relay
from tests.support.relays import balancer
from tests.support.runs import Run, running, target

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
        complete: whether the run was carried out to its end, and no worker was lost.
        report: the run's report; empty for an earlier run.
        records: what the embedded targets recorded, in the order of the plant's servers.
        symptoms: what the diagnosis looked at, as `keeping_symptoms` keeps it.
    """

    plant: Plant
    seed: int
    processes: int
    patterns: frozenset[str]
    sentences: tuple[str, ...]
    complete: bool
    report: dict[str, Any] = field(default_factory=dict, repr=False)
    records: list[Record] = field(default_factory=list, repr=False)
    symptoms: bytes = field(default=b"", repr=False)

    @property
    def judged(self) -> bool:
        """Whether what was named says something: it may be this machine's doing."""
        kept_up = "generator" not in self.patterns or self.plant.pattern == "generator"
        return self.complete and kept_up

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
    kept = folder / "symptoms"
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
                command=keeping_symptoms.COMMAND,
                env={keeping_symptoms.VARIABLE: str(kept)},
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
    return Named(
        plant,
        seed,
        processes,
        patterns,
        sentences,
        report["run"]["complete"],
        report,
        records,
        kept.read_bytes(),
    )


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
