"""Every command in README.md and docs/ is run, with few connections and for a second.

Each page has a folder like a checkout, and its blocks are run in it one after another, so that a
later one finds what an earlier one wrote. Hosts are replaced by servers of the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from locust.argument_parser import get_parser

from docs.generators.option_table import PARSERS
from sseload_users import plugin  # noqa: F401 - registers the options
from sseload_users.demo import process
from tests.docs.blocks import PAGES, ROOT, SHELL, Block, blocks, without_blocks
from tests.docs.supposed_server import supposed_server
from tests.servers.nchan import missing, nchan
from tests.support.installation import new_environment
from tests.support.ports import free_port
from tests.support.runs import clean_environment

ALL = [block for page in PAGES for block in blocks(page)]
COMMANDS = [block for block in ALL if block.language in SHELL]
BY_PAGE = {
    page: [*of_page]
    for page, of_page in itertools.groupby(COMMANDS, key=lambda block: block.page)
    if any(not block.reason for block in COMMANDS if block.page == page)
}
#: The page whose blocks are run side by side.
MASTER_AND_WORKERS = "docs/distributed.md"

#: Seconds in which the commands of a block end.
PATIENCE = 90.0
#: Files that a page supposes: the number of a block of the page, among those of a language.
SUPPOSED = {
    "docs/targets.md": {"mine.toml": ("toml", 0), "users.csv": ("csv", 0)},
    "docs/observing.md": {"trades.toml": ("toml", 0)},
    "docs/audiences.md": {"resumed.toml": ("toml", 4)},
}
#: Files that are a copy of the built-in profile `websocket`.
COPIES = ("my-server.toml", "path/to/mine.toml")
#: Hosts that are not the embedded target.
SUPPOSED_HOSTS = ("https://chat.example.org", "https://example.com")

#: Options of other programs that the text names, of `make bench`, and one that no parser has.
OTHER_PROGRAMS = ("curl", "docker", "mypy", "npm", "pip", "pipx", "uvicorn")
OTHER_OPTIONS = {"--help-all", "--quick", "--rounds", "--write-docs"}

OPTION = re.compile(r"(?<!\S)--?[a-zA-Z][\w-]*")


def known_options() -> set[str]:
    parsers: list[argparse.ArgumentParser] = [get_parser()]
    parsers += [make() for make in PARSERS.values()]
    return {flag for parser in parsers for flag in parser._option_string_actions}


def words_of(block: Block) -> Iterator[list[str]]:
    for line in block.commands.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        yield words
        for word in words:
            if word.startswith("ARGS="):
                yield ["sseload", *shlex.split(word.removeprefix("ARGS="))]


def test_every_block_says_in_which_language_it_is() -> None:
    known = {*SHELL, "csv", "java", "nginx", "python", "text", "toml", "yaml"}
    assert [block for block in ALL if block.language not in known] == []


def test_few_commands_are_not_run_and_each_has_a_reason() -> None:
    left_out = [block for block in COMMANDS if block.reason]
    assert len(left_out) <= 10
    assert len(COMMANDS) > 30
    assert all(block.commands.strip() for block in COMMANDS)


def test_commands_have_only_options_that_there_are() -> None:
    known = known_options()
    for block in COMMANDS:
        for words in words_of(block):
            programs = [word for word in words if "=" not in word]
            if programs and programs[0] in ("sseload", "locust"):
                given = {word.split("=")[0] for word in words if OPTION.match(word)}
                assert given <= known, f"{block.page}:{block.line}"


def test_the_text_names_only_options_and_make_targets_that_there_are() -> None:
    known = known_options() | OTHER_OPTIONS
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {*re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)}
    for page in PAGES:
        for code in re.findall(r"`([^`\n]+)`", without_blocks(page.read_text("utf-8"))):
            if code.startswith(OTHER_PROGRAMS):
                continue
            options = {*re.findall(r"(?<![\w-])--[a-z][\w-]*", code)}
            assert options <= known, f"{page.name}: {code}"
            target = re.match(r"make ([a-z][a-z-]*)", code)
            assert target is None or target[1] in targets, f"{page.name}: {code}"


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of the tests.

    Attributes:
        nodes: the URLs of the embedded target's nodes.
        supposed: the URL of `supposed_server`.
        nchan: the URL of nginx with nchan; empty if it is not installed.
    """

    nodes: Sequence[str]
    supposed: str
    nchan: str

    @property
    def port(self) -> str:
        """The port of the embedded target's first node."""
        return self.nodes[0].rpartition(":")[2]

    def placed(self, block: Block) -> str:
        """Return a block's commands with these servers in place of the document's."""
        text = block.commands
        if "--resolve" in text:  # the name stays, and leads to the embedded target
            text = text.replace("https://", "http://").replace("app.example.org ", "{name} ")
            text = text.replace("{name}", f"app.example.org:{self.port}")
            return re.sub(r":443:[\d.]+", f":{self.port}:127.0.0.1", text)
        text = re.sub(
            r"http://10\.0\.0\.(\d):8000", lambda node: self.nodes[int(node[1]) - 1], text
        )
        text = text.replace("http://127.0.0.1:8080", self.nchan).replace(":18000", f":{self.port}")
        if "/v1/" in text or "users.csv" in text:
            text = text.replace("https://staging.example.org", self.supposed)
        for host in SUPPOSED_HOSTS:
            text = text.replace(host, self.supposed)
        return re.sub(r"https?://\w[\w.]*\.(org|example)\b|HOST=…", self._embedded, text)

    def _embedded(self, found: re.Match[str]) -> str:
        return f"{'HOST=' if found[0].startswith('HOST') else ''}{self.nodes[0]}"


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        demo = stack.enter_context(process.start("--nodes", "3"))
        supposed = stack.enter_context(supposed_server())
        other = "" if missing() else stack.enter_context(nchan()).origin()
        yield Servers(demo.urls, supposed, other)


