from __future__ import annotations

from pathlib import Path

import pytest

from sseload_users import targets as target
from sseload_users.core.codes import CodeShape
from sseload_users.core.config_path import config_path
from sseload_users.core.errors import ConfigError

WHOLE = """\
transport = "websocket"

[connect]
path = "/ws"

[code]
field = "code"

[ingest]
method = "POST"
path = "/in"
body = { "code" = "{code}" }
"""


def profile(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(old: str, new: str) -> str:
    assert old in WHOLE
    return WHOLE.replace(old, new, 1)


def mistake(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        target.load(str(path))
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(".")
    assert str(raised.value).startswith(f"{path}: ")
    return str(raised.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # keys and types
        (
            "colour = 1\n" + WHOLE,
            (
                "colour: unknown key; use one of: lines, separator, concatenated, array, prefix, "
                "transport, "
                "guarantee, history, planned_ends, values, health, verify, before, audience, "
                "connect, resume, after, confirm, subscribes_within, refuse, end, reply, upkeep, "
                "code, ingest, advice."
            ),
        ),
        (
            changed('path = "/ws"', 'path = "/ws"\nport = 1'),
            (
                "connect.port: unknown key; use one of: method, path, query, headers, body, "
                "http, multiplex, subprotocols, namespace, auth, engine, parser, transports, "
                "send, send_hex, send_base64, max_message."
            ),
        ),
        (
            WHOLE + '[[before]]\npath = "/"\ncapture = { "a" = { path = "b" } }\n',
            "before[0].capture.a.path: unknown key; use one of: field, regex, header, ",
        ),
        (
            WHOLE + '[[reply]]\ntext = "a"\nanswer = "b"\n',
            (
                "reply[0].answer: unknown key; use one of: send, send_hex, send_base64, any, "
                "event, fields, has, text, contains, regex, capture, request."
            ),
        ),
        (changed('[connect]\npath = "/ws"\n', ""), "connect is missing."),
        (
            changed('"websocket"', '"http"'),
            "transport: Input should be 'websocket', 'socketio' or 'sse', not 'http'.",
        ),
        ("connect = 1\n" + changed('[connect]\npath = "/ws"\n', ""), "connect must be a table: "),
        ("reply = 1\n" + WHOLE, "reply must be a list."),
        (
            changed('path = "/ws"', 'path = "/ws"\nquery = { "a" = 1 }'),
            "connect.query.a: Input should be a valid string.",
        ),
        (
            changed('path = "/ws"', 'path = "/ws"\nmax_message = "1"'),
            "connect.max_message: Input should be a valid integer, not '1'.",
        ),
        ("transport = ", "invalid TOML: "),
        # locations
        (changed('"/ws"', '"ws"'), "connect.path: 'ws' must begin with /, or"),
        (
            changed('"/in"', '"in"'),
            "ingest.path: 'in' must begin with / or be a complete http:// URL.",
        ),
        (
            changed('"/in"', '"/in put"'),
            "ingest.path: '/in put' has a space, '#' or non-ASCII character: percent-encode it.",
        ),
        (
            changed('path = "/ws"', 'path = "/ws"\nheaders = { "Bad name" = "x" }'),
            "connect.headers: invalid header name 'Bad name'.",
        ),
        (
            changed('path = "/ws"', 'path = "/ws"\nheaders = { "X" = "a\\r\\nb: c" }'),
            "connect.headers: the value of header X contains a control character.",
        ),
        (
            changed('"POST"', '"LOOK"'),
            "ingest.method: Input should be 'GET', 'POST', 'PUT', 'PATCH' or 'DELETE', not 'LOOK'.",
        ),
        (changed('method = "POST"\n', ""), "ingest: a GET request has no body; set method."),
        (
            changed('{ "code" = "{code}" }', '{ "code" = "{code}", "at" = 1979-05-27 }'),
            "ingest.body: datetime.date(1979, 5, 27) has no JSON form; write it as a text.",
        ),
        (changed('{ "code" = "{code}" }', "5"), "ingest.body: 5 must be a text, a table or"),
        (
            WHOLE + "expect = { status = [2] }\n",
            "ingest.expect.status[0]: invalid HTTP status 2.",
        ),
        # messages
        (
            changed('field = "code"', ""),
            "code: missing location of the code: give one of field, regex",
        ),
        (
            changed('field = "code"', 'field = "code"\nwhole = true'),
            "code: missing location of the code: give one of field, regex or whole = true.",
        ),
        (
            changed('field = "code"', 'field = "data..code"'),
            (
                "code.field: invalid path 'data..code'; use for example 'data.code', '[0].code', "
                "'batch[*].code' or 'data[\"a.b\"]'."
            ),
        ),
        (
            changed('field = "code"', "regex = '(a'"),
            "code.regex: invalid regular expression '(a': missing ), unterminated subpattern at",
        ),
        (
            changed('field = "code"', "regex = '(a)(b)'"),
            "code.regex: '(a)(b)' has 2 groups; use at most one.",
        ),
        (
            WHOLE + "[confirm]\n",
            "confirm: missing condition: give any = true, or some of event, fields, has, text,",
        ),
        (
            WHOLE + '[confirm]\nany = true\ntext = "a"\n',
            "confirm: missing condition: give any = true",
        ),
        (
            WHOLE + '[confirm]\nfields = { "a" = ["b"] }\n',
            "confirm.fields: a condition must be a text, a number or a boolean.",
        ),
        (
            WHOLE + '[confirm]\nfields = "a"\n',
            'confirm.fields: must be a table of paths and values: { "data.type" = "code" }.',
        ),
        # codes
        (
            changed('field = "code"', 'field = "code"\ntemplate = "C"'),
            "code: code template 'C' has no {seq}, so all codes would be the same.",
        ),
        (
            changed('field = "code"', 'field = "code"\nmax_length = 20'),
            "code: max_length is 20, but the template makes codes of up to 29 characters; shorten",
        ),
        (
            changed('"{code}"', '"code"'),
            "ingest lacks {code}: use it in the body, path, query or headers.",
        ),
        (
            changed('"/ws"', '"/ws?code={code}"'),
            "connect.path has {code}, which is only available in ingest.",
        ),
        # inconsistent keys
        (
            changed('"websocket"', '"sse"') + '[[reply]]\ntext = "a"\nsend = "b"\n',
            "reply.send is only for websocket and socketio, not for sse.",
        ),
        (
            changed('path = "/ws"', 'path = "/ws"\nnamespace = "/n"'),
            "connect.namespace is only for socketio, not for websocket.",
        ),
        (
            changed('path = "/ws"', 'path = "/ws"\nmethod = "POST"'),
            "connect.method is only for sse, not for websocket.",
        ),
        (
            changed('path = "/ws"', 'path = "/ws"\nhttp = "2"'),
            "connect.http is only for sse, not for websocket.",
        ),
        (
            changed('"websocket"', '"sse"').replace('path = "/ws"', 'path = "/ws"\nbody = "x"'),
            "connect: a GET request has no body; set method = ",
        ),
        (
            changed('field = "code"', 'field = "code"\nevent = "e"'),
            "code.event is only for socketio and sse, not for websocket.",
        ),
        (
            changed('"websocket"', '"sse"') + '[[upkeep]]\nevery = 3\nsend = "x"\n',
            "upkeep.send is only for websocket and socketio, not for sse.",
        ),
        (
            WHOLE + '[[refuse]]\ntext = "no"\n',
            "refuse requires confirm, which ends the wait for a refusal.",
        ),
        (WHOLE + "[[upkeep]]\nevery = 3\n", "upkeep[0]: give one of request, send and ping."),
        (
            WHOLE + '[[upkeep]]\nevery = 0\nsend = "x"\n',
            "upkeep[0].every: Input should be greater than 0, not 0.",
        ),
        (
            WHOLE + '[verify]\npath = "/"\nrefuse = {}\n',
            "verify.refuse: missing condition: give some of status, fields, has, regex.",
        ),
        (
            WHOLE + '[[advice]]\nstep = "ingest"\nhint = "x"\n',
            "advice[0]: missing condition: give status, regex or both.",
        ),
        (
            WHOLE + '[[advice]]\nstep = "send"\nstatus = [410]\nhint = "x"\n',
            "advice[0].step: Input should be 'health', 'verify', 'before', 'handshake', ",
        ),
        (
            WHOLE + '[values]\n"a b" = "c"\n',
            "values: invalid name 'a b'; use letters, digits and underscores.",
        ),
        (WHOLE + '[values]\nnonce = "c"\n', "values: 'nonce' is a built-in name; choose another."),
        (
            WHOLE + '[[before]]\npath = "/"\ncapture = { "a" = {} }\n',
            "before[0].capture.a: give one of field, regex and header.",
        ),
    ],
)
def test_an_error_is_one_sentence_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    assert mistake(profile(tmp_path, text)).startswith(said)


def test_the_smallest_profile_is_valid(tmp_path: Path) -> None:
    mine = target.load(str(profile(tmp_path, WHOLE)))
    assert mine.transport == "websocket"
    assert mine.code_template == "LT-{run}-{seq}-{sent}"
    assert mine.max_code_length is None


def test_an_unreadable_profile_is_named(tmp_path: Path) -> None:
    assert mistake(tmp_path / "no.toml") == "cannot read the profile: No such file or directory."
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    assert mistake(tmp_path / "latin.toml") == "the profile is not UTF-8 text."


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError) as raised:
        target.load("centrifuge")
    files = {each.stem for each in config_path("targets").glob("*.toml")}
    names = ["code-server", *sorted(files - {"code-server"})]
    assert str(raised.value) == (
        f"Unknown target 'centrifuge': use one of {', '.join(names)}, "
        "or the path of a file that ends in .toml."
    )


@pytest.mark.parametrize("name", ["../thresholds", "/etc/passwd", "", "websocket.tom", "NCHAN"])
def test_a_name_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="Unknown target"):
        target.load(name)


def test_the_default_is_built_in_and_comes_first() -> None:
    assert target.names()[0] == target.DEFAULT


@pytest.mark.parametrize("name", target.names())
def test_a_built_in_profile_loads_by_name_and_by_path(name: str) -> None:
    mine = target.load(name)
    path = config_path(f"targets/{name}.toml")
    assert target.load(str(path)).spec == mine.spec
    code = CodeShape("abc123", mine.code_template).mint(1, 1)
    assert mine.max_code_length is None or len(code) <= mine.max_code_length
    assert "\n\n# " in path.read_text(encoding="utf-8")[:80]
