"""Pages of the runs that were kept: a list, each report, comparisons and trends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from sseload_users.core.errors import ConfigError
from sseload_users.report import html
from sseload_users.report.comparison import compare
from sseload_users.report.comparison_views import document as comparison
from sseload_users.report.history import find, load
from sseload_users.report.model import Report
from sseload_users.report.serialization import read
from sseload_users.report.trend_page import document as trend
from sseload_users.report.trend_page import runs_document
from sseload_users.report.trends import trends

_View: TypeAlias = Callable[..., AnyResponse]
#: Pages of one file have a policy of their own, which is stricter; the list has a form.
_POLICY = "frame-ancestors 'self'"


def attach(blueprint: Blueprint, guard: Callable[[_View], _View], history: str) -> None:
    """Add the pages below /delivery/runs/.

    Args:
        blueprint: gets the pages.
        guard: adds the login and the answer to mistakes.
        history: the directory in which runs are kept; empty if they are not.
    """

    def runs() -> AnyResponse:
        if not history:
            return _none("Runs are not kept: start with --history DIR.")
        return _page(runs_document(load(history), history))

    def one(run_id: str) -> AnyResponse:
        return _page(html.document(_report(history, run_id)))

    def two() -> AnyResponse:
        before, after = (_report(history, request.args.get(side, "")) for side in "ab")
        return _page(comparison(before, after, compare(before, after)))

    def over_time() -> AnyResponse:
        kept = load(history, request.args.get("name", "")) if history else []
        if len(kept) < 2:
            return _none("A trend needs two runs of this name.")
        return _page(trend(kept, trends(kept), home="./"))

    for path, name, view in (
        ("/delivery/runs/", "runs", runs),
        ("/delivery/runs/compare", "runs_compare", two),
        ("/delivery/runs/trend", "runs_trend", over_time),
        ("/delivery/runs/<run_id>.html", "run", one),
    ):
        blueprint.add_url_rule(path, name, guard(_answering(view)))


def _answering(view: _View) -> _View:
    """Return a view that answers what is not there with 404."""

    def answered(**parts: str) -> AnyResponse:
        try:
            return view(**parts)
        except ConfigError as error:
            return _none(str(error))

    answered.__name__ = view.__name__
    return answered


def _report(history: str, run_id: str) -> Report:
    kept = find(history, run_id) if history else None
    if kept is None:
        raise ConfigError("No run with this id is kept.")
    return read(kept.folder)


def _page(text: str) -> Response:
    answer = Response(text.encode("utf-8", "replace"), mimetype="text/html")
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer


def _none(words: str) -> Response:
    answer = Response(f"{words}\n", mimetype="text/plain")
    answer.status_code = 404
    return answer
