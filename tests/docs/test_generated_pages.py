from __future__ import annotations

import pytest

from docs.generators.causes import page as troubleshooting
from docs.generators.pages import DOCS, PAGES
from docs.generators.report_fields import page as report_fields
from sseload_users.core.causes import CauseKind
from sseload_users.report.serialization import schema
from sseload_users.verdict.hints import hint


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert PAGES[name]() == (DOCS / name).read_text(encoding="utf-8"), "run make schema"


def test_every_hint_is_in_troubleshooting() -> None:
    page = troubleshooting().replace("\\[", "[")
    hints = {line.split(" | ")[-1].rstrip(" |") for line in page.splitlines() if "`" in line}
    assert hint("connect", "connection refused") in hints
    assert len(hints) >= len(CauseKind)


def test_every_field_of_a_report_is_in_the_reference() -> None:
    page = report_fields()
    whole = schema()
    for owner in (whole, *whole["$defs"].values()):
        for name, field in owner["properties"].items():
            assert f"| `{name}` |" in page
            assert field.get("description", "") in page
