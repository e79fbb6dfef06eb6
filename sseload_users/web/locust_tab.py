"""Add to Locust's own page: a bar with the result so far, a tab of codes, and downloads."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, current_app, request
from locust.runners import STATE_RUNNING, STATE_STOPPED
from locust.web import WebUI

from sseload_users.web.standing import COLUMNS, Standing
from sseload_users.web.views import Views

_logger = logging.getLogger(__name__)

_KEY = "delivery"

#: Locust's page has no place for what plugins have to say, so it stands above it.
_HEAD = (
    '<link rel="stylesheet" href="./delivery/bar.css">'
    '<script src="./delivery/bar.js" defer></script>'
)
_BAR = (
    '<section id="sseload" data-source="./delivery/bar" aria-label="sseload">{bar}</section>'
    '<p id="sseload-lost" role="status" hidden>Locust does not respond: this page may be out of '
    "date.</p>"
)


def attach(web_ui: WebUI, app: Flask, views: Views) -> None:
    """Add the bar, the tab and the downloads.

    Args:
        web_ui: Locust's.
        app: its Flask application.
        views: what is shown.
    """
    structure = [{"key": key, "title": title} for key, title in COLUMNS.items()]
    given: dict[str, Any] = web_ui.template_args
    added: dict[str, list[Any]] = {
        "extended_tabs": [{"title": "Delivery", "key": _KEY}],
        "extended_tables": [{"key": _KEY, "structure": structure}],
        "extended_csv_files": [
            {"href": "./delivery/report.html?download", "title": "Download delivery report"},
            {"href": "./delivery/report.json?download", "title": "Download delivery report JSON"},
            {"href": "./delivery/codes.csv", "title": "Download codes CSV"},
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
                _add_rows(answer, views)
            elif request.endpoint == "locust.index":
                _add_bar(answer, views.standing())
        except Exception:
            # Locust's own page must work without it.
            _logger.exception("the delivery tab cannot be shown")
        return answer

    app.after_request(after)


def _add_rows(answer: Response, views: Views) -> None:
    """Add the table to the statistics.

    Locust caches the response for two seconds, with this table in it.
    """
    stats = answer.get_json(silent=True)
    if not isinstance(stats, dict):
        return  # a login page
    others = [each for each in stats.get("extended_stats", ()) if each.get("key") != _KEY]
    stats["extended_stats"] = [*others, {"key": _KEY, "data": views.tab()}]
    if views.is_live and stats.get("state") == STATE_STOPPED:
        # Locust's page asks no more once it has read this, and the account is still being closed.
        stats["state"] = STATE_RUNNING
    answer.set_data(current_app.json.dumps(stats))


def _add_bar(answer: Response, standing: Standing) -> None:
    page = answer.get_data(as_text=True)
    head, end, body = page.partition("</head>")
    before, root, rest = body.partition('<div id="root">')
    if root and not answer.is_streamed:
        bar = _BAR.format(bar=standing.bar())
        answer.set_data(f"{head}{_HEAD}{end}{before}{bar}{root}{rest}")
