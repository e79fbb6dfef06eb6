"""Add pages to Locust's web UI: /delivery with its files, and /metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from flask import Blueprint, Response, redirect, request, url_for
from locust.web import WebUI
from werkzeug.wrappers import Response as AnyResponse

from sseload_users.report import pages
from sseload_users.run.next_run import NextRun
from sseload_users.web import kept, locust_tab, start_form
from sseload_users.web.new_run import NewRun
from sseload_users.web.views import Views

_logger = logging.getLogger(__name__)

_STATIC = Path(pages.__file__).parent / "static"

#: The pages load their own style sheet and script, ask their own server, and nothing else.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
_NOT_YET = "There is no report yet: it is written when a run ends."

_KINDS = {"report.html": "text/html", "report.json": "application/json"}

View = Callable[..., AnyResponse]


def attach(web_ui: WebUI, views: Views, next_run: NextRun) -> None:
    """Add a tab to Locust's page, and pages of our own.

    They have the same base path (``--web-base-path``) and login as Locust's own pages.

    Args:
        web_ui: before its first request.
        views: what is shown.
        next_run: what is known of the run that a form describes.
    """
    app = web_ui.app
    assert app is not None  # noqa: S101 - Locust makes it with the web UI
    blueprint = Blueprint("sseload", __name__, url_prefix=app.blueprints["locust"].url_prefix)

    def guard(view: View) -> View:
        guarded: View = web_ui.auth_required_if_enabled(_guarded(view))
        return guarded

    def route(path: str, name: str, view: View, method: str = "GET") -> None:
        blueprint.add_url_rule(path, name, guard(view), strict_slashes=True, methods=[method])

    route("/delivery", "delivery", lambda: _page(views.document()))
    route("/delivery/", "slash", lambda: redirect(url_for("sseload.delivery")))
    route("/delivery/now", "now", lambda: _page(views.fragment()))
    route("/delivery/page.css", "css", lambda: _text(_style(), "text/css"))
    route("/delivery/page.js", "js", lambda: _text(_source("delivery.js"), "text/javascript"))
    route("/delivery/bar", "bar", lambda: _page(views.standing().bar()))
    route("/delivery/bar.css", "bar_css", lambda: _text(pages.source("bar.css"), "text/css"))
    route("/delivery/bar.js", "bar_js", lambda: _text(_source("bar.js"), "text/javascript"))
    route("/delivery/codes.csv", "codes", lambda: _codes(views))
    route("/delivery/report.html", "html", lambda: _report(views.report_html(), "report.html"))
    route("/delivery/report.json", "json", lambda: _report(views.report_json(), "report.json"))
    form = NewRun(web_ui, views, next_run)
    route("/delivery/new", "new", form.show)
    route("/delivery/new", "start", form.submit, "POST")
    route("/delivery/stop", "stop", form.stop, "POST")
    route("/delivery/new.js", "new_js", lambda: _text(_source("new_run.js"), "text/javascript"))
    kept.attach(blueprint, guard, views.history)
    route("/metrics", "metrics", lambda: _metrics(views))
    app.register_blueprint(blueprint)
    locust_tab.attach(web_ui, app, views)
    start_form.attach(web_ui, app, next_run)


def _guarded(view: View) -> View:
    """Return a view that answers with 500 if it raises, and adds security headers."""

    @wraps(view)
    def guarded(**parts: str) -> AnyResponse:
        try:
            answer = view(**parts)
        except Exception:
            _logger.exception("%s cannot be answered", request.path)
            answer = _text("This cannot be shown because of a bug in sseload; see the log.\n")
            answer.status_code = 500
        answer.headers.setdefault("Content-Security-Policy", _POLICY)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        # Without a referrer, browsers send no origin with a form, either.
        answer.headers["Referrer-Policy"] = "same-origin"
        answer.headers["Cache-Control"] = "no-cache"
        return answer

    return guarded


def _text(words: str, kind: str = "text/plain") -> Response:
    answer = Response(words, mimetype=kind)
    # A client that has it already gets 304.
    answer.add_etag()
    answer.make_conditional(request)
    return answer


def _page(html: str) -> Response:
    return _text(html, "text/html")


def _report(text: str | None, name: str) -> Response:
    if text is None:
        answer = _text(f"{_NOT_YET}\n")
        answer.status_code = 404
        return answer
    answer = Response(text.encode("utf-8", "replace"), mimetype=_KINDS[name])
    if "download" in request.args:
        _as_attachment(answer, name)
    # report.html contains a policy of its own, which is stricter.
    answer.headers["Content-Security-Policy"] = "frame-ancestors 'self'"
    return answer


def _codes(views: Views) -> Response:
    answer = Response(views.codes_csv(), mimetype="text/csv")
    _as_attachment(answer, "codes.csv")
    return answer


def _as_attachment(answer: Response, name: str) -> None:
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'


def _metrics(views: Views) -> Response:
    found = views.metrics(request.headers.get("Accept", ""))
    return Response(found.body, content_type=found.content_type)


def _style() -> str:
    return pages.STYLE + pages.source("delivery.css") + pages.source("form.css")


def _source(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
