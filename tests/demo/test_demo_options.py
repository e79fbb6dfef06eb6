"""What the embedded target's command line says, and what it cannot say."""

from __future__ import annotations

from pathlib import Path

import pytest

from sseload_users.core.errors import ConfigError
from sseload_users.demo import options
from sseload_users.demo.__main__ import main


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--lose", "1.1"], "Argument --lose: 1.1 is not a share between 0 and 1; see --help."),
        (["--lose", "nan"], "Argument --lose: 'nan' is not a number; see --help."),
        (["--delay", "0.5"], "Argument --delay: 0.5 has no seconds: write SHARE:SECONDS; "),
        (["--delay", "0.5:0"], "Argument --delay: 0 is not a number of seconds above 0; "),
        (["--cost-per-delivery", "-1"], "-1 is not a number of seconds above 0"),
        (["--port", "70000"], "Argument --port: '70000' is not a port between 0 and 65535; "),
        (["--max-connections", "-1"], "'-1' is not a number of 0 or more"),
        (["--drop-after", "0"], "'0' is not a number of 1 or more"),
        (["--drop-code", "1006"], "1006 is a close code that no server may send"),
        (["--drop-code", "999"], "'999' is not a WebSocket close code between 1000 and 4999"),
        (["--drop-how", "gently"], "Argument --drop-how: invalid choice: 'gently'"),
        (["--ingest-status", "200"], "'200' is not an HTTP error between 400 and 599"),
        (
            ["--users", "alice,,bob"],
            "'alice,,bob' has an empty entry: write entries with commas between",
        ),
        (["--as", "tomorrow"], "Argument --as: invalid choice: 'tomorrow'"),
        (["--origins", "https://a.example"], "--origins needs --as today."),
        (["--as", "guide", "--page-limit", "3"], "--page-limit needs --as today."),
        (["--as", "today", "--page-limit", "3:"], "'' is not a number; see --help."),
        (["--as", "today", "--page-limit", "-3"], "'-3' is not a number of 0 or more"),
        (["--tls-key", "k.pem"], "--tls-key needs --tls-cert: give the certificate too."),
        (["--los", "1"], "Unrecognized arguments: --los 1; see --help."),
    ],
)
def test_an_option_that_cannot_be_is_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options.parse(words)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tls-cert", "none.pem"], "--tls-cert none.pem: No such file or directory."),
        (["--tls-cert", __file__], f"--tls-cert {__file__}: no certificate with its "),
        (["--tls-cert", __file__, "--tls-key", "none.pem"], "--tls-key none.pem: No such file "),
        (["--record", "none/r.jsonl"], "--record none/r.jsonl: No such file or directory."),
        (["--host", "192.0.2.1"], "Cannot listen on 192.0.2.1:0: Cannot assign requested "),
        (["--host", "no.such.invalid"], "Cannot listen on no.such.invalid:0: "),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_status_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(sentence)
    assert said.err.count("\n") == 1


def test_help_tells_of_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options.parse(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    settings, given = options.parse([])
    assert settings.host == "127.0.0.1"
    for name in given:
        assert f"--{name.replace('_', '-')}" in told


def test_the_server_of_today_has_defaults_of_its_own() -> None:
    guide, _ = options.parse([])
    today, given = options.parse(["--as", "today"])
    assert (guide.version, guide.dedupe, guide.origins) == ("guide", 0.0, None)
    assert (today.version, today.dedupe, today.page_limit) == ("today", 5.0, (25, 60.0))
    assert given["as"] == "today"
    changed, _ = options.parse(["--as", "today", "--dedupe", "0", "--page-limit", "3:0.5"])
    assert (changed.dedupe, changed.page_limit) == (0.0, (3, 0.5))


def test_shares_and_seconds_become_faults() -> None:
    settings, given = options.parse(
        ["--delay", "0.25:1.5", "--reorder", "0.5", "--lose", "1", "--record", "r.jsonl"]
    )
    faults = settings.faults
    assert (faults.delay, faults.delay_seconds) == (0.25, 1.5)
    assert (faults.reorder, faults.reorder_seconds, faults.lose) == (0.5, 10.0, 1.0)
    assert settings.record == Path("r.jsonl")
    # As it can be written to the record.
    assert (given["delay"], given["record"]) == ((0.25, 1.5), "r.jsonl")
