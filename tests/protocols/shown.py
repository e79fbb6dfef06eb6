"""The table in docs/targets.md: what was shown of each protocol, on which server, and when."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.runs import ROOT

PAGE = ROOT / "docs" / "targets.md"
#: What pytest carries from the process of a test to the one that writes the table.
PROPERTY = "protocol"
_BEGIN, _END = "<!-- protocols -->\n", "<!-- end of protocols -->\n"


@dataclass
class Shown:
    """A row: what was shown of a profile on a server.

    Attributes:
        profile: its name.
        server: the server, with its version.
        date: when it was shown last.
        values: the cells, by name of the test.
    """

    #: The tests of the contract, in their order, and their columns.
    COLUMNS: ClassVar[dict[str, str]] = {
        "client": "official client",
        "check": "`check`",
        "all": "200 connections",
        "channels": "channels",
        "losses": "losses, duplicates",
        "return": "drop and return",
        "burst": "200 codes at once",
    }

    profile: str
    server: str
    date: str
    values: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What a new row replaces: the profile and the server's name without versions."""
        return self.profile, re.sub(r"\s*\bv?\d+(\.\d+)+\S*", "", self.server)


def record(node: pytest.Item, profile: str, server: str, test: str, value: str) -> None:
    """Note what a test shows, for the table."""
    name = Path(profile).stem if profile.endswith(".toml") else f"`{profile}`"
    node.user_properties.append((PROPERTY, (name, server, test, value)))


def rows_of(found: Iterable[tuple[str, str, str, str]]) -> list[Shown]:
    """Return the rows of what tests have shown: profile, server, test and value of each."""
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    rows: dict[tuple[str, str], Shown] = {}
    for profile, server, test, value in found:
        row = rows.setdefault((profile, server), Shown(profile, server, today))
        row.values[test] = value
    return list(rows.values())


def read_rows(page: str) -> list[Shown]:
    """Return the rows of a page's table."""
    lines = page.partition(_BEGIN)[2].partition(_END)[0].strip().splitlines()[2:]
    rows = []
    for line in lines:
        profile, server, *values, date = (each.strip() for each in line.strip("|").split("|"))
        rows.append(Shown(profile, server, date, dict(zip(Shown.COLUMNS, values, strict=True))))
    return rows


def with_rows(page: str, new: Iterable[Shown]) -> str:
    """Return a page with new rows in its table, each in place of an older one."""
    rows = {each.key: each for each in read_rows(page)}
    for each in new:
        older = rows.get(each.key)
        values = {**(older.values if older else {}), **each.values}
        rows[each.key] = Shown(each.profile, each.server, each.date, values)
    head = ["profile", "server", *Shown.COLUMNS.values(), "date"]
    table = [head, ["---"] * len(head)]
    for key in sorted(rows):
        row = rows[key]
        cells = [row.values.get(test, "") for test in Shown.COLUMNS]
        table.append([row.profile, row.server, *cells, row.date])
    text = "".join(f"| {' | '.join(line)} |\n" for line in table)
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{text}\n{_END}{rest.partition(_END)[2]}"
