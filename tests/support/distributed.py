"""Start distributed runs: a master and its workers, each in its own process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

from sseload_users.core.connection_row import ConnectionRow
from tests.support.consistency import OWED_OUTCOMES, check_consistency, validator
from tests.support.ports import free_port
from tests.support.runs import LOCUST, QUICK, ROOT, Outcome, Run

DEMO = (sys.executable, "-m", "sseload_users.demo")

#: The beginning of a worker's locustfile. The worker whose name sorts first has the broadcaster.
_LOCUSTFILE = """
from types import SimpleNamespace
import locust.runners
from sseload_users import CodeBroadcaster, CodeListener
locust.runners.uuid4 = lambda: SimpleNamespace(hex={name!r})
"""

#: Code that can block a whole process, as garbage collection or a busy machine does.
BLOCK = """
import time
from gevent import monkey
block = monkey.get_original("time", "sleep")
"""


class Distributed:
    """A master and workers, which are named a, b, c and so on.

    Args:
        folder: for all their files.
        *arguments: of the master.
        host: the server to test; None: the master gets no `--host`.
        connections: the number of connections.
        workers: the number of workers.
        code: code for the locustfile of each process, by name, or of all workers ("all").
        options: further options of workers, by name.
        headless: start the run immediately, not from the web UI.
        within: the network namespace of the master ("master") and of each worker.
        master: the address on which the master listens.

    Attributes:
        folder: for all their files.
        master: the master.
        workers: by name.
        web: the URL of the web UI.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        host: str | None,
        connections: int = 12,
        workers: int = 3,
        code: Mapping[str, str] | None = None,
        options: Mapping[str, Sequence[str]] | None = None,
        headless: bool = True,
        within: Mapping[str, str] | None = None,
        master: str = "127.0.0.1",
    ) -> None:
        self.folder = folder
        self._within = dict(within or {})
        self._address = master
        self._code, self._options = dict(code or {}), dict(options or {})
        self._port, web_port = free_port(), free_port()
        self.web = f"http://127.0.0.1:{web_port}"
        begin = ["--web-host", "127.0.0.1", "--web-port", str(web_port)]
        if headless:
            begin = ["--headless", "--only-summary", "--expect-workers", str(workers)]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "locustfile.py").write_text(_LOCUSTFILE.format(name="m") + self._of("master"))
        self.master = Run(
            folder / "master",
            *("-f", str(folder / "locustfile.py"), "--master"),
            *("--master-bind-host", master, "--master-bind-port", str(self._port)),
            *(*begin, "-u", str(connections + 1), "-r", "100", "--target", "websocket"),
            *(() if host is None else ("--host", host)),
            *(*QUICK, *arguments),
            command=self._command("master"),
        )
        self.workers = {name: self.join(name) for name in "abcdefgh"[:workers]}

    def join(self, name: str) -> Run:
        """Start a worker."""
        locustfile = self.folder / f"{name}.py"
        locustfile.write_text(_LOCUSTFILE.format(name=name) + self._of(name))
        return Run(
            self.folder / name,
            *("-f", str(locustfile), "--worker"),
            *("--master-host", self._address, "--master-port", str(self._port)),
            *self._options.get(name, ()),
            command=self._command(name),
            report=False,
        )

    def _of(self, name: str) -> str:
        return self._code.get(name, self._code.get("all", ""))

    def _command(self, name: str) -> tuple[str, ...]:
        space = self._within.get(name)
        return LOCUST if space is None else ("ip", "netns", "exec", space, *LOCUST)

    def label(self, name: str) -> str:
        """Return the name of a worker in the report."""
        (number,) = re.findall(
            rf"{socket.gethostname()}_{name} \(index (\d+)\) reported as ready", self.master.stderr
        )[:1]
        return f"worker {int(number) + 1} ({socket.gethostname()})"

    def get(self, path: str) -> str:
        """Return the response of the web UI to a GET request."""
        with urllib.request.urlopen(self.web + path, timeout=30) as answer:
            return str(answer.read().decode())

    def post(self, path: str, **form: object) -> str:
        """Return the response of the web UI to a form."""
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(self.web + path, data, timeout=30) as answer:
            return str(answer.read().decode())

    def finish(self, *, lost: Sequence[str] = (), quiet: bool = True) -> Outcome:
        """Wait for the end of all processes.

        Args:
            lost: the workers that do not end by themselves.
            quiet: fail if a process wrote a traceback.
        """
        outcome = self.master.finish(quiet=quiet)
        for name, worker in self.workers.items():
            if name not in lost:
                worker.finish(quiet=quiet)
        return outcome

    def kill(self) -> None:
        """Kill the processes that are left."""
        for each in (self.master, *self.workers.values()):
            each.kill()


