"""Locust's start form: it refuses what is not valid, and keeps what was entered."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeGuard

from flask import Flask, Response, jsonify, request
from locust.web import WebUI
from werkzeug.datastructures import ImmutableMultiDict

from sseload_users.core.errors import ConfigError
from sseload_users.core.option_spec import flag, to_number
from sseload_users.options import Options

#: Fields that Locust checks itself.
_LOCUSTS_OWN = {"user_count", "spawn_rate", "run_time", "host", "user_classes", "profile"}


def attach(web_ui: WebUI, app: Flask) -> None:
    """Check the form before Locust reads it, and show the last values in it.

    Args:
        web_ui: Locust's.
        app: its Flask application.
    """
    defaults = {each.name: each.default for each in fields(Options)}

    def check() -> Response | None:
        parsed: Any = web_ui.environment.parsed_options
        if request.endpoint != "locust.swarm" or request.method != "POST" or parsed is None:
            return None
        known = vars(parsed)
        entered = {
            key: _completed(text, known[key], defaults.get(key))
            for key, text in request.form.items(multi=True)
            if key in known and key not in _LOCUSTS_OWN
        }
        try:
            for key, text in entered.items():
                # Locust converts it to the type of the value that it has.
                if _is_number(known[key]):
                    to_number(flag(key), text, type(known[key]))
            options = Options.read({**known, **_typed(entered, known)})
            if host := request.form.get("host") or web_ui.environment.host:
                options.make_target(host)
        except ConfigError as error:
            return jsonify(success=False, message=str(error), host=web_ui.environment.host)
        # Locust keeps the last run's limit if the field is empty, although none applies.
        if not request.form.get("run_time"):
            parsed.run_time = None
        request.form = _replaced(request.form, entered)
        return None

    app.before_request(check)
    _show_last_values(web_ui)


def _completed(text: str, current: object, default: object) -> str:
    """Return a field's text; for an empty number field, its default."""
    if text.strip() or not _is_number(current):
        return text
    return str(current if default is None else default)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _typed(entered: Mapping[str, str], known: Mapping[str, object]) -> dict[str, object]:
    """Return the entered values as Locust is going to convert them, as far as types matter."""
    return {
        key: text == "true" if isinstance(known[key], bool) else text
        for key, text in entered.items()
    }


def _replaced(
    form: ImmutableMultiDict[str, str], entered: Mapping[str, str]
) -> ImmutableMultiDict[str, str]:
    return ImmutableMultiDict(
        [(key, entered.get(key, text)) for key, text in form.items(multi=True)]
    )


def _show_last_values(web_ui: WebUI) -> None:
    """Show the values of the latest run in the form, but no secret.

    Locust shows those of the command line. It masks secrets, but writes them into the page.
    """
    update: Callable[[], None] = web_ui.update_template_args

    def update_with_last_values() -> None:
        update()
        known = vars(web_ui.environment.parsed_options or Namespace())
        options: dict[str, Any] = web_ui.template_args["extra_options"]
        for name, option in options.items():
            if option["is_secret"]:
                option["default_value"] = ""
            elif isinstance(known.get(name), str | int | float):
                option["default_value"] = known[name]
            if option["help_text"]:
                # Locust shows the text as argparse has it before formatting.
                option["help_text"] = option["help_text"].replace("%%", "%")

    web_ui.update_template_args = update_with_last_values  # type: ignore[method-assign]
