"""Commands whose output nobody reads, as behind `| head`."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.runs import ROOT, SSELOAD, clean_environment


@pytest.mark.parametrize(
    "command",
    ["docs", "docs verdict", "targets", "targets show nchan", "help codes", "completion bash"],
)
def test_a_reader_that_has_gone_away_is_no_defect(command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*SSELOAD, *command.split()], check=False, cwd=ROOT, env=clean_environment(),
            stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 1, 141)
