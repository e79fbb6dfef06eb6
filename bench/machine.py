"""The machine: its cores, and the resources that a process has used."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import psutil

#: The server and the benchmark run on the first core, the measured program on the second.
SERVER_CORE, GENERATOR_CORE = (sorted(os.sched_getaffinity(0)) * 2)[:2]


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of all threads of a process, with nanosecond resolution.

    Raises:
        OSError: there is no such process.
    """
    # The clock id that clock_getcpuclockid(3) returns; Python does not wrap that function.
    return time.clock_gettime(~pid << 3 | 2)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process.

    Raises:
        psutil.Error: there is no such process.
    """
    return int(psutil.Process(pid).memory_info().rss)


def load_average() -> float:
    """Return the load average over one minute."""
    return os.getloadavg()[0]


def describe() -> dict[str, str]:
    """Describe the machine and the versions of the software."""
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
