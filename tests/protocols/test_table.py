"""The table of what was shown of each protocol."""

from __future__ import annotations

import re

from sseload_users.core.config_path import config_path
from tests.protocols.shown import PAGE, Shown, read_rows, rows_of, with_rows

EMPTY = "# Page\n\n<!-- protocols -->\n<!-- end of protocols -->\n\n## More\n"


def test_the_table_is_well_formed() -> None:
    rows = read_rows(PAGE.read_text("utf-8"))
    assert rows
    for row in rows:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row.date), row
        assert row.profile
        assert row.server
        assert all(row.values[test] for test in Shown.COLUMNS), row
        assert "✗" not in row.values.values(), row


def test_new_results_replace_older_ones_of_the_same_server() -> None:
    tests = list(Shown.COLUMNS)
    older = rows_of(("`a`", "server 1.2.3, Node", test, "✓") for test in tests)
    other = rows_of([("`b`", "server 1.2.3", "check", "right, 2 wrong")])
    page = with_rows(EMPTY, [*older, *other])
    assert read_rows(page) == [*older, Shown(*_head(other[0]), _all(check="right, 2 wrong"))]
    again = with_rows(page, rows_of([("`a`", "server 1.3.0, Node", "burst", "✗")]))
    first, second = read_rows(again)
    assert first.server == "server 1.3.0, Node"
    assert first.values == {**dict.fromkeys(tests, "✓"), "burst": "✗"}
    assert second.profile == "`b`"
    assert again.endswith("\n<!-- end of protocols -->\n\n## More\n")


def _head(row: Shown) -> tuple[str, str, str]:
    return row.profile, row.server, row.date


def _all(**values: str) -> dict[str, str]:
    return {**dict.fromkeys(Shown.COLUMNS, ""), **values}


def test_every_built_in_profile_is_in_the_table() -> None:
    shown = {row.profile for row in read_rows(PAGE.read_text("utf-8"))}
    built_in = {f"`{path.stem}`" for path in config_path("targets").glob("*.toml")}
    recipes = {path.stem for path in (PAGE.parent / "recipes").glob("*.toml")}
    assert shown == built_in | recipes
