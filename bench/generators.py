"""The programs that are compared: how to start each one, and what it reports as received."""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.children import ROOT, BenchError, Child, python
from bench.traffic import CHANNEL, SETTLE, Load, frame_bytes
from sseload_users.transports.receiving import PURE_PYTHON
from tests.servers.nchan import Nchan

#: Our own client programs.
CLIENTS = Path(__file__).parent / "clients"
#: Where Artillery is installed, once for all runs.
_CACHE = Path(__file__).parent / "results" / "artillery"
#: The version of Artillery for each oldest supported major version of Node.js.
_ARTILLERY = {22: "2.0.34", 18: "2.0.21"}
#: The seconds over which connections are opened, and the least number per second.
_RAMP_SECONDS, _RAMP_LEAST = 30, 100
#: Seconds for which a virtual user of Artillery stays after its codes.
_STAY = 10


class Generator(ABC):
    """A program that opens connections and receives codes.

    Attributes:
        title: its name in the tables.
        broadcasts: whether it sends the codes itself.
        ends: whether it exits by itself, some seconds after the last code.
        processes: the number of processes that share its connections. A single one has its
            own core; several share all cores with the server.
    """

    title: ClassVar[str]
    broadcasts: ClassVar[bool] = False
    ends: ClassVar[bool] = False
    processes: int = 1

    def missing(self) -> str | None:
        """Return why it cannot run on this machine; None if it can."""
        return None

    @abstractmethod
    def command(self, server: Nchan, load: Load, folder: Path) -> Sequence[str]:
        """Return the command that runs it; files for it may be written to the folder."""

    @abstractmethod
    def received(self, program: Child) -> int:
        """Return the number of messages that it reports as received, after its end.

        Raises:
            BenchError: it does not report it.
        """


class BareLoop(Generator):
    """An epoll loop that only receives: the lower bound in Python."""

    title = "bare epoll loop, receives only"

    def command(self, server: Nchan, load: Load, folder: Path) -> Sequence[str]:
        """Return the command of the client script."""
        del folder
        url = server.subscriber(CHANNEL, tls=load.tls)
        return python(str(CLIENTS / "bare_loop.py"), url, str(load.connections))

    def received(self, program: Child) -> int:
        """Return its bytes divided by the size of a frame, which is the same for all."""
        return _number(program, r"received (\d+) bytes") // frame_bytes()


class TransportAlone(Generator):
    """sseload's transport in a small program: no users, no ledger, no statistics."""

    title = "sseload's transport alone"

    def command(self, server: Nchan, load: Load, folder: Path) -> Sequence[str]:
        """Return the command of the client script."""
        del folder
        url = server.subscriber(CHANNEL, tls=load.tls)
        return python(str(CLIENTS / "transport_alone.py"), url, str(load.connections))

    def received(self, program: Child) -> int:
        """Return its own count."""
        return _number(program, r"received (\d+) messages")


class PlainLocust(Generator):
    """The usual Locust user: a task for each message."""

    title = "plain Locust user"
    user: ClassVar[str] = "TaskUser"

    def command(self, server: Nchan, load: Load, folder: Path) -> Sequence[str]:
        """Return the command of a headless Locust."""
        del folder
        url = server.subscriber(CHANNEL, tls=load.tls)
        return [
            *python("-m", "locust", "-f", str(CLIENTS / "plain_locustfile.py"), "--headless"),
            *("-u", str(load.connections), "-r", str(_rate(load)), "--host", url),
            *("--csv", "locust", "--only-summary", self.user),
        ]

    def received(self, program: Child) -> int:
        """Return Locust's count."""
        return int(self.reported(program)["Request Count"])

    def reported(self, program: Child) -> dict[str, str]:
        """Return Locust's row of statistics for the codes, by column.

        Raises:
            BenchError: there is none.
        """
        with (program.folder / "locust_stats.csv").open() as file:
            for row in csv.DictReader(file):
                if row["Name"] == "code":
                    return row
        raise BenchError("the plain Locust user received nothing")


class PlainLocustLoop(PlainLocust):
    """The same with one task for all messages, which avoids Locust's scheduling."""

    title = "plain Locust user, one endless task"
    user = "LoopUser"


