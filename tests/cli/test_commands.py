"""The commands of `sseload`: what each prints, and what it makes of its arguments."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest

from sseload_users.cli import config_option, run, shape
from sseload_users.cli import main as cli
from sseload_users.core.config_path import config_path
from sseload_users.core.errors import ConfigError
from sseload_users.run import kept_configs, program


@pytest.fixture
def lines() -> list[Sequence[str]]:
    return []


@pytest.fixture(autouse=True)
def recorded(lines: list[Sequence[str]]) -> object:
    def record(line: Sequence[str]) -> int:
        lines.append(line)
        return 0

    with mock.patch.object(run, "_run_locust", side_effect=record):
        yield


def value(line: Sequence[str], flag: str) -> str:
    return line[line.index(flag) + 1]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["ladder"], "ladder"),
        (["capacity"], "capacity"),
        (["shape", "storm"], "storm"),
        (["run", "--config", "stress"], "stress"),
        (["--config", "stress"], "stress"),
    ],
)
def test_a_set_of_options_is_found_by_name(
    lines: list[Sequence[str]], words: list[str], name: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 0
    assert Path(value(lines[0], "--config")) == config_path(f"{name}.conf")
    assert "--headless" in lines[0]


def test_a_file_of_the_users_has_priority(
    lines: list[Sequence[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stress").touch()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--config=stress"]) == 0
    assert "--config=stress" in lines[0]


def test_numbers_and_options_follow_the_name(lines: list[Sequence[str]]) -> None:
    assert cli.main(["shape", "storm", "30", "5", "--storm-jitter", "2"]) == 0
    assert value(lines[0], "-u") == "31"
    assert value(lines[0], "--codes") == "5"
    assert value(lines[0], "--storm-jitter") == "2"


def test_a_ladder_takes_its_steps_as_a_word(lines: list[Sequence[str]]) -> None:
    assert cli.main(["ladder", "5,10", "--host", "http://127.0.0.1:1"]) == 0
    assert value(lines[0], "--ladder") == "5,10"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["shape", "strom"], "Unknown set of options 'strom': did you mean storm?"),
        (["--config", "mine.conf"], "Cannot read --config 'mine.conf': no such file."),
        (["ui", "--config", "no/where"], "Cannot read --config 'no/where': no such file."),
        (
            ["shape", "--host", "x"],
            "The name of a shape must come first: sseload shape lists them.",
        ),
        (["help", "strm-after"], "Unknown 'strm-after': did you mean storm-after?"),
        (["completion", "tcsh"], "Name one shell: bash, zsh, fish."),
    ],
)
def test_a_mistake_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert cli.main(words) == 2
    assert capsys.readouterr() == ("", f"sseload: {sentence}\n")


def test_no_set_resembles_a_name() -> None:
    with pytest.raises(ConfigError, match="use one of basic, burst"):
        kept_configs.path_of("x")


def test_a_folder_does_not_hide_a_set_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "storm").mkdir()
    monkeypatch.chdir(tmp_path)
    assert config_option.with_paths(["--config", "storm"]) == [
        "--config", str(config_path("storm.conf")),
    ]  # fmt: skip
    (tmp_path / "storm").rmdir()
    (tmp_path / "storm").write_text("", "utf-8")
    assert config_option.with_paths(["--config=storm"]) == ["--config=storm"]


def test_every_set_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert shape.shape([]) == 0
    printed = capsys.readouterr().out
    for path in config_path(".").glob("*.conf"):
        assert f"\n  {path.stem} " in printed
    for text in kept_configs.descriptions().values():
        assert len(text) > 20
        assert "locust" not in text


def test_the_web_ui_takes_options_for_its_form(lines: list[Sequence[str]]) -> None:
    assert cli.main(["ui", "--config", "stress", "--codes", "7"]) == 0
    assert value(lines[0], "--codes") == "7"
    assert "--headless" not in lines[0]
    assert "--headful" in lines[0]


@pytest.mark.parametrize("word", ["connect-timeout", "--connect-timeout", "connect_timeout"])
def test_an_option_is_explained(capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert cli.main(["help", word]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("--connect-timeout SECONDS\n    Seconds within which")
    assert "(default: 30)" in printed
    assert "SSELOAD_CONNECT_TIMEOUT" in printed
    assert "0.001 or more." in printed


def test_options_are_found_by_a_word_of_their_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "reconnect"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("--reconnect\n")  # an exact name is one option
    assert cli.main(["help", "back-off"]) == 0
    assert "--reconnect" in capsys.readouterr().out


@pytest.mark.parametrize("command", [each for each in cli.COMMANDS if each != "help"])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    # argparse ends the process.
    with contextlib.suppress(SystemExit):
        assert cli.main(["help", command]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: sseload ")
    assert command == "run" or f"sseload {command}" in printed


@pytest.mark.parametrize(
    ("shell", "check"), [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])]
)
def test_the_script_for_a_shell_is_valid(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, shell: str, check: list[str]
) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("storm-after", "compare", "slow-consumers", "html"):
        assert word in script
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(script)
        subprocess.run([*check, str(tmp_path / "script")], check=True, timeout=30)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_and_options(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["completion", "bash"]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    for words, expected in [
        (["sseload", "la"], "ladder"),
        (["sseload", "--storm-a"], "--storm-after"),
        (["sseload", "shape", "slow"], "slow-consumers"),
        (["sseload", "compare", "--h"], "--html"),
    ]:
        asked = (
            f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
            f"_shtab_sseload; echo ${{COMPREPLY[@]}}"
        )
        done = subprocess.run(
            ["bash", "-c", asked], check=True, capture_output=True, text=True, timeout=30
        )
        assert expected in done.stdout.split(), words


def test_the_command_can_be_typed_as_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "a folder" / "bin"
    scripts.mkdir(parents=True)
    python = scripts / "python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert program.typed() == "'a folder/bin/python' -m sseload_users"
    (scripts / "sseload").write_text("#!/bin/sh\n")
    (scripts / "sseload").chmod(0o755)
    assert program.typed() == "'a folder/bin/sseload'"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert program.typed() == f"'{scripts}/sseload'"
    monkeypatch.setenv("PATH", str(scripts))
    assert program.typed() == "sseload"
