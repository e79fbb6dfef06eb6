"""Werkzeug's error pages, which the code server answers with where it has no words of its own."""

from __future__ import annotations

from http import HTTPStatus

from sseload_users.demo.http import Exchange

_WORDS = {
    404: "The requested URL was not found on the server. If you entered the URL manually please "
    "check your spelling and try again.",
    405: "The method is not allowed for the requested URL.",
}


def answer(exchange: Exchange, status: int, words: str = "") -> None:
    """Answer with the page for an error.

    Args:
        exchange: the request.
        status: the error's.
        words: what the page says, where that is not always the same.
    """
    name = HTTPStatus(status).phrase
    exchange.send(
        status,
        "text/html; charset=utf-8",
        f"<!doctype html>\n<html lang=en>\n<title>{status} {name}</title>\n"
        f"<h1>{name}</h1>\n<p>{words or _WORDS[status]}</p>\n",
    )
