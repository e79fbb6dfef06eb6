"""axe-core: finds what keeps people from using a page (WCAG 2.2, A and AA)."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.support.npm import FOLDER, require_npm_packages

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong with the page that is shown, in a line each."""
    require_npm_packages()
    source = (FOLDER / "node_modules/axe-core/axe.min.js").read_text("utf-8")
    # Evaluated by the browser itself, which the page's Content-Security-Policy does not hinder.
    page.evaluate(f"{source}; undefined")
    found = page.evaluate(
        "async tags => (await axe.run(document, {runOnly: tags})).violations",
        _RULES,
    )
    return [
        f"{each['id']}: {each['help']}: {node['target'][0]} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]
