"""The machine: its cores, and what a process has used of it."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import psutil

#: The server and the bench itself run on the one, what is measured on the other.
SERVER_CORE, GENERATOR_CORE = (sorted(os.sched_getaffinity(0)) * 2)[:2]


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used so far, all threads, to the nanosecond.

    Raises:
        OSError: there is no such process.
    """
    # The clock that clock_getcpuclockid(3) names; Python has no word for it.
    return time.clock_gettime(~pid << 3 | 2)


def resident_bytes(pid: int) -> int:
    """A process's resident memory.

    Raises:
        psutil.Error: there is no such process.
    """
    return int(psutil.Process(pid).memory_info().rss)


def load_average() -> float:
    """Processes that wanted to run, on average over the last minute."""
    return os.getloadavg()[0]


def describe() -> dict[str, str]:
    """What the figures were measured on."""
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"Linux {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "locust": version("locust"),
        "gevent": version("gevent"),
        "nginx": nginx.strip().rpartition("/")[2],
        "load average": f"{load_average():.2f} before the first measurement",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
