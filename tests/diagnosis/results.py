"""The results of a campaign, in a file, from which it can be continued."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sseload_users.verdict.diagnosis import diagnose
from tests.diagnosis.keeping_symptoms import loaded
from tests.diagnosis.planting import Named
from tests.diagnosis.plants import Plant
from tests.support.runs import ROOT

#: What a plant's result depends on, beside `sseload_users`.
_PLANTING = (
    "tests/diagnosis/planting.py",
    "tests/servers/coalescing.py",
    "tests/support/bad_relays.py",
    "tests/support/relays.py",
)


class Results:
    """The runs of a campaign, as lines of JSON in a file.

    A run counts as long as neither its plant nor the code that carried it out has changed. The
    patterns may change: each run is diagnosed anew from what was kept of it.

    Args:
        path: of the file; None to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._code, self._turn = path, _digest(_sources()), threading.Lock()
        lines = path.read_text("utf-8").splitlines() if path is not None and path.exists() else []
        self._runs = {(each["run"], each["version"]): each for each in map(json.loads, lines)}

    def find(self, plant: Plant, seed: int, processes: int) -> Named | None:
        """Return what is named in an earlier run; None if there was none."""
        found = self._runs.get((_name(plant, seed, processes), self._version(plant)))
        if found is None:
            return None
        symptoms = base64.b85decode(found["symptoms"])
        findings = diagnose(loaded(symptoms))
        patterns = frozenset(each.pattern for each in findings)
        sentences = tuple(f"{each.pattern}: {each.sentence}" for each in findings)
        return Named(
            plant, seed, processes, patterns, sentences, found["complete"], symptoms=symptoms
        )

    def add(self, named: Named, seconds: float) -> None:
        """Write down a run that took so many seconds."""
        if self._path is None:
            return
        line = {
            "run": _name(named.plant, named.seed, named.processes),
            "version": self._version(named.plant),
            "named": sorted(named.patterns),
            "missed": named.missed,
            "wrong": sorted(named.wrong),
            "complete": named.complete,
            "judged": named.judged,
            "seconds": round(seconds, 1),
            "sentences": named.sentences,
            "symptoms": base64.b85encode(named.symptoms).decode(),
        }
        with self._turn, self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")

    def _version(self, plant: Plant) -> str:
        rendered = plant.render and plant.render(["LT-a-1-b", "LT-a-2-c"])
        # A function is shown by its address.
        plain = replace(plant, render=None)
        return _digest([self._code.encode(), f"{plain}{rendered}".encode()])


def _name(plant: Plant, seed: int, processes: int) -> str:
    return f"{plant.name}, seed {seed}, {processes} processes"


def _sources() -> Iterator[bytes]:
    """Yield the code that carries a run out; the diagnosis is not part of it."""
    package = ROOT / "sseload_users"
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] != "verdict":
            yield path.read_bytes()
    for name in _PLANTING:
        yield (ROOT / name).read_bytes()


def _digest(parts: Iterator[bytes] | list[bytes]) -> str:
    digest = hashlib.sha256()
    for each in parts:
        digest.update(each)
    return digest.hexdigest()[:16]
