"""All generated pages, by their names in docs/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generators import causes, dashboard, metrics, option_table, profile_keys, report_fields

DOCS = Path(__file__).parents[1]

PAGES: Mapping[str, Callable[[], str]] = {
    "dashboard-reference.md": dashboard.page,
    "metrics-reference.md": metrics.page,
    "options-reference.md": option_table.page,
    "profile-reference.md": profile_keys.page,
    "report-reference.md": report_fields.page,
    "troubleshooting.md": causes.page,
}


def write() -> None:
    """Write every page whose text has changed."""
    texts = {DOCS / name: page() for name, page in PAGES.items()}
    for path, text in texts.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