class Checkout:
    """A folder like a checkout whose environment is set up, for the commands of a page."""

    def __init__(self, folder: Path, page: str) -> None:
        self.folder = folder
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        for each in ROOT.iterdir():
            if each.name not in (".git", ".venv", "mine.toml", "reports", "site"):
                (folder / each.name).symlink_to(each)
        for stamp in ("run", "dev", "docs"):
            (programs.parent / stamp).touch()
        small = Path(__file__).with_name("small.py")
        for program in ("sseload", "locust", "python"):
            path = programs / program
            path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{small}" {program} "$@"\n')
            path.chmod(0o755)
        self._environment = clean_environment() | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SSELOAD_HISTORY": "reports",
            "SSELOAD_SETTLE": "0.1",
            "SSELOAD_DELIVERY_TIMEOUT": "5",
            "KEY": "opensesame",
            "TOKEN": "opensesame",
        }
        self._write_files(page)

    def _write_files(self, page: str) -> None:
        websocket = (ROOT / "config/targets/websocket.toml").read_text("utf-8")
        for name in COPIES:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(websocket, "utf-8")
        (self.folder / "mine.toml").write_text(websocket, "utf-8")
        of_page = [block for block in ALL if block.page == page]
        for name, (language, number) in SUPPOSED.get(page, {}).items():
            found = [block for block in of_page if block.language == language]
            (self.folder / name).write_text(found[number].text, "utf-8")

    def start(self, script: str, **environment: str) -> subprocess.Popen[str]:
        """Start commands, as a group of processes."""
        script = f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self._environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, script: str, **environment: str) -> tuple[int, str]:
        """Run commands; return the exit status and what they printed."""
        child = self.start(script, **environment)
        try:
            output, _ = child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
        # make has a status of its own for commands that fail.
        failed = re.search(r"^make: \*\*\* \[.*\] Error (\d+)$", output, re.MULTILINE)
        return int(failed[1]) if failed else child.returncode, output

    def keep_two_runs(self, host: str) -> tuple[str, str]:
        """Make two runs that are kept; return their ids. `before/` and `after/` have them, too."""
        script = f"sseload 4 4 1 --target websocket --name nightly --host {host}\n"
        status, output = self.run(script * 2)
        assert status == 0, output
        kept = sorted((self.folder / "reports").iterdir())
        for name, folder in zip(("before", "after"), kept, strict=True):
            (self.folder / name).symlink_to(folder)
        first, second = (json.loads((each / "run.json").read_text("utf-8")) for each in kept)
        return first["id"], second["id"]


