"""A process loads what it needs, and not what a report or another protocol might."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Locust loads Flask and Jinja itself; what loads them here is listed instead.
_RENDERERS = ("sseload_users.report", "sseload_users.web", "rich", "prometheus_client")
#: What only a run with Socket.IO needs, and what nobody does.
_SOCKETIO = ("socketio", "engineio", "aiohttp", "redis")

_SCRIPT = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*(name for name in sys.modules if name.startswith(tuple(sys.argv[2:]))))
"""


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("sseload_users.cli.main", ("gevent", "locust", "pydantic", "socket")),
        ("sseload_users.plugin", (*_RENDERERS, *_SOCKETIO, "sseload_users.verdict.rules")),
        ("sseload_users.run.leader", _SOCKETIO),
        ("sseload_users.run.worker", _RENDERERS),
        ("sseload_users.users.listener", _RENDERERS),
        ("sseload_users.users.broadcaster", _RENDERERS),
        # The report is built, and shown as a page, without a terminal.
        ("sseload_users.report.build", ("rich", "jinja2", "flask", "sseload_users.web")),
        ("sseload_users.report.live", ("rich", "jinja2", "flask", "sseload_users.web")),
        ("sseload_users.report.html", ("rich", "flask", "sseload_users.web")),
    ],
)
def test_modules_load_only_what_they_need(module: str, unwanted: tuple[str, ...]) -> None:
    asked = [sys.executable, "-c", _SCRIPT, module, *unwanted]
    loaded = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []
