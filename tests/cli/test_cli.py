"""The command's own words: what they become on Locust's command line."""

from __future__ import annotations

import re
from argparse import Action
from dataclasses import fields

import pytest
from locust.argument_parser import get_parser

from sseload_users import plugin
from sseload_users.cli import main as cli
from sseload_users.cli import run
from sseload_users.core.errors import ConfigError
from sseload_users.core.version import VERSION
from sseload_users.options import Options
from tests.support.runs import ROOT


def locust_arguments(words: list[str]) -> list[str]:
    assert plugin.__all__
    known: dict[str, Action] = get_parser()._option_string_actions
    return run.locust_arguments(words, known)


def options(words: list[str]) -> dict[str, str]:
    """Locust's arguments for a line, by name; a flag's value is empty."""
    line = locust_arguments(words)
    found: dict[str, str] = {}
    at = 0
    while at < len(line):
        name = line[at]
        has_value = at + 1 < len(line) and not line[at + 1].startswith("-")
        found[name] = line[at + 1] if has_value else ""
        at += 1 + has_value
    return found


def test_otel_and_processes_exclude_each_other() -> None:
    for processes in (["--processes", "2"], ["--processes=-1"]):
        with pytest.raises(ConfigError, match="--otel does not go with --processes"):
            locust_arguments(["--otel", *processes])


@pytest.mark.parametrize(
    ("words", "users", "codes", "duration"),
    [
        ([], "51", None, None),
        (["7"], "8", None, None),
        (["7", "3"], "8", "3", None),
        (["7", "3", "60"], "8", "3", "60"),
    ],
)
def test_up_to_three_numbers(
    words: list[str], users: str, codes: str | None, duration: str | None
) -> None:
    found = options(words)
    # What is not said has the options' own defaults, 10 codes in 60 seconds.
    assert (found["-u"], found.get("--codes"), found.get("--duration")) == (users, codes, duration)
    assert {"--headless", "--only-summary"} <= found.keys()
    assert found["-f"].endswith("locustfile.py")
    assert found["-r"] == "100"
    assert found["--loglevel"] == "WARNING"


@pytest.mark.parametrize("words", [["-u", "9"], ["-u9"], ["--users", "9"], ["--users=9"]])
def test_locusts_word_for_users_takes_the_place_of_the_default(words: list[str]) -> None:
    line = locust_arguments(words)
    assert line[-len(words) :] == words
    assert "51" not in line


@pytest.mark.parametrize(
    ("words", "default"),
    [
        (["-r", "5"], "100"),
        (["-r5"], "100"),
        (["--spawn-rate=5"], "100"),
        (["-L", "DEBUG"], "WARNING"),
        (["--loglevel", "DEBUG"], "WARNING"),
    ],
)
def test_what_is_said_is_not_said_twice(words: list[str], default: str) -> None:
    line = locust_arguments(words)
    assert default not in line
    assert line[-len(words) :] == words


def test_options_are_passed_on_in_their_order() -> None:
    words = ["4", "--host", "http://127.0.0.1:1", "--csv", "x", "--target", "websocket"]
    assert locust_arguments(words)[-6:] == words[1:]


@pytest.mark.parametrize("word", ["0", "many", "1.5", "+3", "1_000", "٣", "99999999", ""])
def test_a_number_that_cannot_be(word: str) -> None:
    with pytest.raises(ConfigError, match=r"^Invalid codes .*: use a whole number, 1 or more\.$"):
        locust_arguments(["5", word])


def test_a_word_too_many() -> None:
    with pytest.raises(ConfigError, match=r"^Unexpected argument '9'"):
        locust_arguments(["1", "2", "3", "9"])


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_short_and_says_how_to_get_the_rest(
    capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert cli.main([word]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: sseload [run] [connections] [codes] [duration] [options]")
    assert "--help-all" in text
    assert len(text.splitlines()) < 45


def test_a_mistake_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["x"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "sseload: Invalid connections 'x': use a whole number, 1 or more.\n"


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--host", "http://127.0.0.1:1", "5", "2", "2"], ("6", "2", "2")),
        (["5", "--reconnect", "2", "--target", "websocket", "2"], ("6", "2", "2")),
        (["-t", "20", "5"], ("6", None, None)),
        (["--tags", "a", "b", "--reconnect", "5", "2"], ("6", "2", None)),
        (["--header", "A: 1", "5"], ("6", None, None)),
        (["--host=http://127.0.0.1:1", "5"], ("6", None, None)),
    ],
)
def test_options_may_stand_before_the_numbers(
    words: list[str], numbers: tuple[str, str | None, str | None]
) -> None:
    line = locust_arguments(words)
    found = tuple(
        line[line.index(name) + 1] if name in line else None
        for name in ("-u", "--codes", "--duration")
    )
    assert found == numbers


def test_a_negative_number_is_invalid(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-5"]) == 2
    assert capsys.readouterr().err == (
        "sseload: Invalid connections '-5': use a whole number, 1 or more.\n"
    )


def test_help_all_lists_every_option_of_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help-all"]) == 0
    text = capsys.readouterr().out
    for each in fields(Options):
        assert f"--{each.name.replace('_', '-')} " in text
    assert "--spawn-rate" in text


def test_the_version_is_sseloads_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"sseload {VERSION}, Locust ")


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("CHANGELOG.md", r"^## \[(.+?)\]"),
        ("deploy/kubernetes/kustomization.yaml", r"^ +newTag: (\S+)$"),
    ],
)
def test_what_repeats_the_version_has_the_right_one(file: str, place: str) -> None:
    found = re.search(place, (ROOT / file).read_text("utf-8"), re.MULTILINE)
    assert found is not None
    assert found[1] == VERSION
