"""Put the documentation's pages into the wheel, where `sseload docs` finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PagesHook(BuildHookInterface[Any]):
    """Adds the pages, without their pictures; a pattern cannot add what is renamed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add each page to the files of the wheel.

        Args:
            version: which kind of wheel is built.
            build_data: what the builder is told.
        """
        # An editable installation finds the pages where they are.
        if version == "standard":
            for page in Path(self.root, "docs").glob("*.md"):
                build_data["force_include"][str(page)] = f"sseload_users/docs/{page.name}"