@contextlib.contextmanager
def distributed(folder: Path, *arguments: str, **options: Any) -> Iterator[Distributed]:
    """Start a master and workers; kill what is left on exit. See `Distributed`."""
    started = Distributed(folder, *arguments, **options)
    try:
        yield started
    finally:
        started.kill()


def incomplete(outcome: Outcome) -> dict[str, Any]:
    """Return the report of a run that lost workers, after checking that it is consistent.

    Only connections.csv has no rows for them.
    """
    report: dict[str, Any] = json.loads((outcome.folder / "report.json").read_text("utf-8"))
    validator.validate(report)
    check_workers(report)
    assert report["run"]["complete"] is False
    assert report["verdict"]["grade"] != "good"
    assert "The run is incomplete" in outcome.stdout
    return report


def check_workers(report: Mapping[str, Any]) -> None:
    """Check the sums over workers and regions in a report."""
    for rows in filter(None, (report["workers"], report["regions"])):
        for row in rows:
            assert row["owed"] == sum(row[name] for name in OWED_OUTCOMES), row
            assert row["attempted"] == row["succeeded"] + row["failed"], row
            assert row["delivery_ms"]["count"] == row["delivered"], row
            assert row["connect_ms"]["count"] == row["succeeded"], row
        for name in ("owed", *OWED_OUTCOMES):
            assert sum(row[name] for row in rows) == report["deliveries"][name], name
        for name in ("attempted", "succeeded", "failed", "dropped"):
            assert sum(row[name] for row in rows) == report["connections"][name], name
    check_consistency(report)


def check_rows(outcome: Outcome) -> None:
    """Check the rows of each worker in connections.csv against its row in the report."""
    table = outcome.table("connections")
    assert list(table[0]) == list(ConnectionRow.__dataclass_fields__)
    for worker in outcome.report["workers"]:
        rows = [row for row in table if row["worker"] == worker["name"]]
        for name in ("owed", *OWED_OUTCOMES):
            assert sum(int(row[name]) for row in rows) == worker[name], (worker["name"], name)


class Hosts:
    """Network namespaces that are connected by a switch, like separate hosts.

    They have no connection to the outside.

    Args:
        names: of the hosts besides "hub", which has the switch.
    """

    #: The hub's address; the other hosts have the next ones.
    HUB = "10.213.7.1"

    def __init__(self, *names: str) -> None:
        self._prefix = f"sseload{os.getpid()}"
        self._names = ("hub", *names)

    def __enter__(self) -> Self:
        for name in self._names:
            _ip("netns", "add", self.space(name))
            _ip("-n", self.space(name), "link", "set", "lo", "up")
        hub = ("-n", self.space("hub"))
        _ip(*hub, "link", "add", "switch", "type", "bridge")
        _ip(*hub, "addr", "add", f"{self.HUB}/24", "dev", "switch")
        _ip(*hub, "link", "set", "switch", "up")
        for number, name in enumerate(self._names[1:], 11):
            other = ("-n", self.space(name))
            peer = ("peer", "name", "eth0", "netns", self.space(name))
            _ip(*hub, "link", "add", f"to-{name}", "type", "veth", *peer)
            _ip(*hub, "link", "set", f"to-{name}", "master", "switch", "up")
            _ip(*other, "addr", "add", f"10.213.7.{number}/24", "dev", "eth0")
            _ip(*other, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", self.space(name))

    def space(self, name: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self._prefix}-{name}"

    def cut_off(self, name: str) -> None:
        """Disconnect a host."""
        _ip("-n", self.space("hub"), "link", "set", f"to-{name}", "down")

    @contextlib.contextmanager
    def target(self, path: Path) -> Iterator[str]:
        """Run the embedded target on the hub; return its URL.

        Args:
            path: of its record.
        """
        arguments = ("--host", self.HUB, "--record", str(path), "--exit-with-parent")
        with subprocess.Popen(
            ("ip", "netns", "exec", self.space("hub"), *DEMO, *arguments),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                assert child.stdout is not None
                yield child.stdout.readline().split()[-1]
            finally:
                child.terminate()


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True, capture_output=True, timeout=10)


@cache
def no_namespaces() -> str:
    """Return why network namespaces cannot be used; empty if they can."""
    # Several processes may try at the same time.
    name = f"sseload-probe-{os.getpid()}"
    try:
        for arguments in (("add", name), ("exec", name, "true"), ("del", name)):
            _ip("netns", *arguments)
    except (OSError, subprocess.SubprocessError) as error:
        return f"cannot create network namespaces ({type(error).__name__})"
    return ""
