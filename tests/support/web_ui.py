"""Run Locust with its web UI."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.support.ports import free_port
from tests.support.runs import LOCUST, PATIENCE, QUICK, Run, running


@contextlib.contextmanager
def web_ui(folder: Path, *arguments: str, path: str = "") -> Iterator[tuple[Run, str]]:
    """Start Locust with its web UI; return the run and the URL of the UI.

    Args:
        folder: see `Run`.
        *arguments: of Locust.
        path: the UI's base path, if the arguments set one.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}{path}"
    listen = ("--web-host", "127.0.0.1", "--web-port", str(port))
    with running(folder, *listen, *QUICK, *arguments, command=LOCUST) as run:
        run.wait_for("Starting web interface")
        run.wait_until(lambda: responds(url), "the web UI")
        yield run, url


def responds(url: str) -> bool:
    """Whether a URL answers with a status below 400."""
    try:
        return requests.get(url, timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


def form_fields(page: str) -> dict[str, dict[str, Any]]:
    """Return the custom fields of the start form, by name."""
    (arguments,) = re.findall(
        r"window\.templateArgs\s*=\s*(\{.*?\});?\s*</script>", page, re.DOTALL
    )
    fields: dict[str, dict[str, Any]] = json.loads(arguments)["extra_options"]
    return fields
