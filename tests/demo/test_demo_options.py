"""The embedded target's command line: valid and invalid options."""

from __future__ import annotations

from pathlib import Path

import pytest

from sseload_users.core.errors import ConfigError
from sseload_users.demo import options
from sseload_users.demo.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lose", "1.1"], "Argument --lose: '1.1' is not a number between 0 and 1; see --help."),
        (["--lose", "nan"], "Argument --lose: 'nan' is not a number; see --help."),
        (["--delay", "0.5"], "Argument --delay: '0.5' has no seconds: use SHARE:SECONDS; "),
        (["--delay", "0.5:0"], "Argument --delay: '0' is not a number of seconds above 0; "),
        (["--cost-per-delivery", "-1"], "'-1' is not a number of seconds above 0"),
        (["--port", "70000"], "Argument --port: '70000' is not a port between 0 and 65535; "),
        (["--max-connections", "-1"], "'-1' is not an integer of 0 or more"),
        (["--drop-after", "0"], "'0' is not an integer of 1 or more"),
        (["--drop-code", "1006"], "'1006' is a close code that a server must not send"),
        (["--drop-code", "999"], "'999' is not a WebSocket close code between 1000 and 4999"),
        (["--drop-how", "gently"], "Argument --drop-how: invalid choice: 'gently'"),
        (["--ingest-status", "200"], "'200' is not an HTTP error status between 400 and 599"),
        (
            ["--users", "alice,,bob"],
            "'alice,,bob' has an empty entry: use comma-separated names",
        ),
        (["--as", "tomorrow"], "Argument --as: invalid choice: 'tomorrow'"),
        (["--origins", "https://a.example"], "--origins requires --as today."),
        (["--as", "guide", "--page-limit", "3"], "--page-limit requires --as today."),
        (["--as", "today", "--page-limit", "3:"], "'' is not a number; see --help."),
        (["--as", "today", "--page-limit", "-3"], "'-3' is not an integer of 0 or more"),
        (["--tls-key", "k.pem"], "--tls-key requires --tls-cert."),
        (["--nodes", "0"], "Argument --nodes: '0' is not an integer of 1 or more"),
        (["--backplane", "redis"], "Argument --backplane: invalid choice: 'redis'"),
        (
            ["--port", "65534", "--nodes", "3"],
            "--nodes 3: there are not as many ports from --port 65534 on.",
        ),
        (["--los", "1"], "Unrecognized arguments: --los 1; see --help."),
    ],
)
def test_an_invalid_option_is_reported_in_one_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options.parse(arguments)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tls-cert", "none.pem"], "--tls-cert none.pem: No such file or directory."),
        (["--tls-cert", __file__], f"--tls-cert {__file__}: invalid certificate or private key; "),
        (["--tls-cert", __file__, "--tls-key", "none.pem"], "--tls-key none.pem: No such file "),
        (["--record", "none/r.jsonl"], "--record none/r.jsonl: No such file or directory."),
        (["--host", "192.0.2.1"], "Cannot listen on 192.0.2.1:0: Cannot assign requested "),
        (["--host", "no.such.invalid"], "Cannot listen on no.such.invalid:0: "),
    ],
)
def test_an_unusable_file_or_address_exits_with_status_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(sentence)
    assert captured.err.count("\n") == 1


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options.parse(["--help"])
    assert ended.value.code == 0
    help_text = capsys.readouterr().out
    settings, given = options.parse([])
    assert settings.host == "127.0.0.1"
    for name in given:
        assert f"--{name.replace('_', '-')}" in help_text


def test_as_today_has_its_own_defaults() -> None:
    guide, _ = options.parse([])
    today, given = options.parse(["--as", "today"])
    assert (guide.version, guide.dedupe, guide.origins) == ("guide", 0.0, None)
    assert (today.version, today.dedupe, today.page_limit) == ("today", 5.0, (25, 60.0))
    assert given["as"] == "today"
    changed, _ = options.parse(["--as", "today", "--dedupe", "0", "--page-limit", "3:0.5"])
    assert (changed.dedupe, changed.page_limit) == (0.0, (3, 0.5))


def test_shares_and_seconds_are_parsed_into_faults() -> None:
    settings, given = options.parse(
        ["--delay", "0.25:1.5", "--reorder", "0.5", "--lose", "1", "--record", "r.jsonl"]
    )
    faults = settings.faults
    assert (faults.delay, faults.delay_seconds) == (0.25, 1.5)
    assert (faults.reorder, faults.reorder_seconds, faults.lose) == (0.5, 10.0, 1.0)
    assert settings.record == Path("r.jsonl")
    # Serializable, for the record.
    assert (given["delay"], given["record"]) == ((0.25, 1.5), "r.jsonl")
