"""The command that lists the built-in profiles, and prints one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sseload_users import targets as target
from sseload_users.cli import main as cli
from sseload_users.core.config_path import config_path
from sseload_users.targets.profile import describe


def test_all_profiles_are_listed_with_what_they_speak_to(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert cli.main(["targets"]) == 0
    rows = [re.split(" {2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _, _ in rows] == target.names()
    for name, transport, text in rows:
        assert transport == target.load(name).transport
        assert len(text.split()) > 2
        assert not text.endswith((".", ","))


def test_lines_are_wrapped_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["targets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > len(target.names())
    assert all(len(line) <= 80 for line in lines)


def test_a_description_is_the_first_sentence_of_the_first_comment() -> None:
    head = (
        '#:schema ./x\n\n# Version 1.2 of\n# something. More.\n\ntransport = "sse" # No. Not this\n'
    )
    assert describe(head) == "Version 1.2 of something"
    assert describe('transport = "sse"\n') == ""


@pytest.mark.parametrize("name", target.names())
def test_a_profile_is_printed_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert cli.main(["targets", "show", name]) == 0
    printed = capsys.readouterr().out
    assert printed == config_path(f"targets/{name}.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(printed, "utf-8")
    assert target.load(str(tmp_path / "mine.toml")).spec == target.load(name).spec


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show"], "Missing NAME of a profile: sseload targets lists them."),
        (["show", "centrifuge"], "Unknown built-in profile 'centrifuge': did you mean centrifugo?"),
        (["show", "../x"], "Unknown built-in profile '../x': sseload targets lists them."),
        (["pusher"], "Invalid arguments: did you mean sseload targets show pusher?"),
        (["list"], "Invalid arguments: did you mean sseload targets show NAME?"),
    ],
)
def test_a_mistake_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert cli.main(["targets", *words]) == 2
    printed = capsys.readouterr()
    assert printed.err == f"sseload: {said}\n"
    assert printed.out == ""
