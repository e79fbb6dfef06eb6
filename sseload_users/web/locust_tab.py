"""Add a tab with a row for each code to Locust's own page, and a link to /delivery."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, current_app, request
from locust.web import WebUI

from sseload_users.web.views import Views

_logger = logging.getLogger(__name__)

_KEY = "delivery"

#: Locust converts keys to camel case, so each is a single word.
_COLUMNS = {
    "code": "Code",
    "sent": "Sent (UTC)",
    "status": "Status",
    "owed": "Owed",
    "delivered": "Delivered",
    "missing": "Missing",
    "first": "First (ms)",
    "median": "Median (ms)",
    "p99": "99%ile (ms)",
    "last": "Last (ms)",
}

#: Locust's page has no place for links of plugins, so this one floats above it.
_LINK = (
    '<a href="./delivery" style="position:fixed;right:16px;bottom:56px;z-index:1200;'
    "padding:8px 16px;border-radius:99px;background:#15803d;color:#fff;text-decoration:none;"
    'font:500 14px/1.4 Roboto,system-ui,sans-serif;box-shadow:0 2px 6px #0006">'
    "Delivery charts</a>"
)


def attach(web_ui: WebUI, app: Flask, views: Views) -> None:
    """Add the tab, the downloads and the link.

    Args:
        web_ui: Locust's.
        app: its Flask application.
        views: what is shown.
    """
    structure = [{"key": key, "title": title} for key, title in _COLUMNS.items()]
    given: dict[str, Any] = web_ui.template_args
    added: dict[str, list[Any]] = {
        "extended_tabs": [{"title": "Delivery", "key": _KEY}],
        "extended_tables": [{"key": _KEY, "structure": structure}],
        "extended_csv_files": [
            {"href": "./delivery/codes.csv", "title": "Download codes CSV"},
            {"href": "./delivery", "title": "Delivery charts"},
        ],
    }
    for name, more in added.items():
        # Other plugins may have added theirs.
        given[name] = [*given.get(name, []), *more]

    def after(answer: Response) -> Response:
        if answer.status_code != 200:
            return answer
        try:
            if request.endpoint == "locust.request_stats":
                _add_rows(answer, views.tab())
            elif request.endpoint == "locust.index":
                _add_link(answer)
        except Exception:
            # Locust's own page must work without it.
            _logger.exception("the delivery tab cannot be shown")
        return answer

    app.after_request(after)


def _add_rows(answer: Response, rows: list[dict[str, Any]]) -> None:
    """Add the table to the statistics.

    Locust caches the response for two seconds, with this table in it.
    """
    stats = answer.get_json(silent=True)
    if not isinstance(stats, dict):
        return  # a login page
    others = [each for each in stats.get("extended_stats", ()) if each.get("key") != _KEY]
    stats["extended_stats"] = [*others, {"key": _KEY, "data": rows}]
    answer.set_data(current_app.json.dumps(stats))


def _add_link(answer: Response) -> None:
    page = answer.get_data(as_text=True)
    head, end, rest = page.rpartition("</body>")
    if end and not answer.is_streamed:
        answer.set_data(f"{head}{_LINK}{end}{rest}")
