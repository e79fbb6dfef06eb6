from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.core.errors import ConfigError
from sseload_users.targets.identities import Identity, pick_sender, read_users_file


def users_file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "users.csv"
    path.write_bytes(data)
    return path


def test_users_keep_the_files_order_and_columns(tmp_path: Path) -> None:
    path = users_file(tmp_path, b'token,username,room\nabc,alice,1\n,bob,"a,b"\n\n')
    assert read_users_file(path) == [
        Identity("alice", {"token": "abc", "room": "1"}),
        Identity("bob", {"token": "", "room": "a,b"}),
    ]


def test_files_from_spreadsheets_are_read(tmp_path: Path) -> None:
    path = users_file(tmp_path, "\ufeffusername, token\r\nZoë,ä\r\n".encode())
    assert read_users_file(path) == [Identity("Zoë", {"token": "ä"})]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the users file is empty; its first line must name the columns."),
        (b"username\n", "the users file has a header but no users; add one line per user."),
        (
            b"name,token\na,b\n",
            "missing column username; the first line names the columns 'name, token'.",
        ),
        (b"username,t,t\na,b,c\n", "the first line names column 't' twice."),
        (b"username,\na,b\n", "column 2 has no name in the first line."),
        (b"username\n\xe9\n", "the users file is not UTF-8 text."),
        (
            b"username,token\na,b\nc,d,e\n",
            "line 3 has 3 values for 2 columns; quote values that contain commas.",
        ),
        (b'username\n"a\n', "line 2 is not valid CSV: unexpected end of data."),
    ],
)
def test_an_error_is_one_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    path = users_file(tmp_path, data)
    with pytest.raises(ConfigError) as raised:
        read_users_file(path)
    assert str(raised.value) == f"{path}: {said}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.csv: cannot read the users file: No such"):
        read_users_file(tmp_path / "no.csv")


def test_errors_and_reprs_contain_no_secret(tmp_path: Path) -> None:
    path = users_file(tmp_path, b"username,token\nalice,hunter2,hunter3\n")
    with pytest.raises(ConfigError) as raised:
        read_users_file(path)
    assert "hunter" not in str(raised.value)
    assert "hunter" not in repr(Identity("alice", {"token": "hunter2"}))


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=4))
def test_users_round_trip(
    tmp_path_factory: pytest.TempPathFactory, people: list[tuple[str, str]]
) -> None:
    clean = [
        tuple(value.encode("utf-8", "replace").decode().replace("\0", "") for value in each)
        for each in people
    ]
    path = tmp_path_factory.mktemp("users") / "users.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("username", "token"), *clean])
    assert read_users_file(path) == [Identity(name, {"token": token}) for name, token in clean]


def test_the_sender_is_the_first_user_or_the_one_that_is_named() -> None:
    known = [Identity("ann", {"token": "a"}), Identity("bob", {"token": "b"})]
    assert pick_sender(known, "") is known[0]
    assert pick_sender(known, "bob") is known[1]
    assert pick_sender(known, "eve") == Identity("eve")
