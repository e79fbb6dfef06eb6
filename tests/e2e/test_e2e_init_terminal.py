"""`init` on a terminal: it asks for what is missing, and it can be stopped."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.strangers.running import chrome, serving
from tests.support.runs import ROOT, SSELOAD, clean_environment, target

pytestmark = pytest.mark.e2e

#: Seconds in which a text must appear.
PATIENCE = 40.0


class Dialogue:
    """A program on a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.seen = ""
        self._master, slave = pty.openpty()
        self.child = subprocess.Popen(
            ["setsid", "--ctty", *SSELOAD, "init", *arguments],
            stdin=slave, stdout=slave, stderr=slave, cwd=folder,
            env={**clean_environment(), "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        )  # fmt: skip
        os.close(slave)

    def wait_for(self, text: str) -> None:
        """Read until a text appears, at the end of the output if it is empty."""
        deadline = time.monotonic() + PATIENCE
        while not text or text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if not select.select([self._master], [], [], 1)[0]:
                continue
            try:
                self.seen += os.read(self._master, 65536).decode("utf-8", "replace")
            except OSError:
                break  # all of its ends are closed
        assert text in self.seen, self.seen

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Wait for the end; return the exit status."""
        self.wait_for("")
        return self.child.wait(PATIENCE)

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self._master)


@contextlib.contextmanager
def dialogue(folder: Path, *arguments: str) -> Iterator[Dialogue]:
    made = Dialogue(folder, *arguments)
    try:
        yield made
    finally:
        made.close()


def test_it_asks_for_what_is_missing(tmp_path: Path) -> None:
    with serving("ticker.js") as address, dialogue(tmp_path) as talk:
        talk.wait_for("(cURL): ")
        # A copied command has several lines.
        talk.type(
            chrome(
                "/v1/news", '{"symbol":"ACME","headline":"Record quarter"}',
                headers="  -H 'X-Api-Key: k-3141592653' \\\n",
            ).replace("HOST", address) + "\n"
        )  # fmt: skip
        talk.wait_for("Where clients connect")
        talk.type("/feed\n")
        talk.wait_for("message that clients send")
        talk.type('{"action":"subscribe","symbols":["ACME"]}\n')
        assert talk.end() == 0, talk.seen
        # The terminal itself shows what is typed; the command does not repeat it.
        assert talk.seen.count("k-3141592653") <= 2
        assert "k-3141592653" not in (tmp_path / "target.toml").read_text("utf-8")


def test_ctrl_c_leaves_no_file_and_no_traceback(tmp_path: Path) -> None:
    with target(tmp_path) as (server, _), dialogue(
        tmp_path, "--ws", "/ws?username=loadtest", "--send",
        f"curl {server.url}/api/ingest --json '{{\"username\":\"loadtest\",\"code\":\"hello\"}}'",
    ) as talk:  # fmt: skip
        talk.wait_for("connect ")
        talk.type("\x03")
        assert talk.end() == 2, talk.seen
    assert not list(tmp_path.glob("sseload-init-*"))
    assert "Stopped; no profile was written." in talk.seen
    assert "Traceback" not in talk.seen
    assert not (tmp_path / "target.toml").exists()


def test_a_server_that_dies_meanwhile_is_one_sentence(tmp_path: Path) -> None:
    with target(tmp_path) as (server, _):
        talk = Dialogue(
            tmp_path, "--ws", "/ws?username=loadtest", "--send",
            f"curl {server.url}/api/ingest --json '{{\"username\":\"loadtest\",\"code\":\"hi\"}}'",
        )  # fmt: skip
        talk.wait_for("connect ")
    try:
        assert talk.end() == 1, talk.seen
        assert "sseload: The server ended the connection before any code" in talk.seen
        assert "Traceback" not in talk.seen
        assert not (tmp_path / "target.toml").exists()
    finally:
        talk.close()
