"""A worker process renders nothing, and loads nothing of ours that renders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.distributed import distributed
from tests.support.runs import target

#: Writes the names of all loaded modules when the worker ends.
_LIST_MODULES = """
import atexit, json, pathlib, sys
out = pathlib.Path({out!r})
atexit.register(lambda: out.write_text(json.dumps(sorted(sys.modules))))
"""


@pytest.mark.e2e
def test_a_worker_loads_neither_the_leaders_side_nor_what_renders(tmp_path: Path) -> None:
    out = tmp_path / "modules.json"
    with (
        target(tmp_path / "target") as (server, _),
        distributed(
            tmp_path / "run",
            *("--codes", "2", "--duration", "0.5"),
            host=server.url,
            workers=1,
            connections=3,
            code={"a": _LIST_MODULES.replace("{out!r}", repr(str(out)))},
        ) as swarm,
    ):
        outcome = swarm.finish()
    assert outcome.report["deliveries"]["delivered"] == 6
    loaded = json.loads(out.read_text())
    assert "sseload_users.run.worker_run" in loaded
    # Locust itself loads Flask and Jinja.
    unwanted = (
        *("rich", "prometheus_client", "sseload_users.web", "sseload_users.report"),
        *("sseload_users.run.leader", "sseload_users.run.conductor"),
    )
    assert [name for name in loaded if name.startswith(unwanted)] == []
