"""Write the generated pages: make schema."""

from __future__ import annotations

from docs.generators.pages import write

write()
