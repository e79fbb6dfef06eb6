"""The options: from the command line, the environment, files and the web form, and checked."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from locust.argument_parser import LocustArgumentParser, get_empty_argument_parser

from sseload_users import options
from sseload_users.core import option_texts
from sseload_users.core.errors import ConfigError
from sseload_users.core.option_spec import spec_of
from sseload_users.options import Options

SECRET = "Bearer verysecret"


def parser(*config: Path) -> LocustArgumentParser:
    """Locust's parser, with nothing in it but sseload's options."""
    made = get_empty_argument_parser(default_config_files=[str(path) for path in config])
    options.add_to(made)
    return made


def read(*words: str) -> Options:
    return Options.read(parser().parse_args(list(words)))


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def test_without_a_word_they_are_the_defaults() -> None:
    assert read() == Options() == Options.read(None) == Options.read({})


def test_every_option_has_its_word_and_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    actions = {action.dest: action for action in parser()._actions}
    for each in fields(Options):
        action: Any = actions[each.name]
        assert action.option_strings == [flag(each.name)]
        assert action.env_var == f"SSELOAD_{each.name.upper()}"
        assert action.help
        monkeypatch.setenv("SSELOAD_CODES", "77")
        assert read().codes == 77
        assert read("--codes", "78").codes == 78


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in fields(Options):
        monkeypatch.setenv(f"SSELOAD_{each.name.upper()}", "")
    assert read() == Options()


def test_a_configuration_file_says_them_in_locusts_way(tmp_path: Path) -> None:
    path = tmp_path / "test.conf"
    path.write_text("codes = 5\nduration = 2.5 # seconds\nreconnect = true\ntarget = nchan\n")
    found = Options.read(parser(path).parse_args([]))
    assert (found.codes, found.duration, found.reconnect, found.target) == (5, 2.5, True, "nchan")


def test_what_the_web_form_leaves_empty_is_the_default() -> None:
    form = {each.name: "" for each in fields(Options)}
    assert Options.read(form) == Options()


def test_the_web_form_shows_no_secret_and_nothing_that_it_cannot_send() -> None:
    made = parser()
    defaults = vars(made.parse_args([]))
    shown = made.args_included_in_web_ui
    assert {"target", "codes", "duration", "username", "delivery_timeout"} <= shown.keys()
    for name in ("header", "client_key", "client_certificate", "delivery_report", "thresholds"):
        assert name not in shown
    for name in shown.keys() & defaults.keys():
        # Locust's form fails on a list, and keeps the type of everything else.
        assert not isinstance(defaults[name], list), name


def test_headers_keep_their_order_and_their_secrets() -> None:
    found = read("--header", f"Authorization: {SECRET}", "--header", "X-A:b", "--header", "X-B: ")
    assert found.header == (("Authorization", SECRET), ("X-A", "b"), ("X-B", ""))
    assert found.public()["header"] == ["Authorization", "X-A", "X-B"]
    assert SECRET not in repr(found) + str(found.public())


@pytest.mark.parametrize("text", [SECRET, "Two Words: x", ": x", "A: x\r\nB: y", ""])
def test_a_header_that_is_none_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--header: one is not of the form") as raised:
        read("--header", text)
    assert SECRET not in str(raised.value)


def test_values_are_told_by_name_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = read("--value", "token=a=b, c", "--value", "room=")
    assert found.value == (("token", "a=b, c"), ("room", ""))
    assert found.public()["value"] == ["token", "room"]
    assert "a=b" not in repr(found) + str(found.public())
    # In the environment and in a file as headers are.
    monkeypatch.setenv("SSELOAD_VALUE", "token=from outside")
    assert read().value == (("token", "from outside"),)
    monkeypatch.setenv("SSELOAD_VALUE", "[token=1, room=2]")
    assert read().value == (("token", "1"), ("room", "2"))
    assert read("--value", "token=3").value == (("token", "3"),)
    monkeypatch.delenv("SSELOAD_VALUE")
    path = tmp_path / "test.conf"
    path.write_text("value = [token=4, room=5]\n")
    found = Options.read(parser(path).parse_args([]))
    assert found.value == (("token", "4"), ("room", "5"))


def test_the_web_form_says_several_values_in_one_field() -> None:
    assert Options.read({"value": "token=1 room='a b' who=\"c\""}).value == (
        ("token", "1"),
        ("room", "a b"),
        ("who", "c"),
    )


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["hunter2"], "--value: one is not of the form name=text."),
        (["=hunter2"], "--value: one is not of the form name=text."),
        (["a b=hunter2"], "--value: one is not of the form name=text."),
        (["a=hunter2", "a=hunter2"], "--value a is given twice; give it once."),
        ("a=hunter2 b", "--value: one is not of the form name=text."),
        ("a='hunter2", "--value: a quotation mark is not closed."),
    ],
)
def test_a_value_that_is_none_is_not_repeated(texts: str | list[str], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Options.read({"value": texts})
    assert str(raised.value) == said


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), st.text()))
def test_values_survive_their_one_text(values: dict[str, str]) -> None:
    assert dict(option_texts.parse_values(option_texts.join_values(values))) == values


def test_source_addresses_are_told_apart_by_commas() -> None:
    found = read("--source-addresses", "127.0.0.2, 127.0.0.3,,127.0.0.4")
    assert found.source_addresses == ("127.0.0.2", "127.0.0.3", "127.0.0.4")


def test_what_is_shown_is_plain_data_without_a_key() -> None:
    found = read("--client-certificate", "c.pem", "--client-key", "k.pem").public()
    assert "client_key" not in found
    assert found["client_certificate"] == "c.pem"
    for value in found.values():
        assert value is None or isinstance(value, str | int | float | bool | list)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("codes", "0", "1 or more"),
        ("codes", "-3", "1 or more"),
        ("duration", "-0.1", "0 or more"),
        ("duration", "nan", "0 or more"),
        ("settle", "inf", "0 or more"),
        ("delivery_timeout", "0", "0.001 or more"),
        ("ingest_timeout", "0", "0.001 or more"),
        ("connect_timeout", "-1", "0.001 or more"),
        ("connect_concurrency", "0", "1 or more"),
        ("connect_attempts", "0", "1 or more"),
        ("warm_up", "-1", "0 or more"),
    ],
)
def test_a_value_that_cannot_be(name: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(f"{flag(name)}={value}")
    sentence = str(raised.value)
    assert sentence.startswith(f"Invalid {flag(name)} {value}: it must be ")
    assert says in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize("name", ["codes", "duration", "delivery_timeout", "settle"])
def test_the_lowest_value_can_be(name: str) -> None:
    declared = {each.name: each for each in fields(Options)}
    lowest = spec_of(declared[name]).lowest
    assert getattr(read(f"{flag(name)}={lowest}"), name) == lowest


def test_the_form_may_say_no_grade_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match=r"^Invalid --fail-on 'never-ever': use one of issues"):
        Options.read({"fail_on": "never-ever"})


def test_a_key_without_its_certificate() -> None:
    with pytest.raises(ConfigError, match=r"^--client-key needs --client-certificate"):
        read("--client-key", "k.pem")


@pytest.mark.parametrize(
    "words",
    [["--codes", "many"], ["--codes"], ["--no-such"], ["--fail-on", "x"], ["--reconnect=1"]],
)
def test_a_line_that_is_no_line_is_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parser().parse_args(words)
    assert raised.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("sseload: ")
    assert words[0].partition("=")[0] in captured.err
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("see --help-all.\n")