def allowed(block: Block) -> set[int]:
    """Return the exit statuses that a block's last command may have."""
    if block.shows_a_failure:
        return {0, 1}
    # How fast a busy machine is, decides whether a latency is within the objective.
    return {0, 4} if "--objective" in block.commands else {0}


@pytest.mark.e2e
@pytest.mark.dear
@pytest.mark.parametrize("page", [page for page in BY_PAGE if page != MASTER_AND_WORKERS])
def test_the_commands_of_a_page_run(page: str, servers: Servers, tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout", page)
    ids: tuple[str, ...] = ()
    if page == "docs/report.md":
        ids = checkout.keep_two_runs(servers.nodes[0])
    for block in BY_PAGE[page]:
        if block.reason or (":8080" in block.commands and not servers.nchan):
            continue
        script = servers.placed(block)
        for name, own in zip(("t5k2px", "t5m0c1"), ids, strict=False):
            script = script.replace(name, own)
        status, output = special(script)(checkout, script, servers)
        assert status in allowed(block), f"{page}:{block.line}\n{script}\n{output}"
        assert "Traceback" not in output


def special(script: str) -> Callable[[Checkout, str, Servers], tuple[int, str]]:
    """Return what runs a script: most are run as they are."""
    if "pip install" in script:
        return install_and_run
    if "&\n" in script:
        return run_beside_a_server
    # The tests do not run themselves; that there is such a target is shown by a dry run.
    return lambda checkout, script, servers: checkout.run(
        script.replace("make test", "make -n test"), SSELOAD_HOST=servers.nodes[0]
    )


def install_and_run(checkout: Checkout, script: str, _: Servers) -> tuple[int, str]:
    programs = new_environment(checkout.folder / "environment")
    copied = checkout.folder / "copy"
    shutil.copytree(
        ROOT, copied, symlinks=True,
        ignore=shutil.ignore_patterns(".*", "site", "node_modules", "site-packages", "reports"),
    )  # fmt: skip
    small = script.replace("\nsseload ", "\nsseload 4 3 1 ")
    return checkout.run(
        f"cd copy\n{small}",
        PATH=f"{programs}:{os.environ['PATH']}",
        PYTHONPATH="",
        PIP_NO_BUILD_ISOLATION="0",
    )


def run_beside_a_server(checkout: Checkout, script: str, _: Servers) -> tuple[int, str]:
    return checkout.run(script.replace("8000", str(free_port())))


@pytest.mark.e2e
@pytest.mark.dear
def test_a_master_and_workers_run_as_their_page_says(servers: Servers, tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout", MASTER_AND_WORKERS)
    alone, master, worker = BY_PAGE[MASTER_AND_WORKERS]
    status, output = checkout.run(servers.placed(alone))
    assert status == 0, output
    port = str(free_port())
    ports = {"LOCUST_MASTER_BIND_PORT": port, "LOCUST_MASTER_NODE_PORT": port}
    line = servers.placed(worker).replace("192.0.2.10", "127.0.0.1")
    workers = [checkout.start(line, **ports) for _ in range(3)]
    status, output = checkout.run(servers.placed(master), **ports)
    for each in workers:
        said, _ = each.communicate(timeout=PATIENCE)
        assert each.returncode == 0, said
    assert status == 0, output
    assert (checkout.folder / "report/report.json").exists()
