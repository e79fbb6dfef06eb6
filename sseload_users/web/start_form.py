"""Locust's start form: it refuses what is not valid, and keeps what was entered."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify, request
from locust.web import WebUI
from werkzeug.datastructures import ImmutableMultiDict

from sseload_users.run.next_run import NextRun
from sseload_users.web import entries
from sseload_users.web.entries import LOCUSTS_OWN
from sseload_users.web.run_form import CONNECTIONS, SPAWN_RATE


def attach(web_ui: WebUI, app: Flask, next_run: NextRun) -> None:
    """Check the form before Locust reads it, and show the last values in it.

    Args:
        web_ui: Locust's.
        app: its Flask application.
        next_run: checks the run that the form describes.
    """

    def check() -> Response | None:
        parsed: Any = web_ui.environment.parsed_options
        if request.endpoint != "locust.swarm" or request.method != "POST" or parsed is None:
            return None
        own = {key: text for key, text in request.form.items() if key not in LOCUSTS_OWN}
        texts = entries.completed(own, vars(parsed))
        host = request.form.get("host") or web_ui.environment.host or ""
        users = _whole(request.form.get("user_count", ""))
        errors = entries.mistakes(texts, parsed, next_run, host=host, users=users)
        if errors:
            sentences = " ".join(errors.values())
            return jsonify(success=False, message=sentences, host=web_ui.environment.host)
        entries.forget_cleared(texts, parsed)
        # Locust keeps the last run's limit if the field is empty, although none applies.
        if not request.form.get("run_time"):
            parsed.run_time = None
        request.form = ImmutableMultiDict(
            [(key, texts.get(key, text)) for key, text in request.form.items(multi=True)]
        )
        return None

    app.before_request(check)
    _show_last_values(web_ui, next_run)


def _whole(text: str) -> int:
    """Return a number of users; 0 if it is not valid, which Locust says itself."""
    return int(text) if text.isascii() and text.isdigit() else 0


def _show_last_values(web_ui: WebUI, next_run: NextRun) -> None:
    """Show the values of the latest run in the form, but no secret.

    Locust shows those of the command line. It masks secrets, but writes them into the page.
    """
    update: Callable[[], None] = web_ui.update_template_args

    def update_with_last_values() -> None:
        update()
        known = vars(web_ui.environment.parsed_options or Namespace())
        arguments: dict[str, Any] = web_ui.template_args
        # Locust's own defaults are a single user, who would be the broadcaster.
        arguments["num_users"] = arguments["num_users"] or CONNECTIONS + next_run.fixed_users
        arguments["spawn_rate"] = arguments["spawn_rate"] or SPAWN_RATE
        options: dict[str, Any] = arguments["extra_options"]
        for name, option in options.items():
            if option["is_secret"]:
                option["default_value"] = ""
            elif isinstance(known.get(name), str | int | float):
                option["default_value"] = known[name]
            if option["help_text"]:
                # Locust shows the text as argparse has it before formatting.
                option["help_text"] = option["help_text"].replace("%%", "%")

    web_ui.update_template_args = update_with_last_values  # type: ignore[method-assign]
