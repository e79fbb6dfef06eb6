"""Real runs: locust in a child process against the embedded target, and what is to be held.

Nothing here believes what it is told. A run's report is validated, its books are added up
anew, and it is compared with the record in which the target wrote what it did to whom.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema
import psutil

from sseload_users.demo import process, record
from sseload_users.report import files
from sseload_users.verdict import rules as verdict
from sseload_users.verdict import thresholds

ROOT = Path(__file__).parents[2]
#: The programs of the environment that the tests run in.
BIN = Path(sys.executable).parent
SSELOAD = (sys.executable, "-m", "sseload_users")
LOCUST = (str(BIN / "locust"),)

#: Seconds after which a run that goes on has failed.
PATIENCE = 60.0
#: So that a run is over as soon as it can be.
QUICK = ("--settle", "0.1", "--delivery-timeout", "1", "--warm-up", "3")

#: In the environment of every child: all its descendants have it, and nobody else.
_MARK = "SSELOAD_TEST_RUN"

_SCHEMA = json.loads((Path(files.__file__).parent / "schema.json").read_text(encoding="utf-8"))
_validator = jsonschema.Draft202012Validator(
    _SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


@dataclass(frozen=True)
class Outcome:
    """What a run that is over left behind.

    Attributes:
        status: its exit status; negative for the signal that killed it.
        stdout: all that it wrote there.
        stderr: likewise.
        folder: where its report is, if it wrote one.
        seconds: how long it took.
    """

    status: int
    stdout: str
    stderr: str
    folder: Path
    seconds: float

    @property
    def reported(self) -> bool:
        """Whether there is a report."""
        return (self.folder / "report.json").exists()

    @cached_property
    def report(self) -> dict[str, Any]:
        """The report, which keeps to its schema and whose books balance."""
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text("utf-8"))
        _validator.validate(report)
        check_books(report)
        connections, codes = self.table("connections"), self.table("codes")
        for outcome in ("owed", "delivered", "late", "missing", "interrupted"):
            total = report["deliveries"][outcome]
            assert sum(int(row[outcome]) for row in connections) == total, outcome
            assert sum(int(row[outcome]) for row in codes) == total, outcome
        assert len(codes) == report["codes"]["scheduled"]
        assert (self.folder / "junit.xml").stat().st_size > 0
        return report

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of one of the report's tables."""
        with (self.folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @property
    def grade(self) -> str:
        """The verdict's grade."""
        return str(self.report["verdict"]["grade"])

    @property
    def reasons(self) -> dict[str, str]:
        """The rules that are not good, and the grade that each gives.

        The generator's is left out: it tells of this machine, which is a noisy one.
        """
        return {
            reason["rule"]: reason["grade"]
            for reason in self.report["verdict"]["reasons"]
            if reason["grade"] != "good" and reason["rule"] != "generator"
        }

    @property
    def complaints(self) -> list[str]:
        """What sseload itself complained of on standard error."""
        return [line for line in self.stderr.splitlines() if line.startswith("sseload: ")]


#: As it exits, Locust may let the greenlet that writes its CSV files go on after it has closed
#: them, and tell of it.
_LOCUSTS_OWN = re.compile(
    r"Traceback \(most recent call last\):\n(?:  .*\n)*? *File .*locust/stats\.py.*stats_writer\n"
    r"(?:  .*\n)*ValueError: I/O operation on closed file\.\n"
)


class Run:
    """A run that is under way.

    Args:
        folder: its own; the report goes to `report` in it.
        *words: the command's arguments; a report and no bytecode are asked for anyway.
        command: what to run.
        cwd: where.
        env: further environment.
        report: ask for one on the command line.
    """

    def __init__(
        self,
        folder: Path,
        *words: str,
        command: tuple[str, ...] = SSELOAD,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        report: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder / "report"
        self._mark = uuid.uuid4().hex
        self._out, self._err = folder / "stdout", folder / "stderr"
        asked = ("--delivery-report", str(self.folder)) if report else ()
        self._started = time.monotonic()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.child = subprocess.Popen(
                [*command, *words, *asked],
                cwd=cwd,
                env={**clean_environment(), **(env or {}), _MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                # Its own group, as a shell gives one to each command.
                process_group=0,
            )

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return self._out.read_text("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """What it has written so far."""
        return self._err.read_text("utf-8", "replace")

    def wait_for(self, text: str) -> None:
        """Wait until it has said something on standard error."""
        self.wait_until(lambda: text in self.stderr, text)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds, while it is running."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.child.poll() is None, f"it ended before {what!r}: {self.stderr}"
            assert time.monotonic() < deadline, f"waited in vain for {what!r}: {self.stderr}"
            time.sleep(0.01)

    def interrupt(self) -> None:
        """As Ctrl-C in a terminal does: the whole group is told."""
        os.killpg(self.child.pid, signal.SIGINT)

    def processes(self) -> list[psutil.Process]:
        """It and its descendants, those that it has left alone included."""
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if each.environ().get(_MARK) == self._mark and each.status() != "zombie":
                    found.append(each)
        return found

    def finish(self, *, quiet: bool = True) -> Outcome:
        """Wait until it has ended; nothing of it may be left over.

        Args:
            quiet: it must not have written any traceback.
        """
        try:
            status = self.child.wait(PATIENCE)
            seconds = time.monotonic() - self._started
            deadline = time.monotonic() + 5
            while (left := self.processes()) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not left, f"left over: {[each.cmdline() for each in left]}"
        finally:
            self.kill()
        if quiet:
            said = self.stderr + self.stdout
            assert "Traceback" not in _LOCUSTS_OWN.sub("", said), said
        return Outcome(status, self.stdout, self.stderr, self.folder, seconds)

    def kill(self) -> None:
        """End whatever is left of it."""
        for each in self.processes():
            with contextlib.suppress(psutil.Error):
                each.kill()
        self.child.wait()


def run(folder: Path, *words: str, **how: Any) -> Outcome:
    """A whole run; see `Run`."""
    return Run(folder, *words, **how).finish()


@contextlib.contextmanager
def running(folder: Path, *words: str, **how: Any) -> Iterator[Run]:
    """A run, and its end whatever happens; see `Run`."""
    started = Run(folder, *words, **how)
    try:
        yield started
    finally:
        started.kill()


@contextlib.contextmanager
def target(folder: Path, *options: str) -> Iterator[tuple[process.Process, Path]]:
    """The embedded target with these options, and where its record is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "record.jsonl"
    with process.start("--record", str(path), *options) as child:
        yield child, path


def play(
    folder: Path, *words: str, faults: tuple[str, ...] = (), **how: Any
) -> tuple[Outcome, record.Record]:
    """A whole run against a target of its own: its outcome, and the truth."""
    with target(folder, *faults) as (server, path):
        outcome = run(folder, *words, "--host", server.url, **how)
    return outcome, record.read(path)


def clean_environment() -> dict[str, str]:
    """This process's, without what would change a run."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOCUST_", "SSELOAD_", "COLUMNS", "NO_COLOR", "FORCE_COLOR"))
    }


def check_books(report: Mapping[str, Any]) -> None:
    """Add up everything in a report that has to add up."""
    connections, codes = report["connections"], report["codes"]
    deliveries, errors, per_code = report["deliveries"], report["errors"], report["per_code"]
    fates = ("delivered", "late", "interrupted", "missing")
    for account in (deliveries, *per_code):
        assert account["owed"] == sum(account[fate] for fate in fates), account
    for outcome in ("owed", *fates, "duplicate"):
        assert deliveries[outcome] == sum(row[outcome] for row in per_code), outcome
    assert connections["attempted"] == connections["succeeded"] + connections["failed"]
    assert connections["connect_ms"]["count"] == connections["succeeded"]
    assert connections["dropped"] <= connections["succeeded"]
    assert codes["scheduled"] == codes["sent"] + codes["unsent"] == len(per_code)
    assert codes["sent"] == codes["accepted"] + codes["rejected"] + codes["unanswered"]
    assert codes["schedule_slip_ms"]["count"] == codes["sent"]
    assert codes["ingest_ms"]["count"] == codes["accepted"]
    by_status = Counter(row["status"] for row in per_code)
    for status in ("accepted", "rejected", "unanswered", "unsent"):
        assert by_status[status] == codes[status], status
    assert report["delivery_ms"]["count"] == deliveries["delivered"]
    assert report["spread_ms"]["count"] == sum(row["delivered"] > 0 for row in per_code)
    received = {int(many): each for many, each in report["received_per_connection"].items()}
    assert sum(many * each for many, each in received.items()) == deliveries["delivered"]
    undelivered = codes["rejected"] + codes["unanswered"] + codes["unsent"]
    upkeep = sum(each["count"] for each in errors["causes"] if each["operation"] == "upkeep")
    failed = connections["failed"] + connections["dropped"] + deliveries["malformed"]
    failed += undelivered + upkeep
    assert errors["failed"] == failed
    # How many upkeep requests there were is not told apart.
    assert errors["operations"] >= connections["attempted"] + codes["scheduled"] + upkeep
    assert sum(cause["count"] for cause in errors["causes"]) == failed
    connecting = connections["failed"] + connections["dropped"]
    assert sum(cause["count"] for cause in connections["causes"]) == connecting
    timeline = report["timeline"]
    assert sum(point["sent"] for point in timeline) == codes["sent"]
    assert sum(point["received"] for point in timeline) == deliveries["delivered"]
    # What the end cut off failed in no second.
    cut_off = sum(cause["count"] for cause in errors["causes"] if cause["cause"] == "left")
    assert sum(point["errors"] for point in timeline) == failed - cut_off
    assert sum(point["dropped"] for point in timeline) == connections["dropped"]
    if report["run"]["options"].get("thresholds") is None:
        assert report["verdict"] == verdict.judge(report, thresholds.load(None))


def truth_of(
    report: Mapping[str, Any],
    truth: record.Record,
    *,
    scheduled: int,
    delayed_are_late: bool = False,
    bad_frames: bool = False,
    slow_answers: bool = False,
    reconnecting: bool = False,
) -> dict[str, dict[str, Any]]:
    """What a report should say, worked out from the target's record alone.

    Args:
        report: it tells in which form to say it, and nothing else.
        truth: the record.
        scheduled: how many codes were to be sent.
        delayed_are_late: the delay that was ordered is beyond the delivery timeout.
        bad_frames: the garbage that was ordered is such that a client has to hang up.
        slow_answers: the answers that were ordered come after the ingest timeout.
        reconnecting: whoever is dropped comes back, once.
    """
    killed = truth.stopped == "codes"
    listening = listeners_of(truth)
    dropped = {
        number
        for number, each in listening.items()
        if each.dropped in ("close", "reset")
        or (each.opened_ns and each.closed_ns is None and killed)
        or (bad_frames and any(number in code.garbage for code in truth.codes.values()))
    }
    per_code: dict[int, dict[str, int]] = {}
    for code in truth.codes.values():
        late = len(code.delayed) if delayed_are_late else 0
        # What could not be written, or was lost, was for a session that had ended, or that
        # ended before its time was over; or, at the run's end, for one that had waited for it
        # long enough.
        gone = [*code.failed, *code.lost]
        interrupted = sum(number in dropped for number in gone)
        missing = len(code.silenced) + len(gone) - interrupted
        per_code[sequence_of(code.code)] = {
            "owed": code.subscribers,
            "delivered": len(code.sent) - late,
            "late": late,
            "interrupted": interrupted,
            "missing": missing,
            "duplicate": len(code.duplicated),
        }
    # Who hangs up over a bad frame does not see what follows it.
    unread = sum(each in code.garbage for code in truth.codes.values() for each in code.foreign)
    answers = Counter(each.status for each in truth.ingests)
    taken = answers.pop(200, 0) + answers.pop("accepted", 0)
    unanswered = answers.pop("hang", 0) + answers.pop("reset", 0)
    rejected = sum(answers.values())
    if slow_answers:
        taken, unanswered = 0, unanswered + taken
    names = ("owed", "delivered", "late", "interrupted", "missing", "duplicate")
    totals = {name: sum(code[name] for code in per_code.values()) for name in names}
    opened = sum(each.opened_ns is not None for each in listening.values())
    return {
        "connections": {
            "attempted": len(listening),
            "succeeded": opened,
            "failed": len(listening) - opened,
            "dropped": len(dropped),
            "reconnected": len(dropped) if reconnecting else 0,
        },
        "codes": {
            "scheduled": scheduled,
            "sent": len(truth.ingests),
            "accepted": taken,
            "rejected": rejected,
            "unanswered": unanswered,
            "unsent": scheduled - len(truth.ingests),
        },
        "deliveries": {
            **totals,
            "released": 0,
            "out_of_order": truth.out_of_order,
            "unexpected": truth.replayed,
            "foreign": truth.foreign - (unread if bad_frames else 0),
            "malformed": truth.garbage,
            "delivery_rate": totals["delivered"] / totals["owed"] if totals["owed"] else None,
        },
        "per_code": {
            row["seq"]: per_code.get(row["seq"], dict.fromkeys(names, 0))
            for row in report["per_code"]
        },
    }


def said_by(report: Mapping[str, Any], like: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The same fields of a report as the truth has."""
    said: dict[str, Any] = {
        part: {name: report[part][name] for name in like[part]}
        for part in ("connections", "codes", "deliveries")
    }
    said["per_code"] = {
        row["seq"]: {name: row[name] for name in like["per_code"][row["seq"]]}
        for row in report["per_code"]
    }
    return said


def listeners_of(truth: record.Record) -> dict[int, record.ConnectionRecord]:
    """The connections of a record, by ordinal, without those that handed in codes."""
    return {
        number: each for number, each in truth.connections.items() if each.publishing_ns is None
    }


def received_by_connection(truth: record.Record, *, delayed_are_late: bool = False) -> Counter[int]:
    """How many of the connections that were opened received how many codes in time."""
    received: Counter[int] = Counter(
        {number: 0 for number, each in listeners_of(truth).items() if each.opened_ns}
    )
    for code in truth.codes.values():
        received.update(code.sent)
        if delayed_are_late:
            received.subtract(code.delayed)
    return Counter(received.values())


def sequence_of(code: str) -> int:
    """The sequence number in a code of the default shape."""
    return int(code.split("-")[2])
