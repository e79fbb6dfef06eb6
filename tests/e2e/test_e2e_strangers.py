"""`init` as a newcomer types it, against servers that know nothing of sseload."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.servers.strangers.running import NEWCOMERS, STRANGERS, Stranger, serving
from tests.support.runs import QUICK, ROOT, SSELOAD, clean_environment, run

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: Of a run; channels if there are any.
CONNECTIONS, CODES, CHANNELS = 20, 6, 2


@pytest.mark.parametrize("stranger", [*STRANGERS, *NEWCOMERS], ids=lambda each: each.program)
def test_a_newcomer_gets_a_profile_that_needs_no_edit(tmp_path: Path, stranger: Stranger) -> None:
    profile = tmp_path / "mine.toml"
    with serving(stranger.program) as address:
        done = subprocess.run(
            [*SSELOAD, "init", "--out", str(profile),
             *(each.replace("HOST", address) for each in stranger.arguments)],
            check=False, cwd=tmp_path, env={**clean_environment(), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the profile fits the server" in done.stdout
        name, _, secret = stranger.values.partition("=")
        asked = re.findall(r"SSELOAD_VALUE=\S+", done.stdout)
        assert asked == ([f"SSELOAD_VALUE={shlex.quote(f'{name}=…')}"] if secret else [])
        if secret:
            assert secret not in done.stdout + profile.read_text("utf-8")
        outcome = run(
            tmp_path / "run", str(CONNECTIONS), str(CODES), "1", *QUICK,
            *(("--channels", str(CHANNELS)) if stranger.channel else ()),
            "--target", str(profile), "--host", f"http://{address}",
            env={"SSELOAD_VALUE": stranger.values} if secret else {},
        )  # fmt: skip
    learned = tomllib.loads(profile.read_text("utf-8"))
    assert learned.get("values", {}).get("channel", "") == stranger.channel
    owed = CONNECTIONS * CODES // (CHANNELS if stranger.channel else 1)
    assert outcome.report["deliveries"]["delivered"] == owed
    assert outcome.report["deliveries"]["owed"] == owed
    assert not outcome.report["leaks"]
