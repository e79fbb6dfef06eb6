"""Payloads padded to a size: exactly that size, and without it nothing remains of the padding."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from sseload_users import targets as target
from sseload_users.core.errors import ConfigError
from sseload_users.targets import Emitting, Publishing, Sender, Target
from sseload_users.targets.identities import Identity
from sseload_users.targets.padding import message_size

ALICE = Identity("alice", channels=("lobby",))
CODE = "LT-abc123-1-zzz"
#: Values that the built-in profiles leave open.
VALUES = {"ingest_token": "secret-secret", "api_key": "key", "publisher_token": "token"}
#: Built-in profiles of servers that pass nothing on beside the code.
BARE = ("graphql-sse", "graphql-transport-ws", "graphql-ws", "nchan", "nchan-sse")

PROFILE = """\
transport = "websocket"
[connect]
path = "/ws"
[code]
field = "code"
[ingest]
"""


def made(folder: Path, ingest: str, *, padded: bool) -> Target:
    path = folder / "mine.toml"
    path.write_text(PROFILE + ingest, "utf-8")
    return Target(target.load(str(path)), "http://h", padded=padded)


def sent(found: Target, size: int) -> bytes:
    """The payload that carries a code."""
    publishing, emitting = Publishing.of(found), Emitting.of(found)
    if publishing is not None:
        message = publishing.frame(CODE, Sender(ALICE, {}), 7, "lobby", size)
    elif emitting is not None:
        message = emitting.frame(CODE, ALICE, {}, "lobby", size)
    else:
        return found.ingest(CODE, ALICE, {}, "lobby", payload_bytes=size).body
    return message.encode() if isinstance(message, str) else message


@pytest.mark.parametrize("name", [each for each in target.names() if each not in BARE])
@pytest.mark.parametrize("size", [500, 70_000])
def test_built_in_profiles_are_padded_to_the_byte(name: str, size: int) -> None:
    values = {key: text for key, text in VALUES.items() if key in str(target.load(name).spec)}
    profile = target.load(name)
    plain = sent(Target(profile, "http://h", values=values), 0)
    padded = sent(Target(profile, "http://h", values=values, padded=True), size)
    assert b"padding" not in plain
    assert len(padded) == size
    assert CODE.encode() in plain
    assert padded.count(CODE.encode()) == plain.count(CODE.encode())


@pytest.mark.parametrize("name", BARE)
def test_a_profile_without_padding_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"target {name}: --payload-bytes needs {{padding}} in"):
        Target(target.load(name), "http://h", padded=True)


@pytest.mark.parametrize(
    ("ingest", "plain"),
    [
        ('method = "POST"\npath = "/"\nbody = "code={code}&pad={padding}"', f"code={CODE}&pad="),
        ('method = "POST"\npath = "/"\nbody = ["{code}", { "p" = ["{padding}"] }]', f'["{CODE}"]'),
        ('over = "listener"\nsend = ["{code}", "{padding}", "x{padding_2}"]\n', None),
        ('over = "listener"\nsend = { "a" = { "p" = "-{padding}" }, "code" = "{code}" }',
         f'{{"a":{{"p":"-"}},"code":"{CODE}"}}'),
        ('over = "connection"\nexpect = "none"\nsend = \'{"c": "{code}", "p": "{padding}é"}\'',
         f'{{"c":"{CODE}","p":"\\u00e9"}}'),
        ('over = "listener"\nsend_hex = "0a {code} 00 {padding}"', f"\n{CODE}\0"),
        ('over = "connection"\nexpect = "none"\nsend_base64 = "Cg=={code}AGE={padding}"',
         f"\n{CODE}\0a"),
    ],
)  # fmt: skip
def test_any_text_is_padded_to_the_byte(tmp_path: Path, ingest: str, plain: str | None) -> None:
    if plain is None:  # a longer name is another one
        ingest, plain = ingest.replace("x{padding_2}", "x"), f'["{CODE}","x"]'
    assert sent(made(tmp_path, ingest, padded=False), 0).decode() == plain
    assert len(sent(made(tmp_path, ingest, padded=True), 333)) == 333


def test_the_request_that_has_the_padding_is_padded(tmp_path: Path) -> None:
    ingest = (
        'method = "POST"\npath = "/{id}"\n[[ingest.before]]\nmethod = "POST"\npath = "/"\n'
        'body = { "code" = "{code}", "p" = "{padding}" }\ncapture = { "id" = { regex = ".+" } }\n'
    )
    for is_padded, size in ((True, 400), (False, len(f'{{"code":"{CODE}"}}'))):
        found = made(tmp_path, ingest, padded=is_padded)
        draft = found.ingest(CODE, ALICE, payload_bytes=400, step=0)
        assert len(draft.body) == size
        assert found.ingest(CODE, ALICE, {"id": "7"}, payload_bytes=400).body == b""


def test_what_is_longer_than_the_size_stays_whole(tmp_path: Path) -> None:
    ingest = 'method = "POST"\npath = "/"\nbody = { "code" = "{code}", "p" = "{padding}" }'
    found = made(tmp_path, ingest, padded=True)
    assert json.loads(sent(found, 5)) == {"code": CODE, "p": ""}


def test_padding_is_letters_that_hardly_compress_and_differ(tmp_path: Path) -> None:
    found = made(tmp_path, 'method = "POST"\npath = "/"\nbody = "{code}{padding}"', padded=True)
    bodies: list[Any] = [
        found.ingest(f"LT-abc123-{at}-z", ALICE, payload_bytes=100_000).body for at in (1, 2)
    ]
    assert all(re.fullmatch(rb"LT-abc123-\d-z[A-Z]+", each) for each in bodies)
    assert len(zlib.compress(bodies[0])) > 55_000
    assert bodies[0][50:] != bodies[1][50:]


@pytest.mark.parametrize(
    ("ingest", "sentence"),
    [
        ('path = "/{code}"\nquery = { "p" = "{padding}" }', "ingest.query has {padding}, which"),
        ('method = "POST"\npath = "/"\nbody = "{code}{padding}{padding}"', "more than once"),
    ],
)
def test_padding_in_another_place_is_refused(tmp_path: Path, ingest: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        made(tmp_path, ingest, padded=False)
    assert sentence in str(refused.value)


def test_sizes_count_bytes() -> None:
    assert message_size("é") == message_size(b"ab") == 2
