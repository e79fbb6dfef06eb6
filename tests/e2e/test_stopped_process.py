"""A process that is stopped while the server answers: what came in time counts."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from sseload_users.report.moments import moments
from sseload_users.report.serialization import parse
from tests.support.runs import Run, running
from tests.support.scripted_server import ScriptedServer, accept, code_frame

pytestmark = pytest.mark.e2e

#: Seconds within which a code must be answered, and for which the process is stopped.
TIMEOUT_S, STOPPED_S = 1.0, 2.5
#: After how many seconds of the stop these codes are answered.
ANSWERS = {2: 0.3, 4: 1.8}


def test_an_answer_that_is_read_late_counts_by_its_arrival(tmp_path: Path) -> None:
    runs: list[Run] = []

    def on_code(number: int, code: str, connection: socket.socket) -> None:
        server.broadcast(code_frame(code))
        after_s = ANSWERS.get(number)
        if after_s is None:
            accept(connection)
            return
        os.kill(runs[0].child.pid, signal.SIGSTOP)
        try:
            time.sleep(after_s)
            accept(connection)
            time.sleep(STOPPED_S - after_s)
        finally:
            os.kill(runs[0].child.pid, signal.SIGCONT)

    server = ScriptedServer(None, on_code)
    arguments = ("2", "5", "1", "--target", "websocket", "--settle", "0.1", "--warm-up", "3")
    timeouts = ("--ingest-timeout", str(TIMEOUT_S), "--delivery-timeout", "4")
    with (
        server.serving() as url,
        running(tmp_path, *arguments, *timeouts, "--host", url) as run,
    ):
        runs.append(run)
        outcome = run.finish()
    codes = outcome.report["codes"]
    assert (codes["accepted"], codes["unanswered"], codes["rejected"]) == (4, 1, 0)
    assert outcome.causes == {("ingest", "no answer in time"): 1}
    # The page shows when that was, beside what the server did.
    stalls = moments(parse(outcome.report, "report.json"))
    assert {each.name for each in stalls} == {"generator stalled"}
    marked_s = sum(each.end_s - each.start_s for each in stalls)
    assert marked_s > 2 * STOPPED_S - 1
    # The one that was read late took as long as the server took, and not as the stop.
    assert codes["ingest_ms"]["max"] < 1000
