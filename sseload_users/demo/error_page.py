"""Werkzeug's error pages, the code server's default answers to errors."""

from __future__ import annotations

from http import HTTPStatus

from sseload_users.demo.http import Exchange

_DESCRIPTIONS = {
    404: "The requested URL was not found on the server. If you entered the URL manually please "
    "check your spelling and try again.",
    405: "The method is not allowed for the requested URL.",
}


def answer(exchange: Exchange, status: int, description: str = "") -> None:
    """Answer with an error page.

    Args:
        exchange: the request.
        status: HTTP status.
        description: text of the page, instead of the default for the status.
    """
    name = HTTPStatus(status).phrase
    exchange.send(
        status,
        "text/html; charset=utf-8",
        f"<!doctype html>\n<html lang=en>\n<title>{status} {name}</title>\n"
        f"<h1>{name}</h1>\n<p>{description or _DESCRIPTIONS[status]}</p>\n",
    )