class Artillery(Generator):
    """Artillery's WebSocket engine, with a histogram of latencies."""

    title = "Artillery, engine ws"
    ends = True  # on SIGTERM it would write no report

    def missing(self) -> str | None:
        """Return why Artillery cannot run: it needs Node.js, and npm on first use."""
        return _install_artillery()

    def command(self, server: Nchan, load: Load, folder: Path) -> Sequence[str]:
        """Return a command with one worker thread and one virtual user per connection."""
        seconds = max(load.connections // _rate(load), 1)
        stay = seconds + round(load.codes * load.interval) + _STAY
        script = {
            "config": {
                "target": server.subscriber(CHANNEL, tls=load.tls),
                "phases": [{"duration": seconds, "arrivalCount": load.connections}],
                "processor": str(CLIENTS / "artillery.cjs"),
            },
            "scenarios": [
                {"engine": "ws", "flow": [{"function": "listen"}, {"think": stay}]},
            ],
        }
        (folder / "script.json").write_text(json.dumps(script))
        binary = _CACHE / "node_modules" / ".bin" / "artillery"
        return [str(binary), "run", "--output", "artillery.json", "script.json"]

    def received(self, program: Child) -> int:
        """Return the count of its histogram."""
        try:
            report = json.loads((program.folder / "artillery.json").read_text())
            return int(report["aggregate"]["summaries"]["delivery"]["count"])
        except (OSError, KeyError) as error:
            raise BenchError("Artillery left no report") from error


class Sseload(Generator):
    """sseload in a headless Locust, with events and ledger."""

    title = "sseload"
    broadcasts = True
    ends = True

    def __init__(self, processes: int = 1) -> None:
        self.processes = processes

    def command(self, server: Nchan, load: Load, folder: Path) -> Sequence[str]:
        """Return the command of Locust with one more user, the broadcaster."""
        del folder
        return [
            *python("-m", "locust", "-f", str(ROOT / "locustfile.py"), "--headless"),
            *("-u", str(load.connections + 1), "-r", str(_rate(load))),
            *("--host", server.origin(tls=load.tls), "--target", str(CLIENTS / "nchan.toml")),
            *("--codes", str(load.codes), "--duration", str(load.codes * load.interval)),
            *("--ca-file", str(ROOT / "tests" / "certificates" / "ca.pem")),
            *("--settle", str(SETTLE), "--delivery-report", "report"),
            *(("--processes", str(self.processes)) if self.processes > 1 else ()),
        ]

    def received(self, program: Child) -> int:
        """Return the deliveries, late ones included."""
        deliveries = self.reported(program)["deliveries"]
        return int(deliveries["delivered"]) + int(deliveries["late"])

    def reported(self, program: Child) -> dict[str, Any]:
        """Return its report.

        Raises:
            BenchError: there is none.
        """
        try:
            report: dict[str, Any] = json.loads(
                (program.folder / "report" / "report.json").read_text()
            )
        except OSError as error:
            raise BenchError("sseload left no report") from error
        return report


class SseloadInPython(Sseload):
    """sseload as it is where nothing can be compiled."""

    title = "sseload, not compiled"

    def command(self, server: Nchan, load: Load, folder: Path) -> Sequence[str]:
        """Return the same command, in an environment that rules out what is compiled."""
        return ["env", f"{PURE_PYTHON}=1", *super().command(server, load, folder)]


def _rate(load: Load) -> int:
    return max(load.connections // _RAMP_SECONDS, _RAMP_LEAST)


@functools.cache
def _install_artillery() -> str | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "Node.js and npm are not installed"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(said.removeprefix("v").partition(".")[0])
    version = next((own for oldest, own in _ARTILLERY.items() if major >= oldest), None)
    if version is None:
        return f"Artillery does not run on Node.js {major}"
    if version in _installed_artillery():
        return None
    _CACHE.mkdir(parents=True, exist_ok=True)
    (_CACHE / "package.json").write_text("{}")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    try:
        subprocess.run(
            [*command, f"artillery@{version}"],
            cwd=_CACHE, stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=True,
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        return f"Artillery {version} could not be installed: {error}"
    return None


def _installed_artillery() -> str:
    package = _CACHE / "node_modules" / "artillery" / "package.json"
    return str(json.loads(package.read_text())["version"]) if package.exists() else ""


def _number(program: Child, pattern: str) -> int:
    match = re.search(pattern, program.output())
    if match is None:
        raise BenchError("the program did not report what it received")
    return int(match[1])
