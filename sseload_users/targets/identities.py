"""The users that connect: one for all connections, or the rows of a users file in turn."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean


@dataclass(frozen=True, slots=True)
class Identity:
    """A user that connects.

    Attributes:
        username: may be empty if the server needs none.
        fields: further columns of the users file, for a profile's ``{name}``; secret.
        channels: channels that it subscribes to; empty in a run without channels.
    """

    username: str = ""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    channels: tuple[str, ...] = ()


def load_identities(users_file: str | None, username: str) -> list[Identity]:
    """Return the users that connections take in turn: those of a file, or one for all.

    Raises:
        ConfigError: the file is invalid; see `read_users_file`.
    """
    return [Identity(username)] if users_file is None else read_users_file(users_file)


def pick_sender(identities: Sequence[Identity], username: str) -> Identity:
    """Return the user that sends codes.

    Args:
        identities: the users that are known, at least one.
        username: user name of the sender; empty for the first of them.
    """
    named = (each for each in identities if username in ("", each.username))
    return next(named, Identity(username))


def read_users_file(path: str | Path) -> list[Identity]:
    """Read the users of a CSV file with a header, in order.

    Args:
        path: comma-separated, UTF-8 (a byte order mark is skipped), with a column
            ``username`` and any others, whose names a profile can use as ``{name}``.

    Raises:
        ConfigError: the file cannot be read or is invalid; one sentence that contains no
            values except user names.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{path}: cannot read the users file: {reason}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the users file is not UTF-8 text.") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        if not header:
            raise ConfigError(
                f"{path}: the users file is empty; its first line must name the columns."
            )
        _check_header(header, path)
        users = []
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise ConfigError(
                    f"{path}: line {rows.line_num} has {len(row)} values for "
                    f"{len(header)} columns; quote values that contain commas."
                )
            fields = dict(zip(header, row, strict=True))
            users.append(Identity(fields.pop("username"), fields))
    except csv.Error as error:
        raise ConfigError(f"{path}: line {rows.line_num} is not valid CSV: {error}.") from error
    if not users:
        raise ConfigError(
            f"{path}: the users file has a header but no users; add one line per user."
        )
    return users


def _check_header(header: Sequence[str], path: str | Path) -> None:
    if "username" not in header:
        raise ConfigError(
            f"{path}: missing column username; the first line names the columns "
            f"{clean(', '.join(header))!r}."
        )
    for index, name in enumerate(header):
        if not name:
            raise ConfigError(f"{path}: column {index + 1} has no name in the first line.")
        if name in header[:index]:
            raise ConfigError(f"{path}: the first line names column {clean(name)!r} twice.")
